"""Configurations that attack: each is refused by name, and nothing runs."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from phenoprints.cli import main
from phenoprints.configuration import freeze, load, plan, thaw
from phenoprints.foundations.errors import ConfigurationError, PhenoprintsError, UnsafeInputError

CASES = settings.default.max_examples
"""25 in a usual run, thousands with HYPOTHESIS_PROFILE=soak."""

PLAIN = "run: demo\nscreens: {demo: {source: simulated}}\n"
BOMB = "\n".join(
    ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
)
UNSAFE = {
    "a tag that calls a function": 'run: !!python/object/apply:os.system ["touch ran"]',
    "a tag that names an object": "run: !!python/name:os.system",
    "a tag of another program": "run: !Ref demo",
    "a template that Snakemake would run": '__use_yte__: true\nx: ?open("ran", "w")\n',
    "a billion laughs": BOMB,
    "a list in itself": "run: &a [*a]",
    "a mapping in itself": "run: &a {b: *a}",
    "deep nesting": "run: " + "[" * 500 + "]" * 500,
    "nesting that would end the process": "run: " + "[" * 200_000,
    "a very large file": "# " + "x" * 5_000_000,
}
REFUSED = {
    "two documents": f"{PLAIN}---\n{PLAIN}",
    "binary bytes": b"run: \xff\xfe\x00",
    "a null byte": b"run: de\x00mo",
    "a number of 5,000 digits": "seed: " + "9" * 5000,
    "an infinite number": f"{PLAIN}seed: .inf",
    "a key that is a list": "? [a, b]\n: c",
    "a merge of what is no mapping": "a: &a 3\nrun: {<<: *a}",
    "a set": "run: !!set {demo}",
    "base64": "run: !!binary ZGVtbw==",
}
NAMES = ["../demo", "a/b", "..", ".", "", "/etc", "a b", "a;b", "$(touch ran)", "Ä", "demo\n",
         "-a", "A", "a\x00", "a" * 65, "<b>", "a.trimmed", "con:", "{screen}",
         "\u202edemo"]  # fmt: skip


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(content: str | bytes) -> Path:
        path = tmp_path / "attack.yaml"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write


@pytest.mark.parametrize("attack", UNSAFE)
def test_unsafe_files_are_refused_and_nothing_runs(attack, write, tmp_path):
    with pytest.raises(UnsafeInputError, match=r"attack\.yaml"):
        load(write(UNSAFE[attack]))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("attack", REFUSED)
def test_odd_files_are_refused_by_our_own_error(attack, write):
    with pytest.raises((ConfigurationError, UnsafeInputError), match=r"attack\.yaml"):
        load(write(REFUSED[attack]))


def test_a_template_is_refused_when_snakemake_has_read_it(write):
    path = write(f"__use_yte__: true\n{PLAIN}")
    with pytest.raises(UnsafeInputError, match="line 1: __use_yte__: this file would run code"):
        load(yaml.safe_load(PLAIN), files=[path])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["run", "screens", "encoders", "manifests", "tasks"])
def test_names_that_would_leave_their_folder_are_refused(name, place):
    config = yaml.safe_load(PLAIN)
    if place == "run":
        config["run"] = name
    elif place == "tasks":
        config["probes"] = {"tasks": {name: {"labels": "gene"}}}
    else:
        item = {"screens": {"source": "simulated"}, "encoders": {"kind": "random"}}
        config.setdefault(place, {})[name] = item.get(place, {"screens": ["demo"]})
    with pytest.raises(ConfigurationError, match=r"name|is not allowed"):
        load(config)


@pytest.mark.parametrize(
    "setting",
    [
        {"seed": 1 << 64},
        {"inference": {"unit_wells": 1 << 40}},
        {"inference": {"num_jobs": 1_000_000}},
        {"consistency": {"num_null": 1 << 50}},
        {"training": {"devices": 1 << 20}},
        {"screens": {"demo": {"source": "simulated", "experiments": 1 << 40}}},
        {"screens": {"demo": {"source": "planned", "experiments": 1, "num_wells": 1 << 60}}},
    ],
)
def test_absurd_sizes_are_refused(setting):
    with pytest.raises(ConfigurationError, match="expected at most"):
        load({**yaml.safe_load(PLAIN), **setting})


def test_a_weights_file_that_is_no_safetensors_is_refused():
    encoders = {"mine": {"kind": "openphenom", "weights": "model.pt"}}
    with pytest.raises(ConfigurationError, match=r"expected a path that ends in \.safetensors"):
        load({**yaml.safe_load(PLAIN), "encoders": encoders})


PATHS = {
    "annotation.cache": {"annotation": {"cache": "PATH"}},
    "annotation.folder": {"annotation": {"folder": "PATH"}},
    "alignment.arm_expression": {"alignment": {"arm_expression": "PATH"}},
    "benchmarks.compound_gene.truth": {"benchmarks": {"compound_gene": {"truth": "PATH"}}},
    "probes.tasks.a.groups": {"probes": {"tasks": {"a": {"labels": "groups", "groups": "PATH"}}}},
    "encoders.o.weights": {
        "encoders": {"o": {"kind": "openphenom", "weights": "PATH.safetensors"}}
    },
    "screens.t.root": {
        "screens": {"t": {"source": "profiles-table", "wells": "a", "root": "PATH"}}
    },
    "screens.t.wells": {"screens": {"t": {"source": "profiles-table", "wells": "PATH"}}},
    "screens.t.wells[1]": {"screens": {"t": {"source": "profiles-table", "wells": ["a", "PATH"]}}},
    "screens.t.images": {"screens": {"t": {"source": "rxrx1", "root": "a", "images": "PATH"}}},
    "encoders.p.profiles.t": {
        "screens": {"t": {"source": "profiles-table", "wells": "a"}},
        "encoders": {"p": {"kind": "precomputed", "screens": ["t"], "profiles": {"t": "PATH"}}},
    },
}


@pytest.mark.parametrize("path", ["/tmp/{x}", "a}", "<run_dir>/x", "a\x07b", "{config[run]}"])
@pytest.mark.parametrize("key", PATHS)
def test_paths_that_snakemake_would_read_as_its_own_are_refused(key, path):
    text = json.dumps(PATHS[key]).replace("PATH", json.dumps(path)[1:-1])
    config = {**yaml.safe_load(PLAIN), **json.loads(text)}
    with pytest.raises(ConfigurationError, match=rf"{re.escape(key)}.* expected a path without {{"):
        load(config)


def test_braces_that_are_no_paths_stay(tmp_path):
    columns = {"experiment": {"column": "a", "extract": "^(W{1}[0-9]{2})"}}
    screen = {"source": "profiles-table", "wells": "a.csv", "columns": columns}
    assert load({"run": "r", "screens": {"columns": {**screen}}})["screens"]["columns"]


def test_a_frozen_configuration_is_read_as_data(tmp_path):
    path = tmp_path / "config.json"
    path.write_text('{"run": "demo", "__reduce__": "os.system"}')
    assert thaw(path)["__reduce__"] == "os.system"
    path.write_text("[" * 100_000)
    with pytest.raises(PhenoprintsError):
        thaw(path)


VALID = {
    "run": "demo",
    "screens": {
        "demo": {"source": "simulated"},
        "table": {
            "source": "profiles-table",
            "wells": ["a.csv"],
            "columns": {"role": {"column": "c", "map": {"a": "b"}}},
            "join": [{"table": "b.csv", "keys": {"a": "b"}}],
        },
    },
    "encoders": {
        "mae": {"kind": "mae", "architecture": "vit-tiny", "manifest": "all"},
        "own": {"kind": "precomputed", "screens": ["table"], "profiles": {"table": "c.csv"}},
    },
    "manifests": {"all": {"screens": ["demo"]}, "some": {"screens": ["demo"], "judges": ["mae"]}},
    "evaluation": {"screens": ["demo"], "encoders": ["mae", "mae.trimmed"], "probes": ["pathway"]},
}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


def places(value, path=()):
    """Every place in nested data."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    if isinstance(value, dict | list):
        for key, part in items:
            yield from places(part, (*path, key))


PLACES = sorted((path for path in places(VALID) if path), key=str)


@settings(max_examples=6 * CASES)
@given(st.sampled_from(PLACES), ANYTHING)
def test_anything_in_the_place_of_anything_is_accepted_or_refused_by_our_error(path, value):
    config = copy.deepcopy(VALID)
    part = config
    for key in path[:-1]:
        part = part[key]
    part[path[-1]] = value
    try:
        resolved = load(config)
    except PhenoprintsError:
        return
    assert load(resolved) == resolved
    assert json.loads(freeze(resolved)) == resolved
    assert plan(resolved).screens


@settings(max_examples=6 * CASES)
@given(st.text(alphabet="abc:{}[]&*!|>-#?'\"\n\t %@`,01.~<", max_size=60))
def test_any_text_is_read_or_refused_by_our_error(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_text(text)
    with pytest.raises(PhenoprintsError):
        load(path)


@settings(max_examples=4 * CASES)
@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused_by_our_error(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.bin"
    path.write_bytes(content)
    for read in (load, thaw):
        with pytest.raises(PhenoprintsError):
            read(path)


GOOD_PROVENANCE = {
    "sha256": "0", "stage": "maps", "stage_version": 1, "inputs": {"a": "1"}, "seeds": {"seed": 1},
    "settings": {"a": {"b": 1}}, "settings_sha256": "2", "rows": {},
    "code": {"version": "1", "commit": ""},
}  # fmt: skip


@settings(max_examples=2 * CASES)
@given(st.dictionaries(st.sampled_from(sorted(GOOD_PROVENANCE)), ANYTHING, max_size=2))
def test_any_provenance_is_verified_explained_or_refused(tmp_path_factory, content):
    folder = tmp_path_factory.getbasetemp() / "results/run"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a.parquet").write_text("a")
    path = folder / "a.parquet.provenance.json"
    path.write_text(json.dumps(GOOD_PROVENANCE | content))
    assert main(["verify", str(folder)]) == 1
    assert main(["explain", "--settings", str(folder / "a.parquet")]) in (0, 2)
    assert main(["explain", "--forward", str(folder / "a.parquet")]) in (0, 2)
