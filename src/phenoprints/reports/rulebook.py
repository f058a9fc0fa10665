"""The page of the documentation that explains every rule."""

from __future__ import annotations

from phenoprints.reports.rules import RULES
from phenoprints.reports.verdicts import Rule

HEADING = """# Rules

Every rule that quality control and the reports judge by. A code never changes its meaning. This
page is written by `python -m phenoprints.reports.rulebook`.
"""


def as_markdown() -> str:
    """The page of the documentation that holds every rule, with an anchor each."""
    return "\n".join([HEADING, *(_section(rule) for rule in RULES)])


def _section(rule: Rule) -> str:
    parts = {
        "Good looks like": rule.good,
        "The threshold comes from": rule.threshold_from,
        "What to do": rule.cure,
    }
    told = "\n".join(f"{name}\n: {text}\n" for name, text in parts.items() if text)
    return f"({rule.code})=\n## {rule.code}: {rule.title}\n\n{rule.why}\n\n{told}"


if __name__ == "__main__":
    import sys

    sys.stdout.write(as_markdown())
