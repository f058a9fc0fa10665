"""What a user reads when his configuration is wrong, and what stages read when it is right."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import get_args

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from phenoprints.configuration import freeze, load, preset, thaw
from phenoprints.configuration.models.screens import PresetName
from phenoprints.configuration.presets import KINDS
from phenoprints.foundations.errors import (
    ConfigurationError,
    CorruptionError,
    MissingInputError,
    PhenoprintsError,
    UnsafeInputError,
)

MINIMAL = """\
run: demo
screens:
  demo: {source: simulated}
  table:
    source: profiles-table
    wells: wells.csv
    columns:
      role: {column: compound, default: treatment}
encoders:
  mae: {kind: mae, architecture: vit-tiny, manifest: everything, recipe: demo}
  profiles: {kind: precomputed, screens: [table]}
manifests:
  everything: {screens: [demo]}
  chosen: {screens: [demo], judges: [mae]}
evaluation:
  screens: [demo, table]
  encoders: [mae, profiles, mae.trimmed]
  probes: [pathway]
"""


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "mine.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def message(path: Path, error: type[PhenoprintsError] = ConfigurationError) -> str:
    with pytest.raises(error) as caught:
        load(path)
    return str(caught.value).replace(f"{path.parent}/", "")


def replaced(old: str, new: str) -> str:
    assert MINIMAL.count(old) == 1
    return MINIMAL.replace(old, new)


ONE_FAULT = {
    "unknown key": (
        "      role: {col",
        "      rule: {col",
        'mine.yaml, line 8: screens.table.columns.rule: unknown key "rule"; did you mean "role"?',
    ),
    "key of another section": (
        "run: demo",
        "num_null: 100\nrun: demo",
        'mine.yaml, line 1: num_null: unknown key "num_null"; it belongs into "consistency"',
    ),
    "wrong type": (
        "run: demo",
        "seed: first\nrun: demo",
        'mine.yaml, line 1: seed: "first" is not allowed; expected a whole number',
    ),
    "out of range": (
        "run: demo",
        "consistency: {num_null: 10}\nrun: demo",
        "mine.yaml, line 1: consistency.num_null: 10 is not allowed; expected at least 100",
    ),
    "unknown word": (
        "source: simulated",
        "source: simulatd",
        'line 3: screens.demo.source: "simulatd" is not allowed; expected one of profiles-table, ',
    ),
    "missing key": (
        "    wells: wells.csv\n",
        "",
        'mine.yaml, line 4: screens.table: the key "wells" is missing; expected a path or glob',
    ),
    "missing source": (
        "source: simulated",
        "crop_px: 32",
        'mine.yaml, line 3: screens.demo: the key "source" is missing; expected one of',
    ),
    "bad name": (
        "  everything: {",
        "  Every_thing: {",
        'line 13: manifests.Every_thing: "Every_thing" cannot be a name; expected a name of lower',
    ),
    "reserved name": ("run: demo", "run: bench", 'run: "bench" is not allowed; expected another'),
    "not a mapping": (
        "  demo: {source: simulated}",
        "  demo: simulated",
        'line 3: screens.demo: "simulated" is not allowed; expected a mapping with `source`',
    ),
    "trained encoder without manifest": (
        "manifest: everything, ",
        "",
        'mine.yaml, line 10: encoders.mae: the key "manifest" is missing; expected a name',
    ),
    "dangling judge": (
        "judges: [mae]",
        "judges: [mea]",
        'line 14: manifests.chosen.judges[0]: "mea" is no encoder of this configuration; '
        'did you mean "mae"?',
    ),
    "dangling manifest": (
        "manifest: everything",
        "manifest: nothing-known",
        'line 10: encoders.mae.manifest: "nothing-known" is no manifest of this configuration; '
        "expected one of chosen, everything",
    ),
    "dangling screen": (
        "screens: [demo, table]",
        "screens: [demos, table]",
        'line 16: evaluation.screens[0]: "demos" is no screen of this configuration; did you',
    ),
    "dangling task": ("[pathway]", "[pathways]", '"pathways" is no probe task of this config'),
    "vectors of another screen": (
        "judges: [mae]",
        "judges: [profiles]",
        '"profiles" has no vectors of the screen "demo"; expected it in its screens',
    ),
    "a network without images": (
        "  chosen: {screens: [demo]",
        "  chosen: {screens: [table]",
        'line 14: manifests.chosen.judges[0]: "mae" needs images, and the screen "table" has none',
    ),
    "learning without images": (
        "  everything: {screens: [demo]",
        "  everything: {screens: [table]",
        'line 10: encoders.mae: it would learn from the screen "table", which has no images',
    ),
    "trimmed without probes": (
        "  probes: [pathway]\n",
        "",
        '"mae.trimmed" ends after the block that probes choose; expected evaluation.probes',
    ),
    "trimmed without blocks": (
        "mae.trimmed",
        "profiles.trimmed",
        '"profiles.trimmed" cannot be made: "profiles" has no blocks; expected a network',
    ),
    "nothing to compare an encoder on": (
        "screens: [demo, table]\n  encoders: [mae, profiles,",
        "screens: [demo]\n  encoders: [mae, profiles,",
        'evaluation.encoders[1]: "profiles" can see none of the screens in evaluation.screens',
    ),
    "a scope in a manifest": (
        "judges: [mae]",
        "judges: [mae], limits: {orf: {scope: across-experiments}}",
        'manifests.chosen.limits.orf.scope: unknown key "scope"; it belongs into "consistency"',
    ),
    "cycle": (
        "everything: {screens: [demo]}",
        "everything: {screens: [demo], judges: [mae]}",
        "line 10: encoders.mae: mae → everything → mae is a cycle",
    ),
    "a pattern without a group": (
        "{column: compound, default: treatment}",
        "{column: compound, extract: Week}",
        'line 8: screens.table.columns.role.extract: "Week" has no group; expected one in',
    ),
    "a pattern that is none": (
        "{column: compound, default: treatment}",
        "{column: compound, extract: '(Week'}",
        '"(Week" is no regular expression (missing ), unterminated subpattern at position 0)',
    ),
    "an id pattern without wells": (
        "{kind: precomputed, screens: [table]}",
        "{kind: precomputed, screens: [table], id_pattern: '(?P<plate>.+)'}",
        'line 11: encoders.profiles.id_pattern: "(?P<plate>.+)" lacks the groups well',
    ),
    "neither column nor value": (
        "{column: compound, default: treatment}",
        "{default: treatment}",
        "screens.table.columns.role: 0 of the keys column and value are given; expected one of",
    ),
    "a match without a reference": (
        "run: demo",
        "match: {screens: [table], encoder: profiles}\nrun: demo",
        "line 1: match.reference: is missing; expected the folder of a reference",
    ),
    "a match of an unknown screen": (
        "run: demo",
        "match: {reference: r, screens: [tabel], encoder: profiles}\nrun: demo",
        'match.screens[0]: "tabel" is no screen of this configuration; did you mean "table"?',
    ),
    "a match with several encoders": (
        "run: demo",
        "match: {reference: r, screens: [table]}\nrun: demo",
        "match.encoder: is missing; expected one of mae, profiles",
    ),
    "a match with nothing to read": (
        "run: demo",
        "match: {reference: r, screens: [demo], encoder: profiles}\nrun: demo",
        "match.screens[0]: encoder profiles has nothing of screen demo to read",
    ),
    "unquoted date": (
        "run: demo",
        "reports: {title: 2024-05-01}\nrun: demo",
        "line 1: reports.title: datetime.date(2024, 5, 1) is a date; expected text, in quotes",
    ),
    "not a number": ("run: demo", "seed: .nan\nrun: demo", "seed: nan is no finite number"),
    "key twice": (
        "run: demo",
        "run: first\nrun: demo",
        "mine.yaml, line 2: run: duplicate key (first in line 1); expected it once",
    ),
    "not YAML": ("run: demo", "run: [demo", "not readable as YAML: did not find expected ',' or"),
}


@pytest.mark.parametrize("case", ONE_FAULT)
def test_each_fault_is_one_line_that_names_the_place(case, write):
    old, new, expected = ONE_FAULT[case]
    text = message(write(replaced(old, new)))
    assert expected in text
    assert len(text.splitlines()) == 1


def test_all_faults_come_at_once_in_the_order_of_lines(write):
    text = replaced("source: simulated", "source: simulated, crop: 32, seeed: 3")
    text = text.replace("judges: [mae]", "judge: [mae]").replace("run: demo", "rum: demo")
    lines = message(write(text)).splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "mine.yaml",
        "mine.yaml, line 1",
        "mine.yaml, line 3",
        "mine.yaml, line 3",
        "mine.yaml, line 14",
    ]
    assert 'did you mean "crop_px"?' in lines[2]


def test_missing_file_is_named(tmp_path):
    with pytest.raises(MissingInputError, match=r"absent\.yaml: this configuration file is not"):
        load(tmp_path / "absent.yaml")


def test_tags_that_build_objects_are_refused(write):
    text = message(write('run: !!python/object/apply:os.system ["true"]\n'), UnsafeInputError)
    assert text.startswith("mine.yaml, line 1: not readable as YAML: could not determine")


def test_a_file_without_keys_is_refused(write):
    assert "expected keys with values, found a list" in message(write("- run\n"))
    assert 'the key "run" is missing' in message(write(""))


def test_line_of_a_value_from_the_command_line(write):
    path = write(MINIMAL)
    merged = {**yaml.safe_load(MINIMAL), "sead": 3}
    merged["consistency"] = {"num_null": 1}
    with pytest.raises(ConfigurationError) as caught:
        load(merged, files=[path])
    assert str(caught.value).splitlines() == [
        "--config: consistency.num_null: 1 is not allowed; expected at least 100",
        '--config: sead: unknown key "sead"; did you mean "seed"?',
    ]


def test_later_files_are_laid_over_earlier_ones(write):
    second = write("seed: 7\nscreens: {demo: {crop_px: 32}}\n", "second.yaml")
    config = load([write(MINIMAL), second])
    assert (config["seed"], config["screens"]["demo"]["crop_px"]) == (7, 32)
    assert config["screens"]["demo"]["source"] == "simulated"


def test_every_setting_has_its_default_and_loading_again_changes_nothing(write):
    config = load(write(MINIMAL))
    assert config["alignment"]["method"] == "tvn"
    assert config["manifests"]["chosen"]["sampling_fractions"] == {
        "negative_control": 0.3,
        "positive_control": 0.1,
        "unperturbed": 0.1,
    }
    assert load(copy.deepcopy(config)) == config


def test_sections_of_a_screen_replace_single_keys(write):
    text = replaced("{source: simulated}", "{source: simulated, alignment: {method: none}}")
    config = load(write(text + "alignment: {ridge: 0.25}\nconsistency: {null_model: any-wells}\n"))
    assert config["screens"]["demo"]["alignment"]["method"] == "none"
    assert config["screens"]["demo"]["alignment"]["ridge"] == 0.25
    assert config["screens"]["table"]["alignment"] == config["alignment"]
    assert config["consistency"]["null_model"] == "any-wells"


def test_training_is_default_then_recipe_then_section_then_encoder(write):
    text = replaced("recipe: demo", "recipe: paper-l8, training: {drop_path: 0.5}")
    config = load(write(text + "training: {batch_size: 64}\n"))
    training = config["encoders"]["mae"]["training"]
    assert training["weight_decay"] == 0.05
    assert training["num_epochs"] == 500
    assert training["batch_size"] == 64
    assert training["drop_path"] == 0.5


def test_numbers_that_yaml_takes_for_text_are_numbers(write):
    config = load(write(MINIMAL + "alignment: {pca_tolerance: 1e-4}\nprobes: {max_iter: 5e2}\n"))
    assert config["alignment"]["pca_tolerance"] == 1e-4
    assert config["probes"]["max_iter"] == 500
    assert isinstance(config["probes"]["max_iter"], int)


def test_networks_take_their_number_of_jobs_from_inference(write):
    text = replaced("recipe: demo", "recipe: demo, num_jobs: 8") + "inference: {num_jobs: 3}\n"
    assert load(write(text))["encoders"]["mae"]["num_jobs"] == 8
    assert load(write(text.replace(", num_jobs: 8", "")))["encoders"]["mae"]["num_jobs"] == 3


def test_limits_come_from_the_preset_by_kind(write):
    text = replaced("  table:\n", "  table:\n    preset: {compound: rxrx3}\n")
    config = load(write(text))
    limits = config["screens"]["table"]["limits"]
    assert limits["compound"]["scope"] == "across-experiments"
    assert limits["crispr"] == {
        "min_experiments": 3,
        "min_wells": 20,
        "scope": "within-experiments",
    }
    assert config["screens"]["demo"]["limits"]["other"]["min_wells"] == 12


def test_limits_of_a_manifest(write):
    text = replaced("judges: [mae]", "judges: [mae], min_wells: 5, limits: {orf: {min_wells: 2}}")
    limits = load(write(text))["manifests"]["chosen"]["limits"]
    assert limits["crispr"] == {"min_experiments": 3, "min_wells": 5}
    assert limits["orf"]["min_wells"] == 2


def test_presets_speak_of_every_kind():
    for name in get_args(PresetName):
        limits = preset(name)
        assert set(limits) == set(KINDS)
        assert all(set(of) == {"min_experiments", "min_wells", "scope"} for of in limits.values())
    with pytest.raises(ConfigurationError, match='"papre" is no preset; expected one of paper'):
        preset("papre")


def test_profiles_default_to_the_tables_of_the_screen(write):
    assert load(write(MINIMAL))["encoders"]["profiles"]["profiles"] == {"table": ["wells.csv"]}


def test_freezing_and_thawing_give_the_same_configuration(write, tmp_path):
    config = load(write(MINIMAL))
    path = write(freeze(config), "config.json")
    assert thaw(path) == config
    assert freeze(thaw(path)) == freeze(config)
    assert json.loads(freeze(config)) == config


def test_thawing_names_what_is_wrong(write, tmp_path):
    with pytest.raises(MissingInputError, match="the run's configuration is not there"):
        thaw(tmp_path / "absent.json")
    with pytest.raises(CorruptionError, match="not JSON"):
        thaw(write("{", "half.json"))
    with pytest.raises(CorruptionError, match="not a run's configuration"):
        thaw(write("[]", "other.json"))


@given(st.text(alphabet="abcdefgh_", min_size=1, max_size=12))
def test_any_word_in_the_place_of_a_key_is_known_or_refused(word):
    config = {"run": "a", "screens": {"a": {"source": "simulated"}}, "alignment": {word: None}}
    with pytest.raises(ConfigurationError, match=r"^configuration: alignment\."):
        load(config)
