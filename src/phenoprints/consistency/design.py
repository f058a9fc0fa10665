"""The design of an experiment: what the consistency test needs to know of its wells."""

# N wells

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Design:
    """Properties of an experiment's wells beside their conditions, (N,) each.

    Attributes
    ----------
    experiment
        Name of the experiment, part of the key of the random stream. For a test across experiments
        the experiment of each well, (N,): null sets then copy the numbers per experiment.
    well_id
        Wells are sorted by it first, so that the order of rows does not matter.
    group
        What the wells of a null set must differ in, by default the condition: genes or compounds
        for tests of perturbations. A missing value keeps a well out of the null sets.
    plate
        Plate of each well; `plate-matched` and `layout-matched` null sets copy the numbers per
        plate.
    edge
        Distance of each well from the edge of its plate, which `layout-matched` null sets copy too.
    is_control
        The negative controls; they are drawn only by the null model of that name.
    """

    experiment: str | ArrayLike = ""
    well_id: ArrayLike | None = None
    group: ArrayLike | None = None
    plate: ArrayLike | None = None
    edge: ArrayLike | None = None
    is_control: ArrayLike | None = None

    @property
    def name(self) -> str:
        """Name of the experiment; empty for a test across experiments."""
        return self.experiment if isinstance(self.experiment, str) else ""

    @property
    def columns(self) -> dict[str, ArrayLike]:
        """The arrays that are given, by name."""
        names = ("well_id", "group", "plate", "edge", "is_control")
        given = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        if not isinstance(self.experiment, str):
            given["experiment"] = self.experiment
        return given
