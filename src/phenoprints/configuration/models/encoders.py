"""Settings of encoders, by what they are."""

from typing import Annotated, Literal

from pydantic import Field, Tag

from phenoprints.configuration.models.base import (
    BY_SHAPE,
    NAME_PATTERN,
    NOT_GIVEN,
    Distinct,
    Fraction,
    Listed,
    Name,
    Partial,
    Paths,
    Section,
    Text,
)
from phenoprints.configuration.models.screens import ColumnSpec, TableForm
from phenoprints.configuration.models.training import Training, WeightInit

Architecture = Literal[
    "ca-vit-b16", "ca-vit-b8", "ca-vit-g16", "ca-vit-g8", "ca-vit-h16", "ca-vit-h8", "ca-vit-l16",
    "ca-vit-l8", "ca-vit-s16", "ca-vit-s8", "ca-vit-t16", "ca-vit-t8", "ca-vit-tiny", "cnn-small",
    "cnn-tiny", "densenet161", "mu-net", "mu-net-tiny", "vit-b16", "vit-b8", "vit-g16", "vit-g8",
    "vit-h16", "vit-h8", "vit-l16", "vit-l8", "vit-s16", "vit-s8", "vit-t16", "vit-t8",
    "vit-tiny",
]  # fmt: skip


Recipe = Literal[
    "default", "demo", "demo-wsl", "small", "paper-s16", "paper-l8", "paper-g8", "paper-judge-l8",
    "paper-judge-wsl", "openphenom", "mu-net", "dinov2-attempt",
]  # fmt: skip
OtherName = Annotated[str | None, Field(pattern=NAME_PATTERN)]
Weights = Annotated[
    str, Field(pattern=r"\.safetensors(?!\n)$", title="a path that ends in .safetensors")
]


class NetworkKeys(Section):
    """What every encoder with a network has."""

    crop_px: int | None = Field(None, ge=8, le=4096)
    """Side of the network's input in pixels; null is the crop of its training or the
    architecture's own."""
    resize: Literal["error", "resize"] = "error"
    """What happens to crops of another size than the input."""
    num_jobs: int | None = Field(None, ge=1, le=1000)
    """Jobs that a screen's units are divided into for this encoder; null is
    `inference.num_jobs`."""
    block: int | None = Field(None, ge=1)
    """Block whose output is the embedding, counted from 1; null is the last."""
    adapt_batch_norm: bool = False
    """Give the batch norms of a convolutional network the statistics of each experiment before
    it is looked at (AdaBN)."""


class TrainedKeys(NetworkKeys):
    """What every encoder has that is trained here."""

    recipe: Recipe = "default"
    """Named settings of training; `training` here and at the top level replace single ones."""
    training: Training = Field(default_factory=Training)
    """Settings of `training` for this encoder alone."""
    start_from: OtherName = None
    """Encoder whose weights training starts from; null starts from random weights."""


class MaeEncoder(TrainedKeys):
    """A masked autoencoder, trained on a manifest."""

    kind: Literal["mae"]
    architecture: Architecture
    """Network."""
    manifest: Name
    """The manifest it learns from."""
    pool: Literal["mean", "class"] = "mean"
    """How tokens become one vector."""


class WeaklySupervisedEncoder(TrainedKeys):
    """A classifier of perturbations, trained on a screen or on a manifest."""

    kind: Literal["weakly-supervised"]
    architecture: Architecture
    """Network."""
    manifest: OtherName = None
    """The manifest it learns from; null where `screen` is given."""
    screen: OtherName = None
    """The screen it learns from (all its wells of good quality); null where `manifest` is given."""
    labels: Literal["perturbation", "gene", "condition"] = "perturbation"
    """What is classified."""
    classify_unperturbed: bool = False
    """Make unperturbed wells a class of their own, such as the untreated well among RxRx1's
    1,139 classes."""
    pool: Literal["class", "mean"] = "class"
    """How tokens become one vector (`class` for transformers, mean over space for densenets)."""


class DinoEncoder(TrainedKeys):
    """DINOv2 pre-training on a manifest."""

    kind: Literal["dino"]
    architecture: Architecture
    """Network."""
    manifest: Name
    """The manifest it learns from."""
    pool: Literal["class", "mean"] = "class"
    """How tokens become one vector."""


class UntrainedEncoder(NetworkKeys):
    """A network with random weights, the baseline of every trained one."""

    kind: Literal["untrained"]
    architecture: Architecture
    """Network."""
    num_channels: int | None = Field(None, ge=1, le=64)
    """Channels of its input; null takes those of its screens."""
    layer_scale: float = Field(1.0, le=10, gt=0)
    """Initial factor of each block's output (vision transformers). With the 1e-4 of most recipes
    an untrained network hardly changes its input, so the baseline has 1."""
    patch_px: int | None = Field(None, ge=1, le=256)
    """Side of a transformer's patches in pixels; null is the architecture's own."""
    weight_init: WeightInit = "mae"
    """Weights of a transformer, as `training.weight_init` of a trained one."""
    pool: Literal["mean", "class"] = "mean"
    """How tokens become one vector."""


class SimpleEncoder(NetworkKeys):
    """Statistics of crops: mean and SD of each channel, granularity, correlations of channels."""

    kind: Literal["simple"]
    num_channels: int | None = Field(None, ge=1, le=64)
    """Channels of its input; null takes those of its screens."""


class CellCountEncoder(NetworkKeys):
    """The density of cells alone, as bright spots of the first channel."""

    kind: Literal["cell-count"]
    num_channels: int | None = Field(None, ge=1, le=64)
    """Channels of its input; null takes those of its screens."""


class OpenphenomEncoder(NetworkKeys):
    """OpenPhenom's published weights, on any number of channels up to 11."""

    kind: Literal["openphenom"]
    weights: Weights
    """Path of model.safetensors."""
    channelwise: bool = False
    """Keep one vector per channel (384 × channels) instead of their mean."""


class TimmEncoder(NetworkKeys):
    """A pretrained network of timm, not fine-tuned; its RGB weights are repeated over the
    channels.
    """

    kind: Literal["timm"]
    model: str = Field(pattern=r"^[A-Za-z0-9_./:-]+(?!\n)$")
    """Name of the model in timm."""
    weights: Weights | None = None
    """Path of its weights (safetensors); null downloads them by timm."""
    pool: Literal["class", "mean"] = "class"
    """How tokens become one vector."""


ProfilePaths = Annotated[
    Annotated[Text, Tag("<text>")]
    | Annotated[Listed[Text], Tag("<list>")]
    | Annotated[dict[str, Paths], Tag("<mapping>")],
    BY_SHAPE,
    Field(title="paths or globs, or a mapping from screen to such"),
]


class WellColumns(Partial):
    """Columns that identify the well of a row."""

    experiment: ColumnSpec = NOT_GIVEN
    plate: ColumnSpec = NOT_GIVEN
    well: ColumnSpec = NOT_GIVEN


class PrecomputedEncoder(Section):
    """Vectors that someone else computed, one or more rows per well."""

    kind: Literal["precomputed"]
    screens: Distinct[Name] = Field(min_length=1)
    """The screens it has vectors for."""
    profiles: ProfilePaths = ()
    """Vectors: paths or globs below the screen's `root`, or a mapping from screen to such.
    Tables (csv, tsv, txt, csv.gz, parquet, h5ad), arrays with a row per vector (.npy, the folder
    of a Zarr array), or a store of embeddings of another run. Empty takes the `wells` tables of
    the screen itself."""
    row_tables: ProfilePaths = ()
    """For `profiles` that are arrays: tables (csv, parquet) that name the well of each row, one
    for each array in their order, by the columns below or by ids in a column `well_id`; paths,
    globs or a mapping as for `profiles`."""
    features: Listed[Text] = ()
    """Columns of the vectors, as names or globs in this order; a column may hold lists.
    `preset:cellprofiler` stands for the compartments Cells_, Cytoplasm_ and Nuclei_. Empty takes
    the numeric columns that are not mapped, constant, unnamed or named as an identifier, a dose
    or Metadata_ or Image_; `phenoprints check` lists what is excluded, and why."""
    exclude_features: Listed[Text] = ()
    """Names or globs of columns that are no features. `preset:pycytominer-blocklist` stands for
    the features that pycytominer leaves out of Cell Painting profiles."""
    feature_sets: Literal["equal", "shared"] = "equal"
    """What happens to tables with different features: `equal` refuses them, `shared` takes the
    features that every table has and counts the others."""
    nan_features: Literal["refuse", "drop", "impute-plate-median"] = "refuse"
    """What happens to features without a value in some wells: `refuse` leaves these wells without
    a vector; `drop` leaves out features that miss in more than `max_nan_fraction` of the rows
    first; `impute-plate-median` then fills what is still missing from the plate."""
    max_nan_fraction: Fraction = 0.05
    """Share of rows without a value above which a feature is left out, with `drop` and
    `impute-plate-median`."""
    table_format: TableForm | None = None
    """How the text tables of the vectors are written; null takes the screen's."""
    columns: WellColumns = Field(default_factory=WellColumns)
    """Columns that say which well a row belongs to (experiment, plate, well); empty takes those
    of the screen."""
    id_column: Text | None = None
    """One column that names the well, instead of `columns`; null without."""
    id_pattern: Text = (
        r"^(?P<experiment>.+?)_(?P<plate>[^_]+)_(?P<well>[A-Za-z]{1,2}[0-9]{1,2})"
        r"(?:_(?P<site>[0-9]+))?$"
    )
    """Regular expression with the groups experiment, plate, well (and site, which is averaged
    over) that reads `id_column`."""


class RandomEncoder(Section):
    """Random vectors, the floor of every benchmark."""

    kind: Literal["random"]
    num_features: int = Field(128, ge=2, le=65_536)
    """Length of a vector."""


Encoder = Annotated[
    MaeEncoder
    | WeaklySupervisedEncoder
    | DinoEncoder
    | UntrainedEncoder
    | SimpleEncoder
    | CellCountEncoder
    | OpenphenomEncoder
    | TimmEncoder
    | PrecomputedEncoder
    | RandomEncoder,
    Field(discriminator="kind", title="a mapping with `kind`"),
]
