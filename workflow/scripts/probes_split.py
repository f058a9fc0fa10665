"""Split the wells of one probe task."""

from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.probes.contracts import SPLIT
from phenoprints.probes.running import split_task
from phenoprints.probes.tasks import Task
from phenoprints.quality import QUALITY
from phenoprints.wells.contracts import CONDITIONS, WELLS

with logged(snakemake):
    task, settings = snakemake.params.task, snakemake.params.settings
    paths = zip(
        *(snakemake.input[name] for name in ("wells", "conditions", "quality")), strict=True
    )
    tables = [(WELLS.read(w), CONDITIONS.read(c), QUALITY.read(q)) for w, c, q in paths]
    screens = dict(zip(task["screens"], tables, strict=True))
    named = Task.of(snakemake.wildcards.task, task)
    done = split_task(named, screens, **settings, seed=snakemake.params.seed)
    SPLIT.write(snakemake.output.split, done.table)
    write_provenance(
        snakemake.output.split,
        "probes",
        settings={**settings, "task": task},
        inputs=list(snakemake.input),
        rows={"wells": len(done.table), **done.table["split"].value_counts().to_dict()},
        seeds={"seed": snakemake.params.seed},
        notes={"coverage": done.coverage, "refused": done.refused},
    )
