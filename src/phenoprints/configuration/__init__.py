"""What a run consists of: a checked configuration, and the plan that follows from it.

>>> from phenoprints.configuration import load, plan
>>> screens = {"a": {"source": "simulated"}}
>>> config = load({"run": "demo", "screens": screens, "manifests": {"all": {"screens": ["a"]}}})
>>> plan(config).manifests
('all',)
"""

from phenoprints.configuration.freezing import freeze, thaw, write_frozen
from phenoprints.configuration.input_files import found_files, image_state, missing_inputs
from phenoprints.configuration.memory import learned_counts, training_memory_mb
from phenoprints.configuration.paths import READ_BY_SNAKEMAKE
from phenoprints.configuration.planning import (
    Plan,
    image_settings,
    plan,
    screen_seed,
    screen_settings,
    screens_seen,
    shared_jobs,
)
from phenoprints.configuration.presets import preset
from phenoprints.configuration.references import base_encoder, encoders_of_options, has_images
from phenoprints.configuration.renaming import RenamedSettingWarning
from phenoprints.configuration.resolution import load

__all__ = [
    "READ_BY_SNAKEMAKE",
    "Plan",
    "RenamedSettingWarning",
    "base_encoder",
    "encoders_of_options",
    "found_files",
    "freeze",
    "has_images",
    "image_settings",
    "image_state",
    "learned_counts",
    "load",
    "missing_inputs",
    "plan",
    "preset",
    "screen_seed",
    "screen_settings",
    "screens_seen",
    "shared_jobs",
    "thaw",
    "training_memory_mb",
    "write_frozen",
]
