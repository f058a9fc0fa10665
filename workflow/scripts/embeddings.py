"""Look at a screen with an encoder: make the plan, compute a batch of it, gather, or all three."""

import pandas as pd
import torch

from phenoprints.embeddings.failures import FAILURES
from phenoprints.embeddings.pairs import PairFiles, open_pair
from phenoprints.embeddings.selection import Stores
from phenoprints.embeddings.units import batch_of, plan_table, works_of
from phenoprints.foundations.jobs import logged
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.publishing import publish_json, publish_table
from phenoprints.probes.tasks import wells_of_tasks

with logged(snakemake.log):
    paths, params, out = snakemake.input, snakemake.params, snakemake.output
    names, inference = snakemake.wildcards, snakemake.config["inference"]
    # The other threads read images; that of the network stays one, and with it the bytes.
    torch.set_num_threads(max(1, snakemake.threads - inference["num_workers"]))
    batch, num_batches = int(names.get("batch", 0)), int(names.get("num_batches", 1))
    is_computing = "compute" in params.phases
    pair = open_pair(
        PairFiles(paths.wells, paths.sites, paths.quality, paths.images, paths.encoder),
        Stores.at(**{kind: artefact_path(path) for kind, path in params.stores.items()}),
        params.settings,
        name=f"{names.screen} by {names.encoder}",
        block_wells=wells_of_tasks(paths.wells, paths.conditions, params.settings, params.seed),
        device=inference["device"] if is_computing else "cpu",
        job=batch,
    )
    works = works_of(pd.read_parquet(paths.plan)) if hasattr(paths, "plan") else pair.plan()
    if "plan" in params.phases:
        pair.make_stores({"screen": names.screen, "encoder": names.encoder})
    told, rows = {}, {"wells": len(pair.selection.wells)}
    if hasattr(out, "plan"):
        publish_table(out.plan, plan_table(works))
    if is_computing:
        chosen = batch_of(works, batch, num_batches)
        told["done"] = pair.compute(chosen, num_workers=inference["num_workers"])
    if "gather" in params.phases:
        pair.mend(works)
        gathered = pair.gather(works)
        FAILURES.write(out.failures, gathered.failures)
        told["throughput"], rows["failures"] = gathered.cost, len(gathered.failures)
    for name in told:
        if hasattr(out, name):
            publish_json(getattr(out, name), told[name])
    stores = pair.stores.written() if "gather" in params.phases else []
    files = [path for path in out if not path.endswith(".provenance.json")]
    inputs = [paths.wells, paths.sites, paths.quality, paths.images, artefact_path(paths.encoder)]
    notes = {"encoder_fingerprint": pair.look.encoder.fingerprint(), "units": len(works)}
    for path in [*files, *stores]:
        write_provenance(
            path, "embeddings", settings=params.settings, inputs=inputs, rows=rows, notes=notes
        )
