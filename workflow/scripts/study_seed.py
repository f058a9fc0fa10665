"""Train and score every arm of a study at one seed."""

from pathlib import Path

import torch

from phenoprints.configuration.models.studies import Study
from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.publishing import publish_table
from phenoprints.foundations.script_logging import logged
from phenoprints.studies.trial import Trial

with logged(snakemake):
    torch.set_num_threads(snakemake.threads)
    path, seed = Path(snakemake.output[0]), int(snakemake.wildcards.seed)
    settings = snakemake.params.settings
    folder = path.parents[1] / "encoders" / str(seed)
    scores = Trial(Study(**settings), seed, folder).run()
    publish_table(path, scores)
    write_provenance(path, "training", settings=settings, inputs=[], rows={"scores": len(scores)},
                     seeds={"seed": seed})  # fmt: skip
