"""Embed a screen with an encoder: make the plan, collect what was computed, or do both."""

import pandas as pd
import torch

from phenoprints.embeddings import open_embeddings
from phenoprints.embeddings.embedding_job import JobFiles, compute_jobs, open_job
from phenoprints.embeddings.failures import FAILURES
from phenoprints.embeddings.replicate_similarity import REPLICATE_SIMILARITY, similarity_of_screen
from phenoprints.embeddings.units import Stores, plan_table, unit_groups, unit_tasks
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.publishing import publish_json, publish_table
from phenoprints.foundations.script_logging import logged
from phenoprints.probes.tasks import wells_of_tasks

with logged(snakemake):
    paths, params, out = snakemake.input, snakemake.params, snakemake.output
    names, inference = snakemake.wildcards, snakemake.config["inference"]
    # The other threads read images; that of the network stays one, and with it the bytes.
    torch.set_num_threads(max(1, snakemake.threads - inference["num_workers"]))
    job = open_job(
        JobFiles(paths.wells, paths.sites, paths.quality, paths.images, paths.encoder),
        Stores.at(**{kind: artefact_path(path) for kind, path in params.stores.items()}),
        params.settings,
        name=f"{names.screen} by {names.encoder}",
        device=inference["device"] if "compute" in params.phases else "cpu",
    )
    if "plan" in params.phases:
        tasks = wells_of_tasks(paths.wells, paths.conditions, params.settings, params.seed)
        plan = job.plan(tasks)
        job.make_stores(plan, {"screen": names.screen, "encoder": names.encoder})
    tasks = plan.tasks if "plan" in params.phases else unit_tasks(pd.read_parquet(paths.plan))
    rows = {"wells": job.num_wells}
    if hasattr(out, "plan"):
        publish_table(out.plan, plan_table(tasks))
    if "compute" in params.phases:
        compute_jobs([job], unit_groups([tasks]), num_workers=inference["num_workers"])
    if "gather" in params.phases:
        gathered = job.gather(tasks)
        FAILURES.write(out.failures, gathered.failures)
        near = similarity_of_screen(open_embeddings(job.stores.embeddings), paths.wells)
        REPLICATE_SIMILARITY.write(out.replicate_similarity, near)
        publish_json(out.throughput, gathered.cost)
        rows["failures"] = len(gathered.failures)
    stores = job.stores.written() if "gather" in params.phases else []
    files = [path for path in out if not path.endswith(".provenance.json")]
    inputs = [paths.wells, paths.sites, paths.quality, paths.images, artefact_path(paths.encoder)]
    notes = {"encoder_fingerprint": job.inference.encoder.fingerprint(), "units": len(tasks)}
    for path in [*files, *stores]:
        write_provenance(
            path, "embeddings", settings=params.settings, inputs=inputs, rows=rows, notes=notes
        )
