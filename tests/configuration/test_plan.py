"""Which pairs of screen and encoder follow from a configuration."""

from __future__ import annotations

import dataclasses

import pytest

from phenoprints.configuration import (
    load,
    plan,
    screen_seed,
    screen_settings,
    screens_seen,
    shared_jobs,
)
from phenoprints.configuration.planning import LATER_SETTINGS
from phenoprints.configuration.references import NETWORK_KINDS
from phenoprints.foundations.errors import ConfigurationError

CONFIG = {
    "run": "rounds",
    "screens": {
        "images": {"source": "simulated"},
        "more": {"source": "rxrx3-core", "root": "core"},
        "table": {"source": "profiles-table", "wells": "a.csv"},
    },
    "encoders": {
        "second": {"kind": "mae", "architecture": "vit-tiny", "manifest": "round-1"},
        "first": {"kind": "mae", "architecture": "vit-tiny", "manifest": "everything"},
        "wsl": {"kind": "weakly-supervised", "architecture": "densenet161", "screen": "more"},
        "tuned": {
            "kind": "mae", "architecture": "vit-tiny", "manifest": "round-1", "start_from": "wsl"
        },
        "untrained": {"kind": "untrained", "architecture": "vit-tiny"},
        "chance": {"kind": "random"},
        "profiles": {"kind": "precomputed", "screens": ["table"]},
    },
    "manifests": {
        "round-2": {"screens": ["images"], "judges": ["second.trimmed"]},
        "round-1": {"screens": ["images", "more"], "judges": ["first", "wsl"]},
        "everything": {"screens": ["images"]},
        "tables": {"screens": ["table"], "judges": ["profiles"]},
    },
    "evaluation": {
        "screens": ["images", "table"],
        "encoders": ["untrained", "chance", "profiles"],
        "probes": ["pathway"],
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def config():
    return load(CONFIG)


@pytest.fixture(scope="module")
def planned(config):
    return plan(config)


def test_judges_are_paired_with_the_screens_of_their_manifest(planned):
    assert planned.judged_pairs == (
        ("images", "first"),
        ("images", "second.trimmed"),
        ("images", "wsl"),
        ("more", "first"),
        ("more", "wsl"),
        ("table", "profiles"),
    )


def test_encoders_are_evaluated_on_the_screens_that_they_can_see(planned):
    assert planned.evaluated_pairs == (
        ("images", "chance"),
        ("images", "untrained"),
        ("table", "chance"),
        ("table", "profiles"),
    )


def with_own_encoders(**evaluation):
    return {**CONFIG, "evaluation": {**CONFIG["evaluation"], **evaluation}}


def test_a_screen_may_compare_encoders_of_its_own():
    planned = plan(load(with_own_encoders(by_screen={"images": ["wsl", "first.trimmed"]})))
    assert planned.evaluated_pairs == (
        ("images", "first.trimmed"),
        ("images", "wsl"),
        ("table", "chance"),
        ("table", "profiles"),
    )
    # Of those named for one screen alone, blocks are needed where they are trimmed.
    assert planned.probed_encoders == ("first", "second", "untrained")


def test_encoders_of_one_screen_must_be_there_and_see_it():
    chosen = {"images": ["profiles", "frist"], "more": ["chance"]}
    with pytest.raises(ConfigurationError) as error:
        load(with_own_encoders(by_screen=chosen))
    text = str(error.value)
    assert '"profiles" has no vectors of the screen "images"' in text
    assert '"frist" is no encoder of this configuration; did you mean "first"?' in text
    assert '"more" is no screen among evaluation.screens' in text


def test_what_stands_for_the_paper_s_rows_must_be_there():
    rows = {"encoders": {"MAE-L/8, RPI-93M": "frist"}, "screens": {"1": "imags"},
            "tasks": {"anax": "anax"}}  # fmt: skip
    with pytest.raises(ConfigurationError) as error:
        load({**CONFIG, "reports": {"paper": rows}})
    text = str(error.value)
    assert '"frist" is no encoder of this configuration' in text
    assert '"imags" is no screen of this configuration' in text
    assert '"anax" is no task of this configuration' in text


def test_pairs_are_split_by_where_vectors_come_from(planned):
    parts = [planned.computed_pairs, planned.precomputed_pairs, planned.random_pairs]
    assert sorted(pair for part in parts for pair in part) == list(planned.pairs)
    assert planned.precomputed_pairs == (("table", "profiles"),)
    assert planned.random_pairs == (("images", "chance"), ("table", "chance"))


def test_blocks_are_needed_of_evaluated_and_trimmed_networks(planned):
    assert planned.probed_encoders == ("second", "untrained")
    assert planned.task_screens == (("pathway", "images"),)
    assert planned.block_pairs == (("images", "second"), ("images", "untrained"))
    assert planned.trimmed_encoders == ("second.trimmed",)


def test_manifests_and_encoders_stand_after_what_they_learn_from(planned):
    assert planned.manifests == ("everything", "round-1", "round-2", "tables")
    order = planned.encoders
    assert order.index("first") < order.index("second") < order.index("second.trimmed")
    assert order.index("wsl") < order.index("tuned")


def test_encoders_that_are_ready_at_the_same_time_look_together(config, planned):
    groups = shared_jobs(config, planned)

    assert groups["images", "first"] == ("first", "untrained", "wsl")
    assert groups["images", "second"] == ("second",)
    assert groups["images", "second.trimmed"] == ("second.trimmed",)
    assert groups["more", "wsl"] == ("first", "wsl")
    assert set(groups) == {*planned.computed_pairs, *planned.block_pairs}
    assert all(encoder in group for (_, encoder), group in groups.items())


def test_networks_are_trained_or_plain(planned):
    assert planned.trained_encoders == ("first", "second", "tuned", "wsl")
    assert planned.plain_encoders == ("untrained",)
    assert set(planned.networks) == {
        "first",
        "second",
        "second.trimmed",
        "tuned",
        "untrained",
        "wsl",
    }


def test_screens_without_images_are_named(planned):
    assert planned.screens_without_images == ("table",)


def test_what_an_encoder_has_seen_includes_its_starting_point(config):
    assert screens_seen(config, "tuned") == ("images", "more")
    assert screens_seen(config, "second.trimmed") == ("images", "more")
    assert screens_seen(config, "untrained") == ()


def test_a_plan_does_not_depend_on_the_order_of_keys(planned):
    reversed_config = {
        key: dict(reversed(value.items())) if key in ("screens", "encoders", "manifests") else value
        for key, value in CONFIG.items()
    }
    assert plan(load(reversed_config)) == planned


def test_a_plan_holds_only_names(planned):
    for field in dataclasses.fields(planned):
        for item in getattr(planned, field.name):
            assert isinstance(item, str) or all(isinstance(part, str) for part in item)


def test_jump_without_load_data_has_no_images():
    screens = {"jump": {"source": "jump-cp", "root": "."}}
    assert plan(load({"run": "a", "screens": screens})).screens_without_images == ("jump",)


def test_a_planned_table_has_no_images():
    table = {
        "source": "planned",
        "planned_source": "profiles-table",
        "experiments": 1,
        "num_wells": 9,
    }
    planned = plan(
        load({"run": "a", "screens": {"a": table, "b": table | {"planned_source": "rxrx1"}}})
    )
    assert planned.screens_without_images == ("a",)
    assert planned.planned_screens == ("a", "b")


def test_kinds_of_networks_are_kinds_of_the_schema():
    from phenoprints.configuration.json_schema import alternatives, schema

    kinds = alternatives(schema()["properties"]["encoders"]["additionalProperties"])
    assert set(NETWORK_KINDS) | {"precomputed", "random"} == set(kinds)


def test_settings_of_later_stages_do_not_read_a_screen_again(config):
    changed = load({**CONFIG, "alignment": {"method": "none"}, "consistency": {"num_null": 500}})
    assert screen_settings(changed, "table") == screen_settings(config, "table")
    assert screen_settings(config, "table")["wells"] == "a.csv"
    assert set(LATER_SETTINGS) <= set(config["screens"]["table"])


def simulated(**screens):
    return {"run": "a", "seed": 7, "screens": screens}


def test_a_simulated_screen_takes_its_own_seed_else_the_run_s():
    config = load(simulated(a={"source": "simulated"}, b={"source": "simulated", "seed": 1}))
    assert [screen_seed(config, name) for name in "ab"] == [7, 1]
    assert "seed" not in screen_settings(config, "b")


def test_two_simulated_screens_of_one_seed_are_refused():
    wells = {"source": "simulated", "experiments": 3}
    with pytest.raises(ConfigurationError, match="7 is the seed of screen a too"):
        load(simulated(a={"source": "simulated"}, b=wells))


def test_screens_that_are_only_matched_are_embedded_and_not_aligned_by_themselves():
    before = plan(load(CONFIG))
    match = {"reference": "r", "screens": ["more"], "encoder": "untrained"}
    planned = plan(load({**CONFIG, "match": match}))
    pair = ("more", "untrained")
    assert planned.matched_pairs == (pair,)
    assert before.matched_pairs == ()
    assert set(planned.pairs) - set(before.pairs) == {pair}
    assert pair in planned.computed_pairs
    assert planned.aligned_pairs == before.aligned_pairs == before.pairs
    assert planned.judged_pairs == before.judged_pairs
    old = {key: value for key, value in load(CONFIG).items() if key != "match"}
    assert plan(old) == before
