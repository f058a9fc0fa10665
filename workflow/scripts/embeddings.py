"""Look at a screen with an encoder: make the plan, gather what was computed, or do all of it."""

import pandas as pd
import torch

from phenoprints.embeddings import open_embeddings
from phenoprints.embeddings.failures import FAILURES
from phenoprints.embeddings.nearness import NEARNESS, nearness_of
from phenoprints.embeddings.pairs import PairFiles, compute_pairs, open_pair
from phenoprints.embeddings.units import Stores, plan_table, spans_of, works_of
from phenoprints.foundations.jobs import logged
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.publishing import publish_json, publish_table
from phenoprints.probes.tasks import wells_of_tasks

with logged(snakemake.log):
    paths, params, out = snakemake.input, snakemake.params, snakemake.output
    names, inference = snakemake.wildcards, snakemake.config["inference"]
    # The other threads read images; that of the network stays one, and with it the bytes.
    torch.set_num_threads(max(1, snakemake.threads - inference["num_workers"]))
    pair = open_pair(
        PairFiles(paths.wells, paths.sites, paths.quality, paths.images, paths.encoder),
        Stores.at(**{kind: artefact_path(path) for kind, path in params.stores.items()}),
        params.settings,
        name=f"{names.screen} by {names.encoder}",
        device=inference["device"] if "compute" in params.phases else "cpu",
    )
    if "plan" in params.phases:
        tasks = wells_of_tasks(paths.wells, paths.conditions, params.settings, params.seed)
        plan = pair.plan(tasks)
        pair.make_stores(plan, {"screen": names.screen, "encoder": names.encoder})
    works = plan.works if "plan" in params.phases else works_of(pd.read_parquet(paths.plan))
    rows = {"wells": pair.num_wells}
    if hasattr(out, "plan"):
        publish_table(out.plan, plan_table(works))
    if "compute" in params.phases:
        compute_pairs([pair], spans_of([works]), num_workers=inference["num_workers"])
    if "gather" in params.phases:
        gathered = pair.gather(works)
        FAILURES.write(out.failures, gathered.failures)
        near = nearness_of(open_embeddings(pair.stores.embeddings), paths.wells)
        NEARNESS.write(out.nearness, near)
        publish_json(out.throughput, gathered.cost)
        rows["failures"] = len(gathered.failures)
    stores = pair.stores.written() if "gather" in params.phases else []
    files = [path for path in out if not path.endswith(".provenance.json")]
    inputs = [paths.wells, paths.sites, paths.quality, paths.images, artefact_path(paths.encoder)]
    notes = {"encoder_fingerprint": pair.look.encoder.fingerprint(), "units": len(works)}
    for path in [*files, *stores]:
        write_provenance(
            path, "embeddings", settings=params.settings, inputs=inputs, rows=rows, notes=notes
        )
