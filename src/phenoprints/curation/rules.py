"""The rules of one manifest."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

from phenoprints.configuration import preset
from phenoprints.configuration.models.curation import ManifestKeys
from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems


class Rules(ManifestKeys):
    """How the funnel decides; fields and defaults are those of a manifest in the configuration.

    `limits` replaces min_experiments and min_wells by kind of perturbation; where neither is given
    the limits are the paper's. Without `judges` the funnel ends after step 4.
    """

    def least(self, key: str, kind: str) -> int:
        """Return `min_experiments` or `min_wells` of a kind of perturbation."""
        own = getattr(getattr(self.limits, kind), key, None)
        return int(own or getattr(self, key) or preset("paper")[kind][key])

    @property
    def optional_steps(self) -> tuple[str, ...]:
        """The steps of `steps.OPTIONAL_STEPS` that take place."""
        excludes = self.confounders is not None and bool(self.confounders.exclude)
        chosen = {
            "confounders": excludes,
            "duplicates": self.duplicates is not None,
            "balance": self.balance is not None,
        }
        return tuple(step for step, is_on in chosen.items() if is_on)

    def is_held_out(self, screen: str, experiment: str) -> bool:
        """Whether an experiment is held out, by its name or as `<screen>/<experiment>`."""
        return experiment in self.hold_out or f"{screen}/{experiment}" in self.hold_out


def check_held_out(rules: Rules, experiments: Collection[tuple[str, str]]) -> None:
    """Refuse to hold out what is not there: a misspelt name would leak into the manifest."""
    known = {name for _, name in experiments} | {f"{s}/{name}" for s, name in experiments}
    problems = [
        Problem("hold_out", f'"{name}" is no experiment of these screens', _nearest(name, known))
        for name in sorted(set(rules.hold_out) - known)
    ]
    raise_problems(problems, ConfigurationError)


def _nearest(name: str, known: Collection[str]) -> str:
    near = get_close_matches(name, sorted(known), n=3, cutoff=0.0)
    return f"a name such as {', '.join(near)}" if near else "an experiment"
