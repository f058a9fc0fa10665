"""Write an encoder without the blocks after the one that the probes chose."""

import json
from pathlib import Path

from phenoprints import models
from phenoprints.foundations.encoder_folders import read_config
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.script_logging import logged

with logged(snakemake):
    base, chosen = snakemake.input.encoder[0], snakemake.input.chosen[0]
    block = json.loads(Path(chosen).read_text(encoding="utf-8"))["block"]
    encoder = models.load(artefact_path(base))
    folder = artefact_path(snakemake.output[0])
    training = {**read_config(artefact_path(base))["training"], "trimmed_by": "probes"}
    models.save(folder, encoder.trimmed(block), training=training)
    write_provenance(
        folder,
        "training",
        settings={"block": block},
        inputs=list(snakemake.input),
        rows={"blocks_in": encoder.num_blocks, "blocks_out": block},
    )
