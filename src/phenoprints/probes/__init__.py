"""Which block of an encoder knows most biology."""

from phenoprints.probes.choosing import choose_block
from phenoprints.probes.probing import ProbeSettings, class_accuracies, probe_blocks
from phenoprints.probes.splits import split_wells
from phenoprints.probes.tasks import Labels, Task, label_wells, probe_wells, read_groups

__all__ = [
    "Labels",
    "ProbeSettings",
    "Task",
    "choose_block",
    "class_accuracies",
    "label_wells",
    "probe_blocks",
    "probe_wells",
    "read_groups",
    "split_wells",
]
