"""What can be chosen about a simulated screen."""

from __future__ import annotations

from dataclasses import dataclass

from phenoprints.foundations.errors import ConfigurationError, Problem, raise_problems

POSITIONS = ("moving", "fixed")


@dataclass(frozen=True)
class SimulationSettings:
    """The size of a simulated screen and the strength of what it contains.

    Attributes
    ----------
    experiments, plates, rows, columns
        Experiments; plates of each; rows and columns of a plate. A condition has one well on
        every plate, so `plates` is its number of replicates in an experiment.
    unperturbed, negative_controls, positive_controls
        Such wells on every plate.
    genes_per_pathway, inactive_genes, guides
        Genes in each of the six pathways; genes without effect; guides of every gene.
    partial_genes
        How many of the inactive genes have an effect in one single experiment.
    compounds
        Compounds at eight concentrations, each with a known target gene.
    positions
        `moving`: a condition stands at another position on every plate; `fixed`: at the same.
    size_px
        Height and width of an image.
    effects
        Factor on the effects of all genes and compounds; 0 gives a screen without any.
    nuisance
        Factor on what differs between experiments, plates, positions and wells.
    bad_wells
        Share of wells that are planted dead, blurred, saturated, empty or full of debris.
    """

    experiments: int = 4
    plates: int = 4
    rows: int = 8
    columns: int = 12
    unperturbed: int = 12
    negative_controls: int = 6
    positive_controls: int = 2
    genes_per_pathway: int = 3
    inactive_genes: int = 8
    partial_genes: int = 2
    guides: int = 2
    compounds: int = 3
    positions: str = "moving"
    size_px: int = 256
    effects: float = 1.0
    nuisance: float = 1.0
    bad_wells: float = 0.03

    def __post_init__(self) -> None:
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

    def _problems(self) -> list[Problem]:
        wanted = self.num_conditions + self.num_controls
        room = self.rows * self.columns
        problems = []
        if wanted > room:
            what = f"{self.num_conditions} conditions and {self.num_controls} controls"
            fix = "take fewer genes, guides, compounds or controls, or more rows and columns"
            problems.append(Problem("simulation", what, f"at most {room} wells on a plate", fix))
        if self.positions not in POSITIONS:
            what = f'positions: "{self.positions}"'
            problems.append(Problem("simulation", what, f"one of {', '.join(POSITIONS)}"))
        if self.partial_genes > self.inactive_genes:
            what = f"partial_genes: {self.partial_genes}"
            expected = f"at most inactive_genes ({self.inactive_genes})"
            problems.append(Problem("simulation", what, expected))
        if self.compounds > 6 * self.genes_per_pathway:
            what = f"compounds: {self.compounds}"
            problems.append(Problem("simulation", what, "at most one for each gene of a pathway"))
        lowest = dict.fromkeys(("effects", "nuisance", "bad_wells"), 0.0)
        lowest |= dict.fromkeys(("experiments", "plates", "rows", "columns", "guides"), 1.0)
        lowest["size_px"] = 32.0
        problems += [
            Problem("simulation", f"{name}: {getattr(self, name)}", f"{bound:g} or more")
            for name, bound in lowest.items()
            if not getattr(self, name) >= bound
        ]
        return problems
