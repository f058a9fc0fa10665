"""The whole configuration of a run."""

from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from phenoprints.configuration.models.base import Name, Section
from phenoprints.configuration.models.benchmarks import Benchmarks
from phenoprints.configuration.models.curation import Evaluation, Manifest, Probes
from phenoprints.configuration.models.encoders import Encoder
from phenoprints.configuration.models.screens import Screen
from phenoprints.configuration.models.stages import (
    Alignment,
    Annotation,
    Consistency,
    Freshness,
    Inference,
    Maps,
    Match,
    Quality,
    Reports,
    Workers,
)
from phenoprints.configuration.models.studies import Study
from phenoprints.configuration.models.training import Training


def _not_reserved(name: str) -> str:
    if name == "bench":
        raise PydanticCustomError("expected", "another name, since this one is reserved")
    return name


RunName = Annotated[
    Name, AfterValidator(_not_reserved), Field(json_schema_extra={"not": {"const": "bench"}})
]


class Configuration(Section):
    """Everything that a run consists of."""

    run: RunName
    """Name of the run; its results lie in `results/<run>/`. `bench` is reserved."""
    seed: int = Field(0, ge=0, le=4_294_967_295)
    """Seed of everything random; each stage and item derives its own stream from it."""
    screens: dict[Name, Screen]
    """The screens, by name. They differ by `source`."""
    encoders: dict[Name, Encoder] = Field({})
    """The encoders, by name. They differ by `kind`. `<name>.trimmed` is derived."""
    manifests: dict[Name, Manifest] = Field({})
    """The curated training sets, by name."""
    evaluation: Evaluation = Field(default_factory=Evaluation)
    quality: Quality = Field(default_factory=Quality)
    inference: Inference = Field(default_factory=Inference)
    alignment: Alignment = Field(default_factory=Alignment)
    consistency: Consistency = Field(default_factory=Consistency)
    training: Training = Field(default_factory=Training)
    probes: Probes = Field(default_factory=Probes)
    maps: Maps = Field(default_factory=Maps)
    match: Match = Field(default_factory=Match)
    benchmarks: Benchmarks = Field(default_factory=Benchmarks)
    annotation: Annotation = Field(default_factory=Annotation)
    freshness: Freshness = Field(default_factory=Freshness)
    workers: Workers = Field(default_factory=Workers)
    reports: Reports = Field(default_factory=Reports)
    studies: dict[Name, Study] = Field({})
    """Comparisons of training sets on simulated screens, by name (target `study`)."""
