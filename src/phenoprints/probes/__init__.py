"""Which block of an encoder knows most biology."""

from phenoprints.probes.tasks import Labels, Task, label_wells, probe_wells, read_groups

__all__ = ["Labels", "Task", "label_wells", "probe_wells", "read_groups"]
