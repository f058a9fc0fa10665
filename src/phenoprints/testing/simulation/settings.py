"""The settings of a simulated screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from phenoprints.configuration.models.screens import SimulationKeys
from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems


class SimulationSettings(SimulationKeys):
    """The size of a simulated screen and the strength of what it contains.

    Fields and defaults are those of simulated screens in the configuration.
    """

    def model_post_init(self, _: Any) -> None:
        """Check that the wells fit on a plate, and what depends on numbers of genes."""
        raise_problems(self._problems(), ConfigurationError)

    @property
    def num_conditions(self) -> int:
        """Guides and compound doses: the perturbed wells of every plate, controls apart."""
        genes = 6 * self.genes_per_pathway + self.inactive_genes
        return genes * self.guides + 8 * self.compounds

    @property
    def num_controls(self) -> int:
        """Control wells of every plate."""
        return self.unperturbed + self.negative_controls + self.positive_controls

    def _problems(self) -> Iterator[Problem]:
        wanted, room = self.num_conditions + self.num_controls, self.rows * self.columns
        if wanted > room:
            what = f"{self.num_conditions} conditions and {self.num_controls} controls"
            fix = "take fewer genes, guides, compounds or controls, or more rows and columns"
            yield Problem("simulation", what, f"at most {room} wells on a plate", fix)
        if self.partial_genes > self.inactive_genes:
            expected = f"at most inactive_genes ({self.inactive_genes})"
            yield Problem("simulation", f"partial_genes: {self.partial_genes}", expected)
        if self.compounds > 6 * self.genes_per_pathway:
            what = f"compounds: {self.compounds}"
            yield Problem("simulation", what, "at most one for each gene of a pathway")
