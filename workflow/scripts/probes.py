"""Fit a linear probe to every block of one encoder for one task."""

import os

if snakemake.params.settings["device"] == "cuda":
    os.environ["SCIPY_ARRAY_API"] = "1"  # scipy reads it when it is imported

from phenoprints.embeddings import open_embeddings
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.probes import ProbeSettings
from phenoprints.probes.contracts import ACCURACIES, CONFUSIONS, SPLIT
from phenoprints.probes.running import probe_task

with logged(snakemake):
    settings, names = snakemake.params.settings, snakemake.wildcards
    stores = [artefact_path(path) for path in snakemake.input.blocks]
    readers = {store.parent.name: open_embeddings(store) for store in stores}
    accuracies, confusions = probe_task(
        SPLIT.read(snakemake.input.split),
        readers.__getitem__,
        encoder=names.encoder,
        task=names.task,
        settings=ProbeSettings(**settings),
        num_threads=snakemake.threads,
    )
    ACCURACIES.write(snakemake.output.accuracies, accuracies)
    CONFUSIONS.write(snakemake.output.confusions, confusions)
    for output in snakemake.output:
        write_provenance(
            output,
            "probes",
            settings=settings,
            inputs=[snakemake.input.split, *stores],
            rows={"accuracies": len(accuracies), "confusions": len(confusions)},
        )
