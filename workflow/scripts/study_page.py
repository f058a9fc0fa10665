"""Compare the arms of a study in pairs over its seeds, as a table and a page."""

from pathlib import Path

import pandas as pd

from phenoprints.configuration.models.studies import Study
from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.publishing import publish_table
from phenoprints.foundations.script_logging import logged
from phenoprints.reports.build import write_page
from phenoprints.studies.comparing import compare, effects_table, study_page

with logged(snakemake):
    settings, name = snakemake.params.settings, snakemake.wildcards.study
    paths = list(snakemake.input.scores)
    scores = pd.concat([pd.read_parquet(path) for path in paths], ignore_index=True)
    study = Study(**settings)
    effects, page = snakemake.output.effects, Path(snakemake.output.page)
    publish_table(effects, effects_table(compare(scores, study)))
    shown = study_page(name, scores, study)
    write_page(page.parent, shown, f"study {name}", [shown])
    for path in (effects, page):
        write_provenance(path, "reports", settings=settings, inputs=paths,
                         rows={"scores": len(scores)})  # fmt: skip
