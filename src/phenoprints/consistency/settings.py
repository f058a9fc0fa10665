"""The settings of the consistency test."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self, get_args

from pydantic import Field

from phenoprints.configuration.models.base import default_of
from phenoprints.configuration.models.stages import Consistency, NullModel

PLATE_MATCHED, EXPERIMENT, LAYOUT_MATCHED = "plate-matched", "experiment", "layout-matched"
ANY_WELLS, NEGATIVE_CONTROLS = "any-wells", "negative-controls"
NULL_MODELS = get_args(NullModel)
STRATA = {PLATE_MATCHED: ("plate",), LAYOUT_MATCHED: ("plate", "edge")}
"""What the null sets of a null model copy of a condition's wells, beside their number."""
WITHIN, ACROSS, PRESET = "within-experiments", "across-experiments", "preset"


class ConsistencySettings(Consistency):
    """How conditions are tested and their p-values combined; see docs/consistency.md.

    `scopes` gives the scope of each kind of perturbation under the scope `preset`; kinds that it
    does not name are tested within experiments. The other fields and their defaults are those of
    the configuration.
    """

    # Fewer sets than a screen needs are enough for arrays of a notebook.
    num_null: int = Field(default_of(Consistency, "num_null"), ge=1)
    scopes: dict[str, str] = Field({})

    @classmethod
    def from_section(
        cls, section: Mapping[str, Any], limits: Mapping[str, Mapping[str, Any]] | None = None
    ) -> Self:
        """Build the settings from a screen's section `consistency` and its `limits` by kind."""
        scopes = {kind: limit["scope"] for kind, limit in (limits or {}).items()}
        return super().from_section({**section, "scopes": scopes})

    def scope_of(self, kind: str) -> str:
        """Return where conditions of this kind of perturbation are tested."""
        return self.scopes.get(kind, WITHIN) if self.scope == PRESET else self.scope
