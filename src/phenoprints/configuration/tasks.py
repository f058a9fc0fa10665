"""The probe tasks that every configuration knows, and the sources that each is made for."""

from __future__ import annotations

from typing import Any

BUILT_IN_TASKS: dict[str, dict[str, Any]] = {
    # 1,139 classes: 1,108 siRNAs, 30 controls and the untreated well (ViTally Consistent, 4).
    "rxrx1": {
        "labels": "perturbation",
        "controls": ["positive_control", "negative_control", "unperturbed"],
        "sources": ["rxrx1"],
    },
    # 39 gene groups and the negative control (ViTally Consistent, Table 7).
    "anax": {
        "labels": "groups",
        "groups": "anax",
        "controls": ["negative_control"],
        "sources": ["rxrx3", "rxrx3-core"],
    },
    "pathway": {"labels": "annotation", "annotation": "pathway", "sources": ["simulated"]},
}
