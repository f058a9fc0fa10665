"""One vector per perturbation."""

from phenoprints.maps.aggregation import aggregate, unit_rows
from phenoprints.maps.building import PerturbationMap, perturbation_map
from phenoprints.maps.control_sets import Comparison, compare, comparisons, strata
from phenoprints.maps.doses import dose_lengths, dose_response
from phenoprints.maps.guides import guide_concordance
from phenoprints.maps.layout import clustered_order, two_dimensions
from phenoprints.maps.neighbours import named_neighbours, nearest_neighbours, neighbour_table
from phenoprints.maps.settings import MapSettings
from phenoprints.maps.store import open_map, read_map_table, save_map
from phenoprints.maps.summaries import map_tables

__all__ = [
    "Comparison",
    "MapSettings",
    "PerturbationMap",
    "aggregate",
    "clustered_order",
    "compare",
    "comparisons",
    "dose_lengths",
    "dose_response",
    "guide_concordance",
    "map_tables",
    "named_neighbours",
    "nearest_neighbours",
    "neighbour_table",
    "open_map",
    "perturbation_map",
    "read_map_table",
    "save_map",
    "strata",
    "two_dimensions",
    "unit_rows",
]
