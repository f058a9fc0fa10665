"""Settings of screens, by where they come from."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from phenoprints.configuration.models.base import (
    BY_SHAPE,
    NOT_GIVEN,
    Distinct,
    Fraction,
    Listed,
    Partial,
    Paths,
    Role,
    Section,
    Text,
    TextOrNumber,
)
from phenoprints.configuration.models.benchmarks import Benchmarks
from phenoprints.configuration.models.stages import Alignment, Consistency, Maps, Quality
from phenoprints.foundations.cells import MISSING

PresetName = Literal["paper", "rxrx1", "rxrx3", "jump-crispr", "jump-compound", "bbbc021", "demo"]


class Limits(Partial):
    """Limits of one kind of perturbation, over those of the preset."""

    min_experiments: int = Field(NOT_GIVEN, ge=1)
    """Distinct experiments that a condition must reach in step 3 of the funnel."""
    min_wells: int = Field(NOT_GIVEN, ge=1)
    """Distinct wells that a condition must reach in step 3 of the funnel."""
    scope: Literal["within-experiments", "across-experiments"] = NOT_GIVEN
    """Where the consistency test compares the replicates of this kind."""


class KindLimits(Partial):
    """Limits by kind of perturbation."""

    crispr: Limits = NOT_GIVEN
    sirna: Limits = NOT_GIVEN
    orf: Limits = NOT_GIVEN
    compound: Limits = NOT_GIVEN
    other: Limits = NOT_GIVEN


class KindPresets(Partial):
    """A preset by kind of perturbation."""

    crispr: PresetName = NOT_GIVEN
    sirna: PresetName = NOT_GIVEN
    orf: PresetName = NOT_GIVEN
    compound: PresetName = NOT_GIVEN
    other: PresetName = NOT_GIVEN


Preset = Annotated[
    Annotated[PresetName, Tag("<text>")] | Annotated[KindPresets, Tag("<mapping>")],
    BY_SHAPE,
    Field(title="a preset, or a preset by kind of perturbation"),
]


class Column(Partial):
    """One property of a well, from the table: the name of a column, or a mapping. Applied in
    this order: `column` (or the constant `value`), `extract`, `map`, `default`, `scale`.
    """

    column: Paths = NOT_GIVEN
    """Name of the column that is read, or several whose texts are joined: `[Row, Column]`."""
    value: TextOrNumber = NOT_GIVEN
    """Constant for every well, instead of a column."""
    extract: Text = NOT_GIVEN
    """Regular expression (Python, searched) whose first group replaces the text; a value that
    does not match is a problem of its row."""
    map: dict[str, TextOrNumber] = NOT_GIVEN
    """Replaces whole values, exactly as written; values not named stay as they are."""
    default: TextOrNumber = NOT_GIVEN
    """What an empty cell becomes (without it, missing)."""
    scale: float = NOT_GIVEN
    """Factor on a number, such as 0.001 from nM to µM."""
    separator: Text = NOT_GIVEN
    """Splits a cell that lists several perturbations; `concentration_um`, `gene` and `guide`
    with the same separator are split alongside."""


ColumnSpec = Annotated[
    Annotated[Text, Tag("<text>")] | Annotated[Column, Tag("<mapping>")],
    BY_SHAPE,
    Field(title="the name of a column, or a mapping with `column` or `value`"),
]
AnnotationName = Annotated[
    str, Field(pattern=r"^[a-z][a-z0-9_]*(?!\n)$", title="a lower-case name with underscores")
]


class Columns(Partial):
    """Which columns of the table say what was done to a well. pycytominer's `Metadata_` names
    (Metadata_Plate, Metadata_Well, Metadata_Batch, Metadata_broad_sample, …) are recognised
    where a property is not given.
    """

    experiment: ColumnSpec = NOT_GIVEN
    plate: ColumnSpec = NOT_GIVEN
    well: ColumnSpec = NOT_GIVEN
    perturbation: ColumnSpec = NOT_GIVEN
    role: ColumnSpec = NOT_GIVEN
    concentration_um: ColumnSpec = NOT_GIVEN
    gene: ColumnSpec = NOT_GIVEN
    guide: ColumnSpec = NOT_GIVEN
    kind: ColumnSpec = NOT_GIVEN
    cell_type: ColumnSpec = NOT_GIVEN
    background: ColumnSpec = NOT_GIVEN
    replicate_group: ColumnSpec = NOT_GIVEN
    annotations: dict[AnnotationName, ColumnSpec] = Field({})
    """Further columns of the conditions table, by their name there: `mechanism: moa`."""


JoinKeys = Annotated[
    Annotated[dict[str, Text], Field(min_length=1), Tag("<mapping>")]
    | Annotated[Listed[Text], Field(min_length=1), Tag("<list>")],
    BY_SHAPE,
    Field(title="a mapping or a list"),
]


class Join(Section):
    """A further table, joined to the wells from the left, in the order given. Keys are compared
    as text without surrounding blanks; the column of concentrations as numbers (3 = 3.000000).
    """

    table: Paths
    """Path or glob below `root` (csv, tsv, txt, csv.gz, parquet)."""
    keys: JoinKeys
    """Key columns: name on the left to name in this table, or a list of equal names."""
    columns: Listed[Text] = ()
    """Columns taken over, all when empty. Rows that are equal in keys and these columns count
    once; a key with two different rows is an error."""
    numbers: Listed[Text] = ()
    """Further key columns (names on the left) that are compared as numbers."""
    missing: Literal["keep", "error"] = "keep"
    """What happens to wells without a row here: `keep` leaves the cells empty and counts them."""


Percentiles = Annotated[
    Listed[Annotated[float, Field(ge=0, le=100)]], Field(min_length=2, max_length=2)
]


class CropKeys(Section):
    """Which crops of an image an encoder sees."""

    crop_px: int = Field(256, ge=8, le=4096)
    """Side of an inference crop in pixels; the grid is floor(H/crop) × floor(W/crop), centred."""
    exclude_border_crops: Literal["auto", True, False] = "auto"
    """Leave out the outer ring of the grid: `auto` does so when the grid is at least 8 wide."""
    overlap_px: int = Field(0, ge=0, le=4095)
    """Pixels that neighbouring inference crops share; 0 tiles the image."""


class ScreenKeys(CropKeys):
    """What every screen has, whatever its source."""

    root: Text = "."
    """Folder that holds the screen's files, relative to the working directory; every other path
    of the screen lies below it."""
    modality: Literal["cell-painting", "brightfield"] = "cell-painting"
    """What the microscope recorded; fixed-channel encoders take one modality."""
    preset: Preset | None = None
    """Limits of step 3 and scope of the consistency test: one preset, or one per kind of
    perturbation. Without it the source decides: rxrx1, rxrx3 (also rxrx3-core), jump-crispr and
    jump-compound (jump-cp), demo (simulated), else paper."""
    limits: KindLimits = Field(default_factory=KindLimits)
    """Limits by kind of perturbation that replace those of the preset."""
    include_experiments: Listed[Text] = ()
    """Only these experiments are read; empty means all."""
    height_px: int | None = Field(None, ge=1)
    """Declared height of an image in pixels: sites whose header has another are refused before
    decoding, listed and counted; null takes what the headers of each plate say."""
    width_px: int | None = Field(None, ge=1)
    """Declared width of an image in pixels: sites whose header has another are refused before
    decoding, listed and counted; null takes what the headers of each plate say."""
    channel_names: Distinct[Text] = ()
    """The channels in the order of the encoders' input, by name (such as DNA, ER, RNA, AGP,
    Mito); empty takes the source's own. Files are matched by name, never by number."""
    window_percentiles: Percentiles = (0.1, 99.9)
    """Percentiles of a channel's pixels in an experiment that become 0 and 255 where 16-bit
    images are read."""
    pack: bool = False
    """Copy the images into a Zarr store before they are used."""
    pack_compression: Literal["zstd", "none", "htj2k", "jpegxl"] = "zstd"
    """Codec of the image store, all lossless: `zstd` with a checksum, `none` is the fastest to
    train from, `htj2k` takes half as much space as zstd, `jpegxl` less and is read slower."""
    pack_chunk_px: int = Field(256, ge=16, le=8192)
    """About the side of a chunk of the image store in pixels (a site is cut into equal parts);
    128 suits remote storage."""
    max_failed_fraction: Fraction = 0.01
    """Share of sites that may be unreadable before packing or embedding fails."""
    quality: Quality = Field(default_factory=Quality)
    """Settings of `quality` for this screen alone."""
    alignment: Alignment = Field(default_factory=Alignment)
    """Settings of `alignment` for this screen alone."""
    consistency: Consistency = Field(default_factory=Consistency)
    """Settings of `consistency` for this screen alone."""
    maps: Maps = Field(default_factory=Maps)
    """Settings of `maps` for this screen alone."""
    benchmarks: Benchmarks = Field(default_factory=Benchmarks)
    """Settings of `benchmarks` for this screen alone."""


class FolderKeys(ScreenKeys):
    """What a screen has whose files are in a folder of their own."""

    root: Text


class TableForm(Section):
    """How text tables (csv, tsv, txt) are written. `auto` decides by the content of each file and
    refuses what can be read in two ways.
    """

    separator: Literal["auto", "comma", "tab", "semicolon", "pipe"] = "auto"
    """What is between two cells."""
    encoding: Text = "auto"
    """`auto` is UTF-8, or UTF-16 where a file begins so; else the name of the encoding, such as
    cp1252 (Windows, latin-1) or mac_roman."""
    decimal: Literal["auto", "point", "comma"] = "auto"
    """Decimal mark of numbers, one for each file."""
    thousands: Literal["none", "comma", "point", "blank"] = "none"
    """What is between the thousands of a number."""


class TableKeys(Section):
    """What a screen has whose metadata is a table: profiles, or a plate layout beside images."""

    wells: Paths | None = None
    """Tables of wells below `root`: a path or glob, or a list of them (csv, tsv, txt, csv.gz,
    parquet, h5ad). Read as text; names keep their zeros and lose their outer blanks. null:
    `barcode_platemap` names the wells, or the images do, whose perturbations are then unknown."""
    join: Listed[Join] = ()
    """Further tables, joined in this order."""
    columns: Columns = Field(default_factory=Columns)
    roles: dict[str, Role] = Field({})
    """Values of the role column and the role they mean. A value that is a role already needs no
    line. Where `columns.role` names the perturbation's column, every other value takes
    `columns.role.default`, which then stands for all that is not named here; without it an
    unknown value is an error."""
    missing_values: Listed[str] = MISSING[1:]
    """Cell texts that mean "nothing is known", beside the empty cell: those of pandas, and IDR's
    "Not listed"."""
    table_format: TableForm = Field(default_factory=TableForm)
    """How the screen's text tables are written."""
    dose_tolerance: Fraction = 0.01
    """Concentrations of one perturbation that differ by no more, relative to the smaller, are one
    concentration, the most frequent; those that change are counted. 0 keeps all."""
    plate_format: Literal[6, 12, 24, 48, 96, 384, 1536] | None = None
    """Wells of a plate (6, 12, 24, 48, 96, 384 or 1536); null takes, for each plate, the
    smallest that holds its wells."""
    barcode_platemap: str | None = None
    """Table that gives each plate its platemap (pycytominer's form), below `root`; null without."""
    platemap_folder: str | None = None
    """Folder of the platemaps (`<name>.txt`), below `root`; null is `platemap` beside the table."""


class ImageKeys(Section):
    """What a screen of microscope exports has."""

    channels: dict[str, Text] = Field({})
    """Names of the channels in the files and what they show (`"HOECHST 33342": DNA`); empty
    takes the names in the files, of the channels that most sites of most plates have."""
    acquisition: TextOrNumber | None = None
    """Acquisition that is read where plates were imaged several times (a measurement of Harmony, a
    timeline of CellVoyager, a staining cycle), as in the files; null takes the first of each
    plate."""
    plane: TextOrNumber | None = None
    """Plane that is read, as in the files (from 0 for ome-zarr); null takes the first of each site
    with all channels."""
    time: TextOrNumber | None = None
    """Time point that is read, as in the files (from 0 for ome-zarr); null takes the first of each
    site with all channels."""


class ImageRootKeys(Section):
    """What a screen has whose images may be elsewhere than its tables."""

    image_root: Text | None = None
    """Folder that the images are below, or address (`https://…`, `s3://bucket/…`), which is read
    without a copy; null is `root`. A web server lists no files: name them all in `images`."""


class NamedImageKeys(ImageRootKeys, ImageKeys):
    """What a screen has whose images are read by file name."""

    images: Paths | None = None
    """Glob of the image files below `root`, or several; null takes every TIFF, PNG, JPEG and JPEG
    2000 file."""


class ProfilesTableScreen(TableKeys, ScreenKeys):
    """A table of wells, usually with their profiles; no images."""

    source: Literal["profiles-table"]
    wells: Paths
    """Tables of wells below `root`: a path or glob, or a list of them (csv, tsv, txt, csv.gz,
    parquet, h5ad). Read as text; names keep their zeros and lose their outer blanks."""


class SimulationKeys(Section):
    """The size of a simulated screen and the strength of what it contains."""

    experiments: int = Field(4, ge=1, le=10_000)
    """Number of experiments."""
    plates: int = Field(4, ge=1, le=1000)
    """Plates of an experiment; a condition has one well on each, its replicates."""
    rows: int = Field(8, ge=1, le=32)
    """Rows of a plate."""
    columns: int = Field(12, ge=1, le=48)
    """Columns of a plate."""
    unperturbed: int = Field(12, ge=0, le=1536)
    """Unperturbed wells on every plate."""
    negative_controls: int = Field(6, ge=0, le=1536)
    """Negative controls on every plate."""
    positive_controls: int = Field(2, ge=0, le=1536)
    """Positive controls on every plate."""
    genes_per_pathway: int = Field(3, ge=1, le=200)
    """Genes of each of the six pathways, which have a morphological direction each."""
    inactive_genes: int = Field(8, ge=0, le=1000)
    """Genes without effect."""
    partial_genes: int = Field(2, ge=0, le=1000)
    """Inactive genes that have an effect in one single experiment."""
    guides: int = Field(2, ge=1, le=100)
    """Guides of every gene."""
    compounds: int = Field(3, ge=0, le=1000)
    """Compounds at eight concentrations, each with a known target gene."""
    positions: Literal["moving", "fixed"] = "moving"
    """Whether a condition stands at another position on every plate or at the same."""
    size_px: int = Field(256, ge=32, le=4096)
    """Side of a square image in pixels."""
    effects: float = Field(1.0, ge=0, lt=100)
    """Factor on all planted effects; 0 plants none."""
    nuisance: float = Field(1.0, ge=0, lt=100)
    """Factor on what differs between experiments, plates, positions and wells."""
    bad_wells: Fraction = 0.03
    """Share of dead, blurred, saturated, empty and debris wells."""


class SimulatedScreen(SimulationKeys, ScreenKeys):
    """Cell Painting wells drawn by a seeded generator, with a known truth."""

    source: Literal["simulated"]
    seed: int | None = Field(None, ge=0)
    """Seed of all that is drawn; null takes the run's. Two simulated screens need two seeds."""


class Rxrx1Screen(FolderKeys):
    """RxRx1 as downloaded (metadata.csv and images/)."""

    source: Literal["rxrx1"]
    metadata: Text = "metadata.csv"
    """Metadata table below `root`."""
    images: Text = "images"
    """Image folder below `root`."""


class Rxrx3Screen(FolderKeys):
    """RxRx3 as downloaded (metadata_rxrx3.csv and images by experiment and plate)."""

    source: Literal["rxrx3"]
    metadata: Text = "metadata_rxrx3.csv"
    """Metadata table below `root`."""
    images: str | None = "images"
    """Image folder below `root`; null reads no images."""


class Rxrx3CoreScreen(FolderKeys):
    """RxRx3-core as downloaded (metadata and Parquet shards of JPEG 2000 images)."""

    source: Literal["rxrx3-core"]
    metadata: Text = "metadata_rxrx3_core.csv"
    """Metadata table below `root`."""
    images: str | None = "data/*.parquet"
    """Glob of the image shards below `root`; null reads no images."""


class JumpCpScreen(ImageRootKeys, FolderKeys):
    """JUMP Cell Painting (cpg0016) by the tables of its datasets repository and load_data files."""

    source: Literal["jump-cp"]
    metadata: Text = "metadata"
    """Folder of well, plate, compound, crispr and orf tables below `root`."""
    load_data: str | None = None
    """Glob of load_data files (csv, csv.gz, parquet) below `root`; null reads no images."""
    images: Text = "."
    """Folder below `root` or `image_root` that stands for the bucket in image addresses."""
    experiment: Literal["batch", "source"] = "batch"
    """What counts as an experiment."""
    sources: Listed[Annotated[str, Field(pattern=r"^source_[0-9]+(?!\n)$")]] = ()
    """Only these sources (`source_4`, …); empty means all."""
    plate_types: Listed[Text] = ()
    """Only these plate types (COMPOUND, CRISPR, ORF, TARGET2, …); empty means all."""
    illumination: bool = True
    """Divide images by their illumination function where one is listed."""


class HarmonyScreen(ImageKeys, TableKeys, FolderKeys):
    """Opera Phenix and Operetta exports (Index.xml, Harmony V5 to V7)."""

    source: Literal["harmony"]
    exports: Paths = "**/[Ii]ndex*.xml"
    """Glob of the index files below `root`, or of the images where there is no index."""


class YokogawaScreen(NamedImageKeys, TableKeys, FolderKeys):
    """CellVoyager exports, read by file name."""

    source: Literal["yokogawa"]


class ImagexpressScreen(NamedImageKeys, TableKeys, FolderKeys):
    """ImageXpress exports, read by file name and folder."""

    source: Literal["imagexpress"]


class FilesScreen(NamedImageKeys, TableKeys, FolderKeys):
    """Images in any layout, read by a pattern of their names."""

    source: Literal["files"]
    pattern: Text
    """Regular expression (Python, without regard to case) that the whole name of an image matches;
    with a `/` in it, the end of the path below `root`. It has the named groups `plate`, `well`
    (or `row` and `column`), `site`, `channel`, `plane`, `time` and `acquisition`, as far as names
    contain them. Without `plate` the plate is the nearest folder that is not `Images`,
    `TimePoint_1` or `ZStep_1`."""
    plate: Text | None = None
    """Plate of all images, where neither names nor folders contain it."""


class OmeZarrScreen(ImageRootKeys, ImageKeys, TableKeys, FolderKeys):
    """Plates of OME-NGFF 0.4, 0.5 or 0.6."""

    source: Literal["ome-zarr"]
    images: Paths = "*.zarr"
    """Glob of the plates below `root` or `image_root`."""


PlannedSource = Literal[
    "profiles-table", "simulated", "rxrx1", "rxrx3", "rxrx3-core", "jump-cp", "harmony",
    "yokogawa", "imagexpress", "files", "ome-zarr",
]  # fmt: skip


class PlannedScreen(ScreenKeys):
    """A screen known only by its size, for dry runs and estimates; it cannot be computed on."""

    source: Literal["planned"]
    planned_source: PlannedSource = "harmony"
    """The source that will take its place; it decides preset and probe tasks."""
    experiments: int = Field(ge=1, le=1_000_000)
    """Number of experiments."""
    num_wells: int = Field(ge=1, le=10_000_000_000)
    """Number of wells."""
    sites: int = Field(1, ge=1, le=1000)
    """Imaged sites of a well."""
    num_channels: int = Field(6, ge=1, le=64)
    """Channels of an image."""
    image_px: int = Field(2048, ge=1, le=65_536)
    """Side of a square image in pixels."""
    control_fraction: Fraction = 0.1
    """Share of wells that are controls."""


Screen = Annotated[
    ProfilesTableScreen
    | SimulatedScreen
    | Rxrx1Screen
    | Rxrx3Screen
    | Rxrx3CoreScreen
    | JumpCpScreen
    | HarmonyScreen
    | YokogawaScreen
    | ImagexpressScreen
    | FilesScreen
    | OmeZarrScreen
    | PlannedScreen,
    Field(discriminator="source", title="a mapping with `source`"),
]
