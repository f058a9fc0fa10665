"""Settings of studies: encoders of several arms over several seeds, compared in pairs."""

from typing import Annotated, Literal

from pydantic import Field

from phenoprints.configuration.models.base import Distinct, Section
from phenoprints.configuration.models.encoders import Architecture, Recipe
from phenoprints.configuration.models.screens import SimulationKeys

Arm = Literal["everything", "random", "phenoprints", "oracle"]
Margin = Annotated[float, Field(gt=0)]


class Margins(Section):
    """Differences below which two arms count as equivalent, chosen before a study runs."""

    explained_gap: Margin = 0.01
    """Explained variance of hidden patches on active minus inactive wells."""
    ks: Margin = 0.03
    """Kolmogorov-Smirnov statistic of replicates."""
    cvm: Margin = 0.3
    """Cramér-von Mises statistic of replicates."""
    trait_r2: Margin = 0.03
    """R² of the simulated traits from aligned vectors."""
    probe: Margin = 0.03
    """Balanced accuracy of the pathway probe."""
    recall: Margin = 0.05
    """Known pairs recalled."""
    phenoprints: Margin = 0.05
    """Share of genes with an effect that have a phenoprint."""
    specificity: Margin = 0.02
    """Share of genes without effect that have none."""


class Study(Section):
    """One question about training sets, asked on simulated screens whose truth is known."""

    simulation: SimulationKeys = Field(default_factory=SimulationKeys)
    """The screens; each seed draws its own."""
    seeds: Distinct[Annotated[int, Field(ge=0)]] = (0, 1, 2, 3, 4)
    """Seeds of screens, weights and crops, fixed before the study runs."""
    train_experiments: int = Field(4, ge=1)
    """Experiments, the first ones, that judges and encoders learn from; the others test."""
    arms: Distinct[Arm] = ("everything", "random", "phenoprints")
    """Training sets: every well, a random part of the curated size, what the judges call, the
    truth."""
    baselines: Distinct[Literal["untrained", "simple"]] = ("untrained", "simple")
    """Encoders that learn nothing, scored beside the arms."""
    comparison: Literal["equal-crops", "published-ratio"] = "equal-crops"
    """Whether every arm sees `num_crops`, or only the curated ones do and the others 3.5/8 of
    them, as in the paper."""
    num_crops: int = Field(100_000, ge=16)
    """Crops of each training."""
    judge_crops: int = Field(20_000, ge=16)
    """Crops of the judges' trainings."""
    architecture: Architecture = "vit-tiny"
    """Network of the arms."""
    recipe: Recipe = "demo"
    """Recipe of the arms."""
    crop_px: int = Field(32, ge=8, le=512)
    """Side of crops."""
    fidelity_crops: int = Field(2048, ge=32)
    """Crops of test wells on which reconstructions are measured."""
    p_value: float = Field(0.01, gt=0, lt=1)
    """Largest combined p-value of a phenoprint."""
    margins: Margins = Field(default_factory=Margins)
