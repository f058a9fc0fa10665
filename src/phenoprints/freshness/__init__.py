"""Whether what a run holds was made with the present configuration, from the present inputs."""

from phenoprints.freshness.checking import Stale, stale_artefacts
from phenoprints.freshness.marking import check_run, mark
from phenoprints.freshness.recorded import (
    Recorded,
    recorded_artefacts,
    settings_as_made,
    version_text,
    versions_of_stages,
)

__all__ = [
    "Recorded",
    "Stale",
    "check_run",
    "mark",
    "recorded_artefacts",
    "settings_as_made",
    "stale_artefacts",
    "version_text",
    "versions_of_stages",
]
