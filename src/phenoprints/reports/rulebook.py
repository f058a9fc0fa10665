"""The page of the documentation that explains every rule."""

from __future__ import annotations

from phenoprints.quality.rules import QualitySettings, catalogue
from phenoprints.reports.rules import RULES
from phenoprints.reports.verdicts import Rule

HEADING = """# Rules

Every rule that quality control and the reports judge by. A code never changes its meaning. This
page is written by `python -m phenoprints.reports.rulebook`; thresholds of images are the defaults.
"""


def as_markdown() -> str:
    """Return the page of the documentation that holds every rule, with an anchor each."""
    sections = {rule.code: _section(rule) for rule in RULES}
    sections |= {rule["code"]: _quality_section(rule) for rule in catalogue(QualitySettings())}
    return "\n".join([HEADING, *(sections[code] for code in sorted(sections))])


def _section(rule: Rule) -> str:
    parts = {
        "Good looks like": rule.good,
        "The threshold comes from": rule.threshold_from,
        "What to do": rule.cure,
    }
    return _written(rule.code, rule.title, rule.why, parts)


def _quality_section(rule: dict[str, str]) -> str:
    parts = {"Breaks it": rule["threshold"], "Concerns": f"a {rule['level']}"}
    return _written(rule["code"], rule["what"], rule["why"], parts)


def _written(code: str, title: str, why: str, parts: dict[str, str]) -> str:
    told = "\n".join(f"{name}\n: {text}\n" for name, text in parts.items() if text)
    return f"({code})=\n## {code}: {title}\n\n{why}\n\n{told}"


if __name__ == "__main__":
    import sys

    sys.stdout.write(as_markdown())
