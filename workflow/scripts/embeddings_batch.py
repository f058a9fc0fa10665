"""Look at one batch of a screen's units, with one encoder or with several together."""

import pandas as pd
import torch

from phenoprints.embeddings.pairs import PairFiles, compute_pairs, open_pair
from phenoprints.embeddings.units import Stores, batch_of, spans_of, works_of
from phenoprints.foundations.jobs import logged
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.publishing import publish_json

with logged(snakemake.log):
    paths, params, names = snakemake.input, snakemake.params, snakemake.wildcards
    inference = snakemake.config["inference"]
    # The other threads read images; that of the networks stays one, and with it the bytes.
    torch.set_num_threads(max(1, snakemake.threads - inference["num_workers"]))
    batch, num_batches = int(names.batch), int(names.num_batches)
    pairs = [
        open_pair(
            PairFiles(paths.wells, paths.sites, paths.quality, paths.images, encoder),
            Stores.at(**{kind: artefact_path(path) for kind, path in params.stores[name].items()}),
            params.settings[name],
            name=f"{names.screen} by {name}",
            device=inference["device"],
            job=batch,
        )
        for name, encoder in zip(params.settings, paths.encoders, strict=True)
    ]
    spans = spans_of([works_of(pd.read_parquet(path)) for path in paths.plans])
    chosen = batch_of(spans, batch, num_batches)
    done = compute_pairs(pairs, chosen, num_workers=inference["num_workers"])
    publish_json(snakemake.output.done, done)
    encoders = [artefact_path(path) for path in paths.encoders]
    write_provenance(
        snakemake.output.done,
        "embeddings",
        settings=params.settings,
        inputs=[paths.wells, paths.sites, paths.quality, paths.images, *encoders, *paths.plans],
        rows={"wells": pairs[0].num_wells},
        notes={"units": sum(map(len, chosen))},
    )
