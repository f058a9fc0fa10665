"""Which wells are worth learning from."""

from phenoprints.curation.conditions import unite_conditions
from phenoprints.curation.feasibility import Feasibility, feasibility
from phenoprints.curation.funnel import Funnel, curate, curate_parts
from phenoprints.curation.phenoprints import genes_table, phenoprints_table
from phenoprints.curation.rules import Rules

__all__ = [
    "Feasibility",
    "Funnel",
    "Rules",
    "curate",
    "curate_parts",
    "feasibility",
    "genes_table",
    "phenoprints_table",
    "unite_conditions",
]
