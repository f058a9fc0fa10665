"""Settings of the stages from quality to maps, and of reports."""

from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, Field

from phenoprints.configuration.models.base import (
    Distinct,
    Fraction,
    Listed,
    Name,
    Section,
    Text,
    not_one,
)

SiteRuleCode = Annotated[
    str, Field(pattern=r"^QC[0-9]{3}(?!\n)$", title="a rule code such as QC012")
]
PlateRuleCode = Annotated[
    str, Field(pattern=r"^QC03[0-9](?!\n)$", title="a rule code such as QC034")
]
SLURM_OPTIONS = (
    "begin", "clusters", "comment", "constraint", "contiguous", "cpu-freq", "deadline",
    "dependency", "exclude", "exclusive", "gres", "hint", "licenses", "mail-type", "mail-user",
    "network", "nice", "no-requeue", "nodelist", "oversubscribe", "prefer", "priority", "qos",
    "reboot", "requeue", "reservation", "switches", "time-min", "tmp", "wckey",
)  # fmt: skip
"""Options of sbatch that place a job; those that name files or set variables are left out."""
SlurmOption = Annotated[
    str,
    Field(
        pattern=rf"^--({'|'.join(SLURM_OPTIONS)})(=[A-Za-z0-9_.,:=+@&|!()\[\]-]+)?(?!\n)$",
        title=f"--<name>=<value> without blanks, name one of {', '.join(SLURM_OPTIONS)}",
    ),
]
SlurmWord = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.,-]*(?!\n)$",
        title="a name of letters, digits and _ . , -",
    ),
]
NetworkInterface = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:-]*(?!\n)$",
        title="a name of letters, digits and _ . : -",
    ),
]
ScriptPath = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9_./][A-Za-z0-9_./-]*(?!\n)$",
        title="a path of letters, digits and _ . / -",
    ),
]
MapLevel = Literal["condition", "guide", "gene", "compound", "concentration"]
Bounds = Annotated[Listed[float | None], Field(min_length=2, max_length=2)]


class Quality(Section):
    """Which images can be trusted."""

    max_robust_z: float = Field(6.0, gt=0)
    """Robust z-score against the plate's own controls beyond which a metric fails."""
    min_sharpness: float = Field(0.003, ge=0)
    """Sharpness (Laplacian variance over variance, as the median over channels) below which an
    image is blurred whatever its controls are."""
    max_saturated_percent: float = Field(1.0, ge=0, le=100)
    """Percentage of pixels at the largest value beyond which a channel is saturated."""
    max_intensity_factor: float = Field(3.0, gt=1)
    """Factor between a channel's mean and the controls' beyond which it is too dark or too
    bright."""
    max_unevenness: float = Field(1.5, ge=0)
    """Unevenness of illumination, (highest - lowest) / mean, beyond which an image can fail."""
    max_background_slope: float = Field(0.75, gt=0)
    """Change of the logarithm of the background from edge to edge, beyond that of the controls, at
    which light is uneven."""
    max_noise_slope: float = Field(0.28, gt=0)
    """Change of the logarithm of the noise from edge to edge, beyond that of the controls, at which
    light is uneven."""
    max_blank_percent: float = Field(2.0, ge=0, le=100)
    """Percentage of rows or columns of one single value, beyond that of the controls, at which part
    of the frame is missing."""
    max_channel_correlation: float = Field(0.998, le=1, gt=0)
    """Correlation beyond which two channels are the same image."""
    max_copied_percent: float = Field(1.0, ge=0, le=100)
    """Percentage of blocks of 8 × 8 pixels that stand twice in a channel."""
    max_debris_percent: float = Field(1.0, ge=0, le=100)
    """Percentage of pixels very bright in all channels at once beyond which there is debris."""
    min_nuclei: int = Field(3, ge=0)
    """Nuclei of a site below which it counts as empty."""
    max_dead_fraction: Fraction = 0.5
    """Share of condensed nuclei beyond which a site counts as dead."""
    condensed_factor: float = Field(4.5, gt=1)
    """Intensity over area of a nucleus, relative to the controls' median, beyond which it is
    condensed."""
    min_good_sites: Fraction = 0.5
    """Share of a well's sites that must pass for the well to pass."""
    nucleus_channel: str | None = None
    """Channel that shows nuclei; null takes the first whose name contains DNA, Hoechst, DAPI or
    nuclei. Where none does, the rules of nuclei (QC020, QC021) are not applied."""
    bounds: dict[str, Bounds] = Field({})
    """Absolute bounds by metric, as [lowest, highest] with null for none: `laplacian_variance:
    [20, null]`."""
    disabled_rules: Listed[SiteRuleCode] = ()
    """Rule codes that do not fail a site or well."""
    min_controls: int = Field(4, ge=1)
    """Good control wells of a plate below which it gets a warning and its sites are compared
    with the experiment's."""
    min_control_correlation: float = Field(0.0, ge=-1, le=1)
    """Median correlation between control wells below which a plate gets a warning."""
    min_separation: float = Field(1.2, ge=0)
    """Distance of positive controls relative to other controls below which a plate gets a
    warning."""
    max_edge_effect: float = Field(2.0, ge=0)
    """Robust z between edge and inner wells beyond which a plate gets a warning."""
    plate_rules_that_fail: Listed[PlateRuleCode] = ()
    """Codes of plate rules (QC030 to QC034) whose breach fails all wells of the plate."""
    num_jobs: int = Field(1, ge=1, le=1000)
    """Jobs that a screen's images are measured in."""


class Inference(Section):
    """How encoders look at images."""

    batch_size: int = Field(128, ge=1, le=1_000_000)
    """Crops of a forward pass."""
    precision: Literal["float32", "bfloat16", "int8", "fp8"] = "float32"
    """Arithmetic of the forward pass; `int8` and `fp8` have the blocks' products in 8 bits and all
    else as `bfloat16`."""
    stored_as: Literal["float32", "float16"] = "float32"
    """Type of the stored vectors."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it runs; `auto` takes an accelerator when there is one."""
    num_jobs: int = Field(4, ge=1, le=1000)
    """Jobs that a screen's units are divided into; 1 does all of a pair in one job."""
    unit_wells: int = Field(1024, ge=1, le=1_000_000)
    """Wells of a unit, the smallest piece of restartable work."""
    keep_crops: bool = False
    """Keep the vector of each crop too, not only the well's mean."""
    keep_blocks: bool = False
    """Keep the features of every block of every well, not only of the wells that probes use."""
    max_kept_gb: float = Field(100, gt=0)
    """Size in GB beyond which the vectors of crops, or of every block, are refused, by the
    estimate made before."""
    share_image_reads: bool = False
    """Encoders that are ready at the same time look at a screen in the same jobs, so that every
    image is read once for all of them; the results are the same."""
    num_workers: int = Field(0, ge=0, le=256)
    """Threads that read images beside the forward pass."""


NumFolds = Annotated[
    int,
    Field(ge=0, le=100),
    AfterValidator(not_one),
    Field(json_schema_extra={"not": {"const": 1}}),
]


class Alignment(Section):
    """How batch effects are removed."""

    method: Literal["tvn", "pca-center-scale", "center-scale", "none"] = "tvn"
    """Typical variation normalisation, PCA with centre-scaling, centre-scaling alone, or
    nothing."""
    tvn_variant: Literal["current", "efaar-1.0"] = "current"
    """Variant of TVN; `efaar-1.0` keeps the defect of that release."""
    standardize_first: Literal["auto", True, False] = "auto"
    """Standardise on all controls before the PCA: `auto` is on for precomputed profiles and off
    for networks."""
    controls: Literal["auto", "unperturbed", "negative_control"] = "auto"
    """Wells it is fitted on: `auto` takes unperturbed wells where the screen has them, else
    negative controls."""
    batch: Literal["experiment", "plate"] = "experiment"
    """What counts as a batch."""
    small_batches: Literal["error", "skip"] = "error"
    """What happens to a batch with too few controls: an error, or its wells get NaN."""
    min_controls: int = Field(4, ge=2, le=1_000_000)
    """Controls that a batch needs."""
    warn_controls: int = Field(16, ge=0, le=1_000_000)
    """Controls below which a batch gets a warning."""
    shrinkage: Literal["ridge", "oas"] = "ridge"
    """How TVN makes a covariance of few controls invertible: a fixed ridge, or oracle
    approximating shrinkage."""
    ridge: float = Field(0.5, gt=0)
    """Added to the diagonal of the covariances of TVN, in units of the standardised components."""
    pca_tolerance: float = Field(1e-06, ge=0, le=1)
    """Components below this share of the largest eigenvalue are dropped."""
    max_components: int | None = Field(None, ge=1)
    """Components kept at most; null keeps all above the tolerance."""
    folds: NumFolds = 3
    """Subsets of the controls; maps are also fitted without each, for every comparison with
    controls; 0 for none."""
    remove_position: Literal["none", "plate-rows-columns"] = "none"
    """Remove row and column effects per plate by median polish fitted on controls."""
    chromosome_arms: Literal["auto", True, False] = "auto"
    """Remove chromosome-arm bias of CRISPR wells: `auto` does so where a screen has CRISPR
    wells with genes and the table of loci lies in annotation.folder."""
    arm_expression: str | None = None
    """Table of gene expression (zFPKM) that names unexpressed genes; null uses all genes of the
    arm."""
    arm_min_genes: int = Field(20, ge=1)
    """An arm is corrected when it has more genes than this."""
    arm_max_zfpkm: float = -3.0
    """A gene below this zFPKM counts as unexpressed."""
    save_arrays: bool = False
    """Also store the aligned vectors, not only the maps that give them."""


NullModel = Literal[
    "plate-matched", "experiment", "layout-matched", "any-wells", "negative-controls"
]


class Consistency(Section):
    """The test that asks which conditions look the same every time."""

    null_model: NullModel = "plate-matched"
    """Which random sets of wells a condition is compared with: `plate-matched` have its number of
    wells on each plate, `experiment` come from anywhere in the experiment (the paper's null),
    `layout-matched` have its numbers per plate and distance from the edge, `any-wells` may share a
    condition, `negative-controls` are control wells."""
    scope: Literal["preset", "within-experiments", "across-experiments"] = "preset"
    """Test within each experiment, or across them; `preset` follows the screen's preset by kind
    of perturbation."""
    num_null: int = Field(10_000, ge=100, le=10_000_000)
    """Random sets per test."""
    p_value_formula: Literal["max-1", "plus-1"] = "max-1"
    """p as max(b, 1)/K, or as (b + 1)/(K + 1)."""
    weights: Literal["equal", "sqrt-wells"] = "equal"
    """Weights of the experiments in the Cauchy combination."""
    p_value_clip: float | None = Field(None, le=1, gt=0.5)
    """Largest p-value that enters the combination, such as 0.99; null is 1 - 1/K."""
    gene_level: Literal["wells", "guides"] = "wells"
    """Test genes by all wells of their guides, or combine the guides' p-values."""
    control_guard: bool = True
    """Also test pseudo-conditions of negative controls."""


class Maps(Section):
    """One vector per perturbation."""

    levels: Distinct[MapLevel] = Field(get_args(MapLevel), min_length=1)
    """What a vector stands for; levels that a screen does not have are left out."""
    aggregate: Literal["spherical-mean", "mean", "median"] = "spherical-mean"
    """How replicates become one vector."""
    guides_first: bool = False
    """Aggregate the wells of each guide before the guides of a gene."""
    centre_on: Literal["controls", "non-targeting", "none"] = "controls"
    """Subtract the mean of the alignment's control wells, of non-targeting guides (not with arm
    correction), or nothing."""
    min_wells: int = Field(1, ge=1)
    """Usable wells that a vector needs."""
    num_neighbours: int = Field(10, ge=1, le=1000)
    """Nearest neighbours listed for each perturbation."""
    layout: Literal["pca", "tsne"] = "pca"
    """How the map is laid out in two dimensions."""
    activity_p_value: Fraction = 0.01
    """p-value below which a concentration is active."""
    num_null: int = Field(1000, ge=100, le=1_000_000)
    """Sets of wells, per fold of the controls, that a concentration is compared with."""
    null_model: Literal["plate-matched", "experiment"] = "plate-matched"
    """Sets that a concentration is compared with: as many wells of each plate (`plate-matched`),
    or of each experiment, which takes its plates for alike."""


class MatchSearch(Section):
    """How conditions are compared with a frozen map."""

    levels: Distinct[MapLevel] = Field(("gene", "condition"), min_length=1)
    """Levels of the reference's map in which neighbours are sought; a kind of perturbation counts
    at the first of these levels that it has."""
    num_neighbours: int = Field(10, ge=1, le=1000)
    """Neighbours listed for each condition."""
    null_model: Literal["plate-matched", "experiment", "layout-matched", "any-wells"] = (
        "plate-matched"
    )
    """Random sets of wells that neighbours are compared with, as for consistency."""
    num_null: int = Field(10_000, ge=100, le=1_000_000)
    """Random sets per design of a condition."""
    num_resamples: int = Field(1000, ge=100, le=100_000)
    """Resamples of a condition's wells for the interval of a cosine."""
    max_q: Fraction = 0.05
    """q-value below which a neighbour counts."""
    other_cell_types: Literal["refuse", "allow"] = "refuse"
    """What happens where the reference has no perturbation in a cell type of the screen."""
    misfit: Literal["refuse", "mark"] = "refuse"
    """What happens to an experiment whose controls lie outside the range of the reference's:
    nothing is published, or every row is marked."""


class Match(MatchSearch):
    """New screens that are placed on a frozen reference (`phenoprints freeze`), which stays as it
    is; how their conditions are compared with its map.
    """

    reference: Text | None = None
    """Folder of the reference; needed where `screens` names any."""
    screens: Distinct[Name] = ()
    """Screens of this configuration that are matched."""
    encoder: Name | None = None
    """Encoder of this configuration that the reference was made with; null takes the only one."""


class Annotation(Section):
    """Where tables of known biology come from."""

    folder: str | None = None
    """Folder that is searched for the tables first, below it by file name; null downloads them."""
    cache: Text = "~/.cache/phenoprints"
    """Folder that downloads are kept in by source and sha256."""
    offline: bool = False
    """Never download; a table that is not at hand is reported as not run."""


class Paper(Section):
    """What stands for the rows of the paper's tables."""

    encoders: dict[str, Name] = Field({})
    """Encoder that stands for a published one (by its name in the page's table); trimmed rows
    take `<encoder>.trimmed`."""
    screens: dict[Literal["1", "2", "3", "6"], Name] = Field({})
    """Screen that stands for that of a table, by the table's number (1, 2, 3 or 6)."""
    tasks: dict[Literal["rxrx1", "anax"], Name] = Field({})
    """Probe task that stands for the published one (rxrx1 or anax)."""


class Reports(Section):
    """What a person reads."""

    title: str | None = None
    """Title of the first page; null takes the run's name."""
    paper: Paper | None = None
    """What stands for the rows of the paper's tables, for a page that sets every published value
    beside ours or says why it was not run; null leaves the page out."""
    num_images: int = Field(60, ge=0, le=1000)
    """Image tiles of example wells of a screen or manifest at most; 0 shows no image."""


class Freshness(Section):
    """How it is found out whether inputs have changed since results were made."""

    max_files: int = Field(1_000_000, ge=1)
    """Image files of a screen whose size and time are looked at when a run starts; of more, the
    times of their folders and a seeded sample. `phenoprints verify --images` looks at all."""


class Workers(Section):
    """Where the pieces of one job run, in the stages that spread them (quality); no setting
    changes a result.
    """

    cluster: Literal["local", "slurm"] = "local"
    """`local` takes processes of the job, as many as its threads; `slurm` submits jobs of their
    own (dask-jobqueue), which live as long as the job that works with them."""
    num_jobs: int = Field(4, ge=1, le=1000)
    """Jobs of `slurm`, for each job of the stage."""
    cores: int = Field(8, ge=1, le=1024)
    """Processes of each of these jobs."""
    memory_mb: int = Field(2000, ge=100)
    """Megabytes of each process."""
    runtime_min: int = Field(1440, ge=1)
    """Minutes that such a job may take."""
    partition: SlurmWord | None = None
    """Partition of such a job; null is the cluster's default."""
    account: SlurmWord | None = None
    """Account of such a job; null is the user's default."""
    interface: NetworkInterface | None = None
    """Network interface that workers are reached over, such as ib0; null is the host's own."""
    extra: Listed[SlurmOption] = ()
    """Further options of sbatch, such as `--qos=long`, each `--name=value`: those that say
    where and how a job is placed. Options that name files or set variables are refused."""
    folder: ScriptPath = ".workers"
    """Folder for the logs of such jobs; all nodes must see it."""
