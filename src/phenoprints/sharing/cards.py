"""The README of a shared data set: a card in the form of the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from phenoprints import __version__

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"),
         (10_000_000, "1M<n<10M"))  # fmt: skip


def dataset_card(
    about: Mapping[str, Any],
    tables: Mapping[str, str],
    funnel: Mapping[str, Any],
    rules: Mapping[str, Any],
    confounders: Iterable[str],
    images: str,
) -> str:
    """Return README.md of a shared manifest.

    Parameters
    ----------
    about
        Properties of the data set, as in its Croissant document, and `num_wells`.
    tables
        The description of each table, by name.
    funnel
        The manifest's funnel.json.
    rules
        The manifest's section of the configuration.
    confounders
        One sentence for each known confounder.
    images
        A sentence on the images.
    """
    sections = [
        _front_matter(about, tables),
        f"# {about['name']}\n\n{about['description']} {images}",
        "## Tables\n\n" + _rows(("table", "a row is"), tables.items()),
        "## How the wells were chosen\n\n" + _steps(funnel["steps"]),
        "## Thresholds\n\n" + _rows(("setting", "value"), _thresholds(rules)),
        "## How many of the phenoprints are false\n\n" + _rates(funnel),
        "## What can be found\n\n" + _power(funnel),
        "## Known confounders\n\n" + "\n".join(f"- {line}" for line in confounders),
        f"## Licence\n\n{about['license']}",
        f"## How to cite\n\n{about['citeAs']}",
        _use(tables),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(about: Mapping[str, Any], tables: Mapping[str, str]) -> str:
    size = next((name for most, name in SIZES if about["num_wells"] < most), "n>10M")
    licence = str(about["license"]).rstrip("/").rsplit("/", 1)[-1].lower()
    is_known = str(about["license"]).startswith("https://spdx.org/licenses/")
    configs = [
        line
        for at, name in enumerate(tables)
        for line in (
            f"- config_name: {name}",
            *(["  default: true"] if at == 0 else []),
            f"  data_files: data/{name}.parquet",
        )
    ]
    lines = ["---", f"license: {licence if is_known else 'other'}"]
    lines += [] if is_known else ["license_name: see-below"]
    lines += ["tags:", "- biology", "- microscopy", "- cell-painting", "- phenoprints"]
    return "\n".join([*lines, f"size_categories:\n- {size}", "configs:", *configs, "---"])


def _rows(head: tuple[str, ...], rows: Iterable[Iterable[Any]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(each) for each in line) + " |" for line in lines)


def _steps(steps: Iterable[Mapping[str, Any]]) -> str:
    rows = [
        (step["leaves"], f"{step['before']['wells'] - step['after']['wells']:,}",
         f"{step['after']['wells']:,}", f"{step['after']['conditions']:,}")
        for step in steps
    ]  # fmt: skip
    return _rows(("left out", "wells out", "wells kept", "conditions kept"), rows)


def _thresholds(rules: Mapping[str, Any]) -> list[tuple[str, str]]:
    named = ("p_value", "combine", "judges", "judge_by", "min_experiments", "min_wells",
             "max_perturbations", "rare_condition_rule", "hold_out")  # fmt: skip
    rows = [(f"`{key}`", _plain(rules[key])) for key in named if rules.get(key) not in (None, [])]
    limits = sorted((rules.get("limits") or {}).items())
    return rows + [(f"`limits.{kind}`", _plain(limit)) for kind, limit in limits]


def _plain(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _rates(funnel: Mapping[str, Any]) -> str:
    expected = funnel.get("expected_false") or {}
    lines = []
    if expected.get("rate") is not None:
        bound = "at most " if expected.get("is_upper_bound") else ""
        lines.append(
            f"Expected by chance among {expected['units']:,} tested: {bound}"
            f"{expected['count']:.1f} ({expected['rate']:.2%})."
        )
    for judge, found in sorted((funnel.get("measured_false") or {}).items()):
        if found["status"] == "RUN":
            lines.append(
                f"Measured on controls, {'any judge' if judge == 'any' else judge}: "
                f"{found['rate']:.2%} (95 % interval {found['low']:.2%} to {found['high']:.2%}, "
                f"{found['tests']:,} tests)."
            )
        else:
            lines.append(f"Not measured on controls, {judge}: {found['reason']}.")
    return "\n".join(f"- {line}" for line in lines) or "No condition was judged."


def _power(funnel: Mapping[str, Any]) -> str:
    conditions = funnel["conditions"]
    lines = [
        f"{conditions['testable']:,} of {conditions['all']:,} conditions have enough replicates "
        f"to be tested; {conditions['with_phenoprint']:,} have a phenoprint."
    ]
    lines += [
        f"{judge}: {found['phenoprints']:,} of {found['tested']:,} tested have a phenoprint, "
        f"{found['q_below_0.05']:,} have q below 0.05."
        for judge, found in sorted(funnel["judges"].items())
    ]
    lines.append(
        "A condition without a phenoprint is not shown to be inactive: its effect may be too small "
        "for its number of replicates."
    )
    return "\n".join(f"- {line}" for line in lines)


def _use(tables: Mapping[str, str]) -> str:
    first = next(iter(tables))
    return (
        "## How to load\n\n```python\nimport pandas, polars, duckdb, datasets, mlcroissant\n\n"
        f'pandas.read_parquet("data/{first}.parquet")\n'
        f'polars.read_parquet("data/{first}.parquet")\n'
        f'duckdb.read_parquet("data/{first}.parquet")\n'
        f'datasets.load_dataset("<this folder>", "{first}")\n'
        f'mlcroissant.Dataset("croissant.json").records("{first}")\n```\n\n'
        f"`sha256sum -c checksums.sha256` checks every file. Made with Phenoprints {__version__}."
    )
