"""What rules ask for: paths from the table of paths, settings from the configuration."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest

from phenoprints.configuration import load
from phenoprints.configuration.inputs import (
    Inputs,
    check_path_characters,
    encoders_of,
    label_of_page,
    metadata_file,
    one_of,
)
from phenoprints.configuration.layout import LAYOUT, pathvars
from phenoprints.foundations.errors import ConfigurationError

CONFIG = {
    "run": "r",
    "screens": {
        "images": {"source": "simulated", "crop_px": 32},
        "table": {"source": "profiles-table", "root": "tables", "wells": "wells.csv"},
    },
    "encoders": {
        "mae": {"kind": "mae", "architecture": "vit-tiny", "manifest": "all"},
        "second": {
            "kind": "mae", "architecture": "vit-tiny", "manifest": "chosen", "start_from": "mae"
        },
        "wsl": {"kind": "weakly-supervised", "architecture": "cnn-tiny", "screen": "images"},
        "plain": {"kind": "untrained", "architecture": "vit-tiny", "num_jobs": 3},
        "profiles": {"kind": "precomputed", "screens": ["table"]},
        "chance": {"kind": "random"},
    },
    "manifests": {
        "all": {"screens": ["images"], "hold_out": ["e2", "e1"]},
        "chosen": {"screens": ["images"], "judges": ["mae", "wsl"]},
    },
    "evaluation": {
        "screens": ["images", "table"],
        "encoders": ["mae", "mae.trimmed", "plain", "profiles", "chance"],
        "probes": ["pathway"],
    },
    "inference": {"num_jobs": 1},
}  # fmt: skip


def inputs_of(**changes):
    config = load({**CONFIG, **changes})
    variables = pathvars("r")

    def expand(text):
        while found := re.search(r"<(\w+)>", text):
            text = text.replace(found[0], variables[found[1]])
        return text

    return Inputs(config, expand)


@pytest.fixture(scope="module")
def inputs():
    return inputs_of()


def job(**wildcards):
    return SimpleNamespace(**wildcards)


def test_a_constraint_admits_its_names_and_no_other():
    assert one_of(["b", "a.trimmed"]) == r"a\.trimmed|b"
    assert one_of([]) == "NONE"
    assert encoders_of([("s", "b"), ("t", "b"), ("s", "a")]) == "a|b"


def test_paths_come_from_the_table_of_paths(inputs):
    assert inputs.paths_for("quality", "screen", ["a", "b"]) == [
        "results/r/quality/a.parquet",
        "results/r/quality/b.parquet",
    ]
    [path] = inputs.paths_for_pairs("map", [("s", "e")])
    assert path == "results/r/" + LAYOUT["map"].format(screen="s", encoder="e")
    sites = inputs.for_screens_of_manifest("screen_sites")(job(manifest="all"))
    assert sites == ["results/r/screens/images/sites.parquet"]
    assert inputs.for_base_encoder("encoder")(job(encoder="mae.trimmed")) == [
        "results/r/encoders/mae.provenance.json"
    ]


def test_characters_that_snakemake_reads_are_refused():
    assert check_path_characters(["a/b.csv"]) == ["a/b.csv"]
    with pytest.raises(ConfigurationError, match=r"'a\{b\}\.csv': Snakemake reads"):
        check_path_characters(["a{b}.csv"])


def test_a_zarr_folder_is_followed_by_the_file_that_describes_it(tmp_path):
    (tmp_path / "zarr.json").write_text("{}")
    assert metadata_file(str(tmp_path)) == str(tmp_path / "zarr.json")
    assert metadata_file("absent.csv") == "absent.csv"


def test_tables_of_a_screen_are_those_that_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inputs = inputs_of()
    assert inputs.screen_tables(job(screen="table")) == []
    assert inputs.screen_tables(job(screen="images")) == []
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables/wells.csv").write_text("")
    assert inputs.screen_tables(job(screen="table")) == ["tables/wells.csv"]
    # Profiles are asked for although they are missing: the job reports them.
    assert inputs.profiles(job(screen="table", encoder="profiles")) == ["tables/wells.csv"]
    assert inputs.row_tables(job(screen="table", encoder="profiles")) == []


def test_columns_of_a_simulated_screen_are_a_number_and_name_nothing(inputs):
    assert inputs.table_settings(job(screen="images"))["columns"] == {}
    assert inputs.table_settings(job(screen="table"))["columns"] == {"annotations": {}}


def test_every_measuring_job_of_a_screen_has_its_table():
    inputs = inputs_of(quality={"num_jobs": 2})
    assert inputs.quality_batches(job(screen="images")) == [
        "results/r/quality/images.metrics/0.parquet",
        "results/r/quality/images.metrics/1.parquet",
    ]


def test_networks_are_divided_by_their_jobs_and_blocks(inputs):
    assert inputs.computed_encoders(jobs="many") == "plain"
    one = inputs.computed_encoders(jobs="one").split("|")
    assert one == ["mae", r"mae\.trimmed", "wsl"]
    assert inputs.computed_encoders(jobs="one", blocks=True) == "mae"
    assert inputs.keeps_blocks("plain")
    assert not inputs.keeps_blocks("wsl")


def test_encoders_that_share_reads_have_the_jobs_of_the_first(inputs):
    pair = job(screen="images", encoder="plain")
    assert inputs.encoders_of_job(pair) == ("plain",)
    assert len(inputs.embedding_batches(pair)) == 3
    together = inputs_of(inference={"num_jobs": 2, "share_image_reads": True})
    assert together.encoders_of_job(pair) == ("mae.trimmed", "plain", "wsl") or (
        "plain" in together.encoders_of_job(pair)
    )
    names = together.encoders_of_job(pair)
    batches = together.embedding_batches(pair)
    assert batches[0] == f"results/r/embeddings/images/{names[0]}.batches/0-of-3.json"
    values = together.for_each_encoder(lambda wildcards: wildcards.encoder)(pair)
    assert values == {name: name for name in names}
    assert len(together.embedding_plans(pair)) == len(together.encoder_folders(pair)) == len(names)


def test_settings_of_embeddings_are_plain_and_complete(inputs):
    settings = inputs.embedding_settings(job(screen="images", encoder="plain"))
    assert settings["crop_px"] == 32
    assert settings["block"] is None
    assert list(settings["tasks"]) == ["pathway"]
    assert inputs.embedding_settings(job(screen="images", encoder="wsl"))["tasks"] == {}
    assert set(inputs.stores(job(screen="images", encoder="plain"))) == {"embeddings", "blocks"}


def test_a_training_job_reads_a_manifest_or_a_screen(inputs):
    found = inputs.training_inputs(job(encoder="second"))
    assert found["manifest"] == ["results/r/curation/chosen/manifest.provenance.json"]
    assert found["start_from"] == ["results/r/encoders/mae.provenance.json"]
    assert not {"wells", "sites"} & set(found)
    found = inputs.training_inputs(job(encoder="wsl"))
    assert found["wells"] == ["results/r/screens/images/wells.parquet"]
    assert found["sites"] == ["results/r/screens/images/sites.parquet"]
    assert found["quality"] == ["results/r/quality/images.parquet"]
    assert "manifest" not in found


def test_an_untrained_encoder_takes_the_channels_of_its_screens(inputs):
    assert inputs.encoder_sources(job(encoder="plain")) == {
        "sites": ["results/r/screens/images/sites.parquet"]
    }


def test_judges_and_screens_of_a_manifest_are_tested_in_their_order(inputs):
    assert inputs.tests_of_manifest(job(manifest="chosen")) == [
        "results/r/consistency/images/mae.parquet",
        "results/r/consistency/images/wsl.parquet",
    ]
    sections = inputs.section_of_screens("consistency")(job(manifest="chosen"))
    assert sections == {"images": inputs.config["screens"]["images"]["consistency"]}
    sizes = inputs.declared_image_sizes(job(manifest="chosen"))
    assert sizes == {"images": {"height_px": None, "width_px": None}}


def test_what_an_encoder_has_seen_and_what_is_held_out(inputs):
    assert inputs.has_learned_from(job(screen="images", encoder="mae.trimmed"))
    assert not inputs.has_learned_from(job(screen="table", encoder="mae"))
    assert inputs.held_out_experiments(job(encoder="mae.trimmed")) == ["e1", "e2"]
    assert inputs.held_out_experiments(job(encoder="plain")) == []
    assert inputs.is_precomputed(job(screen="table", encoder="profiles"))


def test_probes_are_planned_for_encoders_that_see_all_screens_of_a_task(inputs):
    assert inputs.probed_pairs == [("pathway", "mae"), ("pathway", "plain")]
    assert inputs.probed_encoders() == ["mae", "plain"]
    assert inputs.accuracies(job(encoder="mae")) == [
        "results/r/probes/pathway/accuracies/mae.parquet"
    ]
    assert inputs.evaluated_networks() == ["mae", "mae.trimmed", "plain"]
    assert inputs.trimmed_by_probes() == ["mae"]
    assert len(inputs.accuracies_of_evaluated()) == 2
    assert inputs.blocks_of_task(job(task="pathway", encoder="mae")) == [
        "results/r/blocks/images/mae.provenance.json"
    ]
    assert inputs.probe_settings("tol") == {"tol": 1e-4}


def test_tables_of_known_biology_are_asked_for_by_benchmarks(tmp_path):
    names = ("hg38_scores.tsv",)
    assert names
    offline = {"annotation": {"folder": str(tmp_path), "offline": True}}
    inputs = inputs_of(**offline)
    assert inputs.known_biology(job(screen="images")) == {}
    assert inputs.known_biology(job(screen="table")) == {}
    assert inputs.loci(job(screen="table")) == []
    assert inputs.expression(job(screen="table")) == []
    own = {"relationships": {"files": {"b": "b.csv", "a": "a.csv"}}}
    inputs = inputs_of(**offline, benchmarks={**own, "compound_gene": {"truth": "t.csv"}})
    assert inputs.known_pairs(job(screen="table")) == ["a.csv", "b.csv"]
    assert inputs.known_biology(job(screen="table")) == {"compound-gene": "t.csv"}
    assert inputs.known_biology_names(job(screen="table")) == ["compound-gene"]


class Page(SimpleNamespace):
    """Wildcards with the names that they have."""

    def keys(self):
        return vars(self)


def test_pages_and_tables_have_their_labels():
    assert label_of_page(Page(page="index")) == {"page": "Overview"}
    assert label_of_page(Page(page="methods-of-ours")) == {"page": "Methods of ours"}
    assert label_of_page(Page(table="wells")) == {"table": "wells"}


def test_tests_must_reach_the_largest_p_value_of_the_manifests_that_judge_by_them():
    manifests = {
        **CONFIG["manifests"],
        "chosen": {**CONFIG["manifests"]["chosen"], "p_value": 0.05},
    }
    inputs = Inputs(load({**CONFIG, "manifests": manifests}), list)
    assert inputs.threshold(SimpleNamespace(screen="images")) == 0.05
    assert inputs.threshold(SimpleNamespace(screen="table")) == 0.01
