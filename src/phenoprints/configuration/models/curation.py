"""Settings of manifests, of what is compared, and of probes."""

from typing import Literal, get_args

from pydantic import Field

from phenoprints.configuration.models.base import (
    NOT_GIVEN,
    Distinct,
    EncoderName,
    Fraction,
    Listed,
    Name,
    Partial,
    Role,
    Section,
    Text,
)

BenchmarkName = Literal[
    "relationships", "replicates", "magnitude", "compound-gene", "mechanism", "activity",
    "clusters", "enrichment", "proximity-bias",
]  # fmt: skip


class ManifestLimits(Partial):
    """Limits of one kind of perturbation, over those of its screens."""

    min_experiments: int = Field(NOT_GIVEN, ge=1)
    """Distinct experiments that a condition must reach in step 3 of the funnel."""
    min_wells: int = Field(NOT_GIVEN, ge=1)
    """Distinct wells that a condition must reach in step 3 of the funnel."""


class ManifestKindLimits(Partial):
    """Limits by kind of perturbation."""

    crispr: ManifestLimits = NOT_GIVEN
    sirna: ManifestLimits = NOT_GIVEN
    orf: ManifestLimits = NOT_GIVEN
    compound: ManifestLimits = NOT_GIVEN
    other: ManifestLimits = NOT_GIVEN


class SamplingFractions(Section):
    """Share of wells kept in step 4, by role; treatments are all kept."""

    # Source: ViTally Consistent, A.1.
    positive_control: Fraction = 0.1
    """Share of positive controls."""
    unperturbed: Fraction = 0.1
    """Share of wells without any perturbation."""
    negative_control: Fraction = 0.3
    """Share of negative controls."""


class Duplicates(Section):
    """Near duplicates: wells whose unaligned embeddings repeat another well's."""

    encoder: EncoderName | None = None
    """Encoder whose unaligned embeddings are compared; null takes the first judge."""
    width: float = Field(8.0, gt=0)
    """Wells are near duplicates when nearer than replicates ever are: this many robust standard
    deviations below the median log distance of the screen's replicates."""


class Balance(Section):
    """Balance over clusters of aligned embeddings."""

    encoder: EncoderName | None = None
    """Encoder whose aligned embeddings are clustered; null takes the first judge."""
    method: Literal["hierarchical", "cap"] = "hierarchical"
    """Sample flat over the clusters of each level, or cap the share of any cluster."""
    fraction: Fraction = 0.5
    """Share of the wells that `hierarchical` keeps."""
    max_share: float = Field(0.1, gt=0, le=1)
    """Largest share of the kept wells that one cluster of the highest level may have with `cap`."""
    levels: Listed[int] = ()
    """Numbers of clusters by level, lowest first and decreasing; empty derives them from the
    number of wells."""


class Confounders(Section):
    """The ledger of confounders: what else explains a condition's phenotype."""

    encoder: EncoderName | None = None
    """Encoder whose aligned embeddings are explained; null takes the first judge."""
    share: float = Field(0.5, gt=0, le=1)
    """A condition is flagged when one group of covariates explains at least this share of its
    phenotype, and what is left is no phenotype."""
    exclude: Distinct[Literal["cell_count_only", "position_only"]] = ()
    """Flags whose wells leave the manifest; empty reports them only."""


class ManifestKeys(Section):
    """How the funnel decides."""

    judges: Distinct[EncoderName] = ()
    """Encoders that decide which conditions have a phenoprint (step 5); empty skips step 5."""
    p_value: float = Field(0.01, le=1, gt=0)
    """A condition has a phenoprint below this combined p-value for any judge."""
    judge_by: Literal["condition", "perturbation", "gene"] = "condition"
    """Judge each condition; `perturbation` lets one condition with a phenoprint keep all of its
    perturbation; `gene` judges conditions that have a gene by the test of all wells of the
    gene's guides."""
    combine: Literal["cauchy", "any-experiment"] = "cauchy"
    """Combine the experiments' p-values by Cauchy, or accept any experiment below the threshold."""
    rare_condition_rule: Literal["any", "all"] = "any"
    """A well of several perturbations leaves at step 3 when any, or all, of its conditions are
    rare."""
    sampling_fractions: SamplingFractions = Field(default_factory=SamplingFractions)
    """Share of wells kept in step 4, by role; treatments are all kept."""
    keep_controls: bool = True
    """Keep the controls that survive step 4 in the final manifest."""
    max_perturbations: int = Field(3, ge=1, le=1000)
    """A well with more perturbations leaves at step 2."""
    min_experiments: int | None = Field(None, ge=1)
    """Experiments that a condition must reach in step 3; null is the preset's."""
    min_wells: int | None = Field(None, ge=1)
    """Wells that a condition must reach in step 3; null is the preset's."""
    limits: ManifestKindLimits = Field(default_factory=ManifestKindLimits)
    """Limits of step 3 by kind of perturbation; without them `min_experiments` and `min_wells`,
    else the most lenient of its screens."""
    hold_out: Distinct[Text] = ()
    """Experiments that are left out, as `<experiment>`, or `<screen>/<experiment>` where
    screens share names."""
    duplicates: Duplicates | None = None
    """Drop near duplicates after step 5; null keeps them."""
    balance: Balance | None = None
    """Balance the remaining wells over clusters of their embeddings; null keeps them all."""
    confounders: Confounders | None = None
    """Compute the ledger of confounders; null leaves it out."""


class Manifest(ManifestKeys):
    """A curated training set; without judges the funnel ends after step 4."""

    screens: Distinct[Name] = Field(min_length=1)
    """Screens whose wells it draws from."""


class Evaluation(Section):
    """What is compared with what."""

    screens: Distinct[Name] = ()
    """Screens that maps and benchmarks are made of."""
    encoders: Distinct[EncoderName] = ()
    """Encoders that are compared; `<encoder>.trimmed` ends after the block that the probes
    choose."""
    by_screen: dict[Name, Distinct[EncoderName]] = Field({})
    """Encoders that are compared on one of the screens, instead of `encoders`: `jump: [openphenom,
    chance]`. Those named here alone are not probed."""
    probes: Distinct[Name] = ()
    """Probe tasks, by their names in `probes.tasks`."""
    benchmarks: Distinct[BenchmarkName] = get_args(BenchmarkName)
    """Benchmarks of every map; one that a screen has no data for is reported as not run."""


class TaskKeys(Section):
    """One classification that block features are probed with."""

    labels: Literal["perturbation", "gene", "groups", "annotation"]
    """What is classified: perturbation, gene, a group of genes, or an annotation of the
    condition."""
    annotation: str | None = None
    """Column of the conditions table, for `labels: annotation`."""
    groups: str | None = None
    """Table of groups and genes (tsv), for `labels: groups`; `anax` is built in."""
    controls: Listed[Role] = ()
    """Roles that are classes of their own, one class per role or, for `perturbation`, by
    perturbation."""
    across_cell_types: bool = False
    """Train one probe on all cell types of a screen, as the paper did on RxRx1; false probes
    each cell type apart."""


class Task(TaskKeys):
    """One classification that block features are probed with."""

    screens: Listed[Name] = ()
    """Screens it runs on; empty takes every screen of the sources it is made for."""
    sources: Listed[str] = ()
    """Sources that it is made for; empty means all."""


class ProbeKeys(Section):
    """How a linear probe is fitted; names are those of scikit-learn where it has them."""

    max_iter: int = Field(2000, ge=1)
    """Largest number of iterations of the solver."""
    tol: float = Field(0.0001, gt=0)
    """Tolerance of the solver."""
    sensitivity_tol: float | None = Field(1e-06, gt=0)
    """Tolerance of a second fit shown beside; null leaves it out."""
    inverse_penalty: float = Field(1.0, gt=0)
    """Inverse strength of the penalty (C of scikit-learn)."""
    device: Literal["cpu", "cuda"] = "cpu"
    """Where the solver runs."""


class Probes(ProbeKeys):
    """Linear probes of every block."""

    tasks: dict[Name, Task] = Field({})
    """Further tasks, by name; `rxrx1`, `anax` and `pathway` are built in."""
    trim_tasks: Listed[Name] = ()
    """Tasks that decide where trimmed encoders end (mean rank); empty takes all."""
    block_selection: Literal["validation", "paper", "one-standard-error"] = "validation"
    """Choose the block on validation experiments, on the test experiments as the paper did, or
    the earliest within one standard error."""
    split: Literal["experiments", "genes"] = "experiments"
    """Unseen experiments or unseen genes of a group make the test split."""
    validation_fraction: Fraction = 0.2
    """Share of experiments (or genes) that choose the block."""
    test_fraction: Fraction = 0.2
    """Share of experiments (or genes) that the accuracy is reported on."""
    max_wells_per_class: int | None = Field(None, ge=2)
    """Wells of a class that are used at most, drawn by a hash of the well; null uses all."""
