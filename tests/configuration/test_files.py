"""Files of the configuration that are written by a program are current, and examples resolve."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from phenoprints.configuration import load, plan
from phenoprints.configuration.presets import PRESETS
from phenoprints.configuration.recipes import RECIPES
from phenoprints.configuration.reference import reference
from phenoprints.configuration.tasks import BUILT_IN_TASKS
from phenoprints.configuration.validation import SCHEMA_PATH, resolved_node, schema

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"
EXAMPLES = sorted([CONFIG / "config.yaml", *(CONFIG / "examples").glob("*.yaml")])


def nodes(node, path=()):
    """Every property of the schema, with the path that it stands at."""
    if isinstance(node, dict):
        for key, part in node.get("properties", {}).items():
            yield (*path, key), part
        for key, part in node.items():
            if key not in ("if", "default"):
                yield from nodes(part, (*path, key))
    elif isinstance(node, list):
        for index, part in enumerate(node):
            yield from nodes(part, (*path, index))


def test_the_reference_is_current():
    assert (CONFIG / "README.md").read_text() == reference()


def test_the_schema_beside_the_configuration_is_the_one_in_use():
    link = CONFIG / "schema.yaml"
    assert link.is_symlink()
    assert not link.readlink().is_absolute()
    assert link.resolve() == SCHEMA_PATH.resolve()


def test_the_schema_is_a_schema():
    Draft202012Validator.check_schema(schema())


def test_every_key_is_described():
    missing = [
        "/".join(map(str, path))
        for path, node in nodes(schema())
        if "description" not in resolved_node(node)
        and "const" not in node
        and path[-1] not in {*KINDS_AND_ROLES}
        and "column" not in str(node.get("$ref"))
    ]
    assert not missing


KINDS_AND_ROLES = ("crispr", "sirna", "orf", "compound", "other")


def test_every_mapping_with_keys_refuses_unknown_ones():
    def mappings(node, path=()):
        if isinstance(node, dict):
            if "properties" in node and "if" not in path:
                yield path, node
            for key, part in node.items():
                yield from mappings(part, (*path, key))
        elif isinstance(node, list):
            for index, part in enumerate(node):
                yield from mappings(part, (*path, index))

    branching = {("$defs", "screen"), ("$defs", "encoder")}
    groups = {
        "screen-common",
        "screen-table",
        "screen-images",
        "encoder-network",
        "encoder-trained",
    }
    open_ones = [
        path
        for path, node in mappings(schema())
        if node.get("additionalProperties") is not False
        and path not in branching
        and path[-1] not in groups
        and path[:2] not in {("$defs", name) for name in groups}
    ]
    assert not open_ones


def test_defaults_obey_their_own_rules():
    validator = Draft202012Validator(schema())
    for path, node in nodes(schema()):
        if "default" in node:
            assert validator.evolve(schema=node).is_valid(node["default"]), path


def test_data_agrees_with_the_schema():
    definitions = schema()["$defs"]
    assert list(PRESETS) == definitions["preset-name"]["enum"]
    assert list(RECIPES) == definitions["encoder-trained"]["recipe"]["enum"]
    known, of_task = (set(definitions[name]["properties"]) for name in ("training", "task"))
    assert all(set(settings) <= known for settings in RECIPES.values())
    assert all(set(task) <= of_task for task in BUILT_IN_TASKS.values())


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
    assert models.names() == schema()["$defs"]["architecture"]["enum"]
