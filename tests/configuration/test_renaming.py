"""Old names of settings: read with a warning that gives the place and the new name."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from phenoprints.configuration import RenamedSettingWarning, freeze, load, renaming, thaw
from phenoprints.configuration.reading import Source, read
from phenoprints.configuration.renaming import RENAMED, Renamed, modernize
from phenoprints.foundations.errors import ConfigurationError
from phenoprints.maps import MapSettings

MINIMAL = {
    "run": "r",
    "screens": {"a": {"source": "simulated"}},
    "encoders": {"e": {"kind": "mae", "architecture": "vit-tiny", "manifest": "m"}},
    "manifests": {"m": {"screens": ["a"]}},
}


def place(entry, content):
    """The mappings of a configuration in which a renamed setting can be."""
    for pattern in entry.sections():
        yield from renaming._mappings(content, pattern, ())


def frozen():
    return json.loads(freeze(load(MINIMAL)))


@pytest.mark.parametrize("entry", RENAMED, ids=lambda entry: f"{entry.section}.{entry.old}")
def test_every_present_name_is_a_setting_and_every_old_one_is_none(entry):
    found = [mapping for _, mapping in place(entry, frozen())]
    assert found
    if "planned_source" not in entry.new:
        assert all(entry.new in mapping for mapping in found)
    assert not any(entry.old in mapping for mapping in found)


def test_an_old_name_is_read_with_a_warning_that_names_line_and_new_name(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "run: r\nscreens:\n  a: {source: simulated, drop_ring: false}\n"
        "maps: {origin: none}\nmanifests: {m: {screens: [a], keep: {unperturbed: 0.5}}}\n"
    )
    lines: list[str] = []
    config = load(path, warn=lines.append)
    assert sorted(line.replace(f"{tmp_path}/", "") for line in lines) == [
        "mine.yaml, line 3: screens.a.drop_ring: drop_ring has a new name; "
        "write exclude_border_crops",
        "mine.yaml, line 4: maps.origin: origin has a new name; write centre_on",
        "mine.yaml, line 5: manifests.m.keep: keep has a new name; write sampling_fractions",
    ]
    assert config["screens"]["a"]["exclude_border_crops"] is False
    assert config["screens"]["a"]["maps"]["centre_on"] == "none"
    assert config["manifests"]["m"]["sampling_fractions"]["unperturbed"] == 0.5


def test_without_a_listener_the_warning_is_python_s():
    with pytest.warns(RenamedSettingWarning, match="write share_image_reads"):
        load({**MINIMAL, "inference": {"together": True}})


def test_both_names_at_once_are_refused():
    with pytest.raises(ConfigurationError, match='"origin" is the old name of "centre_on", which'):
        load({**MINIMAL, "maps": {"origin": "none", "centre_on": "none"}})


def test_a_later_file_with_the_new_name_replaces_an_earlier_one_with_the_old(tmp_path):
    files = [tmp_path / name for name in ("old.yaml", "new.yaml")]
    files[0].write_text(yaml.safe_dump({**MINIMAL, "maps": {"origin": "none"}}))
    files[1].write_text("maps: {centre_on: controls}\n")
    assert load(files, warn=lambda _: None)["maps"]["centre_on"] == "controls"


def test_mistakes_below_an_old_name_are_told_with_their_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(
        "run: r\nscreens: {a: {source: simulated}}\nmanifests:\n  m:\n"
        "    screens: [a]\n    keep:\n      unperturbed: 2\n"
    )
    with pytest.raises(ConfigurationError, match=r"line 7: manifests\.m\.sampling_fractions\.unp"):
        load(path)


def test_null_is_a_key_that_yaml_reads_as_nothing_and_python_as_none(tmp_path):
    """As written, as PyYAML dumps it again, and with keys that `str` made text of."""
    text = "run: r\nscreens: {a: {source: simulated}}\nconsistency: {null: any-wells}\n"
    content = yaml.safe_load(text)
    by_str = {**content, "consistency": {str(k): v for k, v in content["consistency"].items()}}
    lines: list[str] = []
    for number, each in enumerate([text, yaml.safe_dump(content), yaml.safe_dump(by_str)]):
        path = tmp_path / f"{number}.yaml"
        path.write_text(each)
        config = load(path, warn=lines.append)
        assert config["consistency"]["null_model"] == "any-wells"
    assert [line.rpartition("; ")[2] for line in lines] == ["write null_model"] * 3


def test_settings_of_stored_maps_are_read_by_their_old_names():
    assert MapSettings.stored({"origin": "none", "levels": ["gene"]}).centre_on == "none"


NULL = Renamed("consistency", "null", "null_model", {"distinct-conditions": "experiment"})


@pytest.mark.parametrize("key", ["null:", "'null':", "~:", "None:", "Null:"])
def test_a_key_that_yaml_reads_as_nothing(tmp_path, monkeypatch, key):
    monkeypatch.setattr(renaming, "RENAMED", (NULL,))
    path = tmp_path / "mine.yaml"
    path.write_text(f"consistency:\n  {key} distinct-conditions\n")
    source, told, conflicts = modernize(read(path))
    assert source.content == {"consistency": {"null_model": "experiment"}}
    assert len(told) == 1
    assert told[0].endswith("distinct-conditions has a new name; write null_model: experiment")
    assert ", line 2: consistency." in told[0]
    assert not conflicts


def test_an_old_value_under_the_new_name(monkeypatch):
    monkeypatch.setattr(renaming, "RENAMED", (NULL,))
    content = {"screens": {"a": {"consistency": {"null_model": "distinct-conditions"}}}}
    source, told, _ = modernize(Source(content))
    assert source.content["screens"]["a"]["consistency"] == {"null_model": "experiment"}
    assert told == [
        "configuration: screens.a.consistency.null_model: the value distinct-conditions "
        "has a new name; write experiment"
    ]


def old_form(config):
    """A resolved configuration as an earlier version named its settings."""
    for entry in RENAMED:
        words = {new: old for old, new in entry.values.items()}
        for _, mapping in place(entry, config):
            if entry.new in mapping:
                value = mapping.pop(entry.new)
                mapping[entry.old] = words.get(value, value) if isinstance(value, str) else value
    return config


def test_the_frozen_configuration_of_an_earlier_version_is_read(tmp_path):
    path = tmp_path / "config.json"
    old = old_form(frozen())
    del old["screens"]["a"]["alignment"]["ridge"]  # a setting that came later
    path.write_text(json.dumps(old))
    assert thaw(path) == load(MINIMAL)


def test_one_that_cannot_be_read_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "config.json"
    old = old_form(frozen())
    old["alignment"]["abandoned"] = 1
    path.write_text(json.dumps(old))
    with pytest.raises(
        ConfigurationError, match=r"(?s)earlier version.*abandoned.*Start the run a"
    ):
        thaw(path)


@given(st.booleans(), st.booleans(), st.integers(0, 9), st.sampled_from(["1e-4", "0.5", "5e-1"]))
def test_a_configuration_that_pyyaml_has_loaded_and_dumped_means_the_same(
    is_old, is_quoted, seed, ridge
):
    config = {**MINIMAL, "seed": seed, "alignment": {"ridge": "RIDGE"}}
    text = yaml.safe_dump(old_form(frozen()) if is_old else config)
    text = text.replace("ridge: RIDGE", f"ridge: {ridge}")
    dumped = yaml.safe_dump(yaml.safe_load(text), default_style='"' if is_quoted else None)
    quiet = {"warn": lambda _: None}
    assert load(yaml.safe_load(dumped), **quiet) == load(yaml.safe_load(text), **quiet)


@pytest.mark.parametrize("key", ["null", '"null"', "None"])
def test_the_null_of_an_earlier_version_is_read_under_every_spelling(key, tmp_path):
    """YAML reads the key null as nothing; str() in Python makes None of it."""
    path = tmp_path / "mine.yaml"
    text = yaml.safe_dump(MINIMAL) + f"consistency: {{{key}: distinct-conditions}}\n"
    path.write_text(text)
    lines: list[str] = []
    config = load(path, warn=lines.append)
    assert config["consistency"]["null_model"] == "experiment"
    assert config["screens"]["a"]["consistency"]["null_model"] == "experiment"
    assert len(lines) == 1
    assert "write null_model: experiment" in lines[0]
