"""The data model of a screen: tables, plates, roles, conditions, designs and readers."""

from phenoprints.wells.conditions import describe_wells, num_conditions, single_condition
from phenoprints.wells.contracts import CONDITIONS, KINDS, MODALITIES, ROLES, SITES, WELLS
from phenoprints.wells.designs import compositions, design_table, single_plate, single_position
from phenoprints.wells.plates import PLATE_FORMATS, edge_distance, plate_formats, well_name
from phenoprints.wells.quality import WHOLE_WELL, failed_sites, failed_wells, usable_wells
from phenoprints.wells.readers import (
    ArrayEmbeddings,
    EmbeddingsReader,
    check_reader,
    check_well_ids,
    experiment_rows,
    read_checked,
)
from phenoprints.wells.roles import (
    CONTROL_ROLES,
    MIN_CONTROLS,
    PERTURBED_ROLES,
    control_role,
    control_wells,
    inactive_role,
)
from phenoprints.wells.screen import Screen

__all__ = [
    "CONDITIONS",
    "CONTROL_ROLES",
    "KINDS",
    "MIN_CONTROLS",
    "MODALITIES",
    "PERTURBED_ROLES",
    "PLATE_FORMATS",
    "ROLES",
    "SITES",
    "WELLS",
    "WHOLE_WELL",
    "ArrayEmbeddings",
    "EmbeddingsReader",
    "Screen",
    "check_reader",
    "check_well_ids",
    "compositions",
    "control_role",
    "control_wells",
    "describe_wells",
    "design_table",
    "edge_distance",
    "experiment_rows",
    "failed_sites",
    "failed_wells",
    "inactive_role",
    "num_conditions",
    "plate_formats",
    "read_checked",
    "single_condition",
    "single_plate",
    "single_position",
    "usable_wells",
    "well_name",
]
