"""How an experiment was laid out, as far as a test must know it."""

# N wells

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Design:
    """What a test may know of an experiment's wells beside their conditions, (N,) each.

    Attributes
    ----------
    experiment
        Name of the experiment, part of the key of the random stream.
    well_id
        Wells are sorted by it first, so that the order of rows does not matter.
    group
        What the wells of a null set must differ in, by default the condition: genes or compounds
        for tests of perturbations. A missing value keeps a well out of the null sets.
    stratum
        With any null, sets copy the condition's number of wells per stratum (its plate and ring,
        or its experiments).
    is_control
        The negative controls; they are drawn only by the null of that name.
    """

    experiment: str = ""
    well_id: ArrayLike | None = None
    group: ArrayLike | None = None
    stratum: ArrayLike | None = None
    is_control: ArrayLike | None = None

    @property
    def columns(self) -> dict[str, ArrayLike]:
        """The arrays that are given, by name."""
        names = ("well_id", "group", "stratum", "is_control")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
