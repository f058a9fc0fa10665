"""Files of the configuration that are written by a program are current, and examples resolve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from jsonschema import Draft202012Validator

from phenoprints.configuration import load, plan
from phenoprints.configuration.json_schema import SCHEMA_PATH, every_model, schema, text
from phenoprints.configuration.models.base import Section
from phenoprints.configuration.models.curation import Task
from phenoprints.configuration.models.encoders import Architecture, Recipe
from phenoprints.configuration.models.screens import PresetName
from phenoprints.configuration.models.training import Training
from phenoprints.configuration.presets import PRESETS
from phenoprints.configuration.recipes import RECIPES
from phenoprints.configuration.reference import reference
from phenoprints.configuration.tasks import BUILT_IN_TASKS

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
EXAMPLES = sorted([CONFIG / "config.yaml", *(CONFIG / "examples").glob("*.yaml")])


def test_the_reference_is_current():
    assert (CONFIG / "README.md").read_text() == reference()


def test_the_schema_beside_the_configuration_is_the_one_in_use():
    link = CONFIG / "schema.yaml"
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == SCHEMA_PATH.resolve()


def test_the_schema_is_current():
    assert SCHEMA_PATH.read_text() == text()


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_and_what_they_resolve_to_obey_the_schema(path):
    validator = Draft202012Validator(schema())
    content = yaml.safe_load(path.read_text())
    assert not list(validator.iter_errors(content))
    # Limits are filled in from presets, with scopes that a manifest does not take.
    assert not list(validator.iter_errors(load(path)))


def test_every_model_refuses_unknown_keys():
    models = list(every_model(Section))
    assert len(models) > 40
    assert all(model.model_config["extra"] == "forbid" for model in models)
    assert all(model.model_config["strict"] for model in models)


def test_data_agrees_with_the_models():
    assert list(PRESETS) == list(get_args(PresetName))
    assert list(RECIPES) == list(get_args(Recipe))
    assert all(set(settings) <= set(Training.model_fields) for settings in RECIPES.values())
    assert all(set(task) <= set(Task.model_fields) for task in BUILT_IN_TASKS.values())


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_examples_resolve_and_plan(path):
    assert plan(load(path)).screens


def test_the_table_of_the_example_is_what_its_script_draws():
    script = "import sys; sys.path.insert(0, sys.argv[1]); import make_example as m; "
    code = script + "print('\\n'.join(m.lines()))"
    drawn = subprocess.run(
        [sys.executable, "-c", code, str(CONFIG)], check=True, capture_output=True, text=True
    )
    assert drawn.stdout == (CONFIG / "example.csv").read_text()


def test_importing_the_configuration_is_light():
    code = "import sys, phenoprints.configuration; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    heavy = {"numpy", "pandas", "pyarrow", "torch", "zarr", "snakemake"}
    assert not heavy & set(done.stdout.split())


def test_the_example_of_the_paper_has_its_settings():
    config = load(CONFIG / "examples/paper.yaml")
    recipe = config["encoders"]["phenoprints-mae-g8"]["training"]
    assert (recipe["batch_size"], recipe["num_epochs"], recipe["learning_rate"]) == (
        8192,
        500,
        3e-5,
    )
    assert recipe["fourier_loss"] == "as-published"
    assert config["manifests"]["phenoprints"]["p_value"] == 0.01
    assert config["screens"]["rxrx3"]["alignment"]["method"] == "tvn"
    assert config["screens"]["core"]["alignment"]["method"] == "pca-center-scale"
    paper = plan(config)
    assert paper.planned_screens == ("anax-others", "core", "jump", "rxrx1", "rxrx3")
    assert paper.manifests == ("everything", "phenoprints")
    assert paper.task_screens == (
        ("anax-all", "anax-others"),
        ("anax-all", "rxrx3"),
        ("rxrx1-all", "rxrx1"),
    )
    assert ("rxrx3", "rxrx1-wsl") in paper.judged_pairs
    assert config["manifests"]["phenoprints"]["judge_by"] == "gene"
    assert config["probes"]["tasks"]["rxrx1-all"]["across_cell_types"]
    assert config["encoders"]["rxrx3-dino-l16"]["training"]["optimizer"] == "lion"
    assert config["encoders"]["untrained-s16"]["pool"] == "class"


def test_every_row_of_the_paper_is_planned():
    """Each published row has an encoder, full or trimmed, on the screen of its table."""
    import csv
    from importlib import resources

    config = load(CONFIG / "examples/paper.yaml")
    stand, pairs = config["reports"]["paper"], set(plan(config).evaluated_pairs)
    table = resources.files("phenoprints.benchmarks").joinpath("data/published.tsv").read_text()
    rows = [
        row
        for row in csv.DictReader(table.splitlines(), delimiter="\t")
        if row["table"].startswith("table")
    ]
    wanted = {(row["table"].split()[1], row["encoder"], row["trimmed"]) for row in rows}
    assert len(wanted) == 17 + 4 + 6 + 2
    for number, encoder, trimmed in wanted:
        name = stand["encoders"][encoder] + (".trimmed" if trimmed == "yes" else "")
        assert (stand["screens"][number], name) in pairs


@pytest.mark.torch
def test_architectures_are_those_that_can_be_built():
    models = pytest.importorskip("phenoprints.models", exc_type=ImportError)
    assert models.names() == list(get_args(Architecture))
