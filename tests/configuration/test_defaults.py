"""Each default is written once: settings of stages and signatures of functions agree with it."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import pytest

import phenoprints
from phenoprints.alignment import AlignmentSettings
from phenoprints.configuration import load
from phenoprints.configuration.json_schema import every_model
from phenoprints.configuration.models.base import Section
from phenoprints.configuration.models.run import Configuration
from phenoprints.configuration.models.screens import SimulatedScreen
from phenoprints.consistency import ConsistencySettings
from phenoprints.curation import Rules
from phenoprints.embeddings import Geometry
from phenoprints.maps import MapSettings
from phenoprints.probes import ProbeSettings
from phenoprints.quality import QualitySettings
from phenoprints.testing.simulation import SimulationSettings
from phenoprints.training import TrainingSettings

CONFIG = load(
    {
        "run": "r",
        "screens": {"a": {"source": "simulated"}},
        "encoders": {"e": {"kind": "mae", "architecture": "vit-tiny", "manifest": "m"}},
        "manifests": {"m": {"screens": ["a"]}},
    }
)
OWN = {
    AlignmentSettings: CONFIG["alignment"],
    ConsistencySettings: CONFIG["consistency"],
    MapSettings: CONFIG["maps"],
    QualitySettings: CONFIG["quality"],
    ProbeSettings: CONFIG["probes"],
    TrainingSettings: CONFIG["training"],
    SimulationSettings: CONFIG["screens"]["a"],
    Rules: CONFIG["manifests"]["m"],
}


@pytest.mark.parametrize("settings", OWN, ids=lambda cls: cls.__name__)
def test_settings_of_a_stage_have_the_defaults_of_the_workflow(settings):
    section, own = OWN[settings], settings().plain()
    shared = set(own) & set(section) - {"limits"}
    assert len(shared) >= len(own) - 2
    assert {name: own[name] for name in shared} == {name: section[name] for name in shared}


def test_geometry_has_the_defaults_of_the_workflow():
    screen = CONFIG["screens"]["a"]
    assert Geometry().as_dict() == {key: screen[key] for key in Geometry().as_dict()}


STAGES = ("alignment", "consistency", "maps", "quality", "probes", "training", "benchmarks")
OTHER_THINGS = {
    "PCACenterScale.standardize_first", "PCACenterScaling.standardize_first",  # auto is resolved
    "NullSettings.num_random",  # a baseline is drawn on request alone
    "Lion.weight_decay",  # an optimiser of torch, with torch's default
    "Place.device", "Progress.device",  # a device, not a choice of one
}  # fmt: skip
"""Arguments that have the name of a setting and mean another thing."""


def functions(package):
    """Every public function and class that a package or one of its modules defines."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        if found.name.endswith("__main__"):
            continue
        module = importlib.import_module(found.name)
        for name, item in vars(module).items():
            is_own = getattr(item, "__module__", "") == found.name
            if is_own and not name.startswith("_") and (inspect.isfunction(item) or _is_data(item)):
                yield item


def _is_data(item):
    return inspect.isclass(item) and not issubclass(item, Section) and hasattr(item, "__init__")


def signature(item):
    try:
        return inspect.signature(item).parameters.values()
    except (TypeError, ValueError):
        return ()


def settings_of(stage, item):
    """The default of every setting of a stage, with those of the benchmark that a module is of."""
    section = Configuration.model_fields[stage].annotation
    defaults = {name: field.default for name, field in section.model_fields.items()}
    own = section.model_fields.get(item.__module__.rpartition(".")[2])
    if stage == "benchmarks" and own is not None:
        defaults |= {name: field.default for name, field in own.annotation.model_fields.items()}
    return defaults


def given_defaults(stage):
    """The settings that functions of a stage take, as (function and name, default, workflow's)."""
    for item in functions(importlib.import_module(f"phenoprints.{stage}")):
        defaults = settings_of(stage, item)
        for parameter in signature(item):
            name, default = parameter.name, parameter.default
            if name in defaults and default not in (parameter.empty, None):
                yield f"{item.__qualname__}.{name}", default, defaults[name]


def test_defaults_of_functions_are_those_of_the_workflow():
    pytest.importorskip("torch")
    found = [each for stage in STAGES for each in given_defaults(stage)]
    assert len(found) > 20
    assert not [each for each in found if each[1] != each[2] and each[0] not in OTHER_THINGS]


def test_every_model_is_reachable_from_the_configuration():
    """No settings exist beside the configuration, other than classes that extend its models."""
    package = phenoprints.__name__
    models = {cls for cls in every_model(Section) if cls.__module__.startswith(package)}
    here = Section.__module__.rpartition(".")[0]
    strangers = {cls for cls in models if not cls.__module__.startswith(here)}
    assert all(any(base.__module__.startswith(here) and base is not Section
                   for base in cls.__mro__[1:] if issubclass(base, Section))
               for cls in strangers)  # fmt: skip


def test_a_default_in_the_models_obeys_its_own_bounds():
    for model in every_model(Section):
        if not any(field.is_required() for field in model.model_fields.values()):
            model()  # defaults are validated
    SimulatedScreen(source="simulated")
