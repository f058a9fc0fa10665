"""Choose the block after which one encoder is trimmed, and say what that saves."""

import json

import pandas as pd

from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.publishing import publish_json
from phenoprints.foundations.script_logging import logged
from phenoprints.probes.choosing import savings
from phenoprints.probes.contracts import ACCURACIES
from phenoprints.probes.running import chosen_blocks

with logged(snakemake):
    settings, paths = snakemake.params.settings, snakemake.input
    accuracies = pd.concat([ACCURACIES.read(path) for path in paths.accuracies])
    chosen = chosen_blocks(accuracies, **settings)
    folder = artefact_path(paths.encoder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))["encoder"]
    content = {
        "encoder": snakemake.wildcards.encoder,
        **chosen,
        "savings": savings(chosen["block"], config),
    }
    publish_json(snakemake.output.chosen, content)
    write_provenance(
        snakemake.output.chosen,
        "probes",
        settings=settings,
        inputs=[*paths.accuracies, folder],
        rows={"accuracies": len(accuracies)},
    )
