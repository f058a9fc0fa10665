"""Set every encoder's benchmarks beside its probes and the cost of its training."""

import json
from pathlib import Path

import pandas as pd

from phenoprints.benchmarks import accuracies_of_encoders, probes_table, training_table
from phenoprints.benchmarks.contracts import BENCHMARKS, BY_PROBES, BY_TRAINING
from phenoprints.foundations.encoder_folders import training_flops_of
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.probes.contracts import ACCURACIES

with logged(snakemake):
    paths, params, output = snakemake.input, snakemake.params, snakemake.output
    tables = zip(params.screens, paths.tables, strict=True)
    benchmarks = pd.concat(
        [BENCHMARKS.read(path).assign(screen=screen) for screen, path in tables],
        ignore_index=True,
    )
    empty = ACCURACIES.schema.empty_table().to_pandas()
    probed = pd.concat([empty, *(ACCURACIES.read(path) for path in paths.accuracies)])
    chosen = [json.loads(Path(path).read_text(encoding="utf-8")) for path in paths.chosen]
    trimmed = {name: one["block"] for name, one in zip(params.trimmed, chosen, strict=True)}
    accuracies = accuracies_of_encoders(probed, trimmed, params.blocks)
    folders = {
        name: artefact_path(path)
        for name, path in zip(params.encoders, paths.encoders, strict=True)
    }
    flops = training_flops_of(folders)
    BY_PROBES.write(output.by_probes, probes_table(accuracies, benchmarks))
    BY_TRAINING.write(output.by_training, training_table(benchmarks, flops, accuracies))
    for path in output:
        write_provenance(
            path,
            "benchmarks",
            settings={"blocks": params.blocks},
            inputs=[*paths.tables, *paths.accuracies, *paths.chosen, *folders.values()],
            rows={"benchmarks": len(benchmarks), "accuracies": len(accuracies)},
        )
