"""`phenoprints check CONFIG`: what a run would take and reach, before anything is computed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from phenoprints.cli.components import component_warnings
from phenoprints.cli.plans import plan_lines
from phenoprints.cli.profile_check import check_lines, check_profiles
from phenoprints.cli.screen_summary import ScreenSummary, planned_summary, summary_of
from phenoprints.cli.terminal import count, table, verdict
from phenoprints.configuration import load, missing_inputs
from phenoprints.foundations.errors import MissingInputError, TableError, raise_problems


def run(arguments: argparse.Namespace) -> int:
    """Print the summary; 1 when a run would stop or a manifest let no condition through, else 0."""
    old_names: list[str] = []
    config = load(arguments.config, warn=old_names.append)
    raise_problems(missing_inputs(config), MissingInputError)
    facts = dict(_facts(config, is_read=not arguments.no_read))
    profiles = list(check_profiles(config, facts))
    raise_problems((problem for of in profiles for problem in of.problems), TableError)
    print(f"Run {config['run']}: the configuration is valid and every input is there.\n")
    for line in old_names:
        print(f"{verdict('CHECK')}  {line}")
    for line in _screen_lines(facts.values()):
        print(line)
    for word, text in (line for of in profiles for line in check_lines(of)):
        print(f"{verdict(word)}  {text}")
    for text in component_warnings(config, facts, profiles):
        print(f"{verdict('CHECK')}  {text}")
    failures = list(_verdicts(config, facts))
    for word, text in failures:
        print(f"{verdict(word)}  {text}")
    print()
    for line in plan_lines(config, facts):
        print(line)
    print(f"\nNext: snakemake --configfile {' '.join(arguments.config)} -- all")
    return int(any(word == "FAIL" for word, _ in failures))


def _facts(config: Mapping[str, Any], *, is_read: bool) -> Iterator[tuple[str, ScreenSummary]]:
    for name, screen in config["screens"].items():
        if screen["source"] == "planned":
            yield name, planned_summary(name, screen)
        elif is_read:
            yield name, summary_of(name, config)


def _screen_lines(facts: Any) -> Iterator[str]:
    rows = [("screen", "experiments", "plates", "wells", "treatments", "controls", "conditions")]
    for of in facts:
        numbers = (of.experiments, of.plates, of.wells, of.treatments, of.controls, of.conditions)
        rows.append((of.name, *("unknown" if n is None else count(n) for n in numbers)))
    if len(rows) > 1:
        yield table(rows)
        yield ""
    for of in facts:
        yield from (f"{verdict('CHECK')}  {of.name}: {text}" for text in of.warnings)


def _verdicts(
    config: Mapping[str, Any], facts: Mapping[str, ScreenSummary]
) -> Iterator[tuple[str, str]]:
    for of in facts.values():
        yield from (("FAIL", f"{of.name}: {text}") for text in of.failures)
    for name, manifest in config["manifests"].items():
        for screen in manifest["screens"]:
            if screen in facts and facts[screen].screen is not None:
                yield _verdict(f"manifest {name} on {screen}", manifest, config, facts[screen])


def _verdict(
    name: str, manifest: Mapping[str, Any], config: Mapping[str, Any], facts: ScreenSummary
) -> tuple[str, str]:
    settings = config["screens"][facts.name]["consistency"]
    found = facts.feasibility(manifest, settings)
    text = (
        f"{name}: {count(found.reach_step_3)} of {count(found.conditions)} conditions reach step 3"
    )
    if found.reach_step_3 == 0:
        return "FAIL", (
            f"{text}. The best has {found.most_experiments} experiments and {found.most_wells} "
            "wells.\n"
            "    To fix: choose a preset that fits the screen, or set min_experiments, min_wells."
        )
    if not manifest["judges"]:
        return "PASS", f"{text}; there is no step 5."
    text += f", {count(found.can_pass_step_5)} can have p < {manifest['p_value']:g}"
    if found.can_pass_step_5 == 0:
        return "FAIL", (
            f"{text}: no condition can pass step 5.\n"
            "    To fix: raise consistency.num_null or p_value, test across experiments, or see "
            "consistency.null_model."
        )
    if found.can_pass_step_5 < found.reach_step_3:
        return "CHECK", f"{text}; the others have too few wells or conditions beside them."
    return "PASS", f"{text}."
