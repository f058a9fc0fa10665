"""Curate one manifest: phenoprints, the funnel, and the wells worth learning from."""

from pathlib import Path

from phenoprints.configuration import encoders_of_options
from phenoprints.consistency import ConsistencySettings
from phenoprints.consistency.contracts import CONSISTENCY
from phenoprints.curation import Rules, genes_table, phenoprints_table, unite_conditions
from phenoprints.curation.confounders import add_ledger, screen_ledger
from phenoprints.curation.manifest import figures, write_manifest
from phenoprints.curation.parts import JoinedParts
from phenoprints.curation.screen_files import ScreenFiles, Tables
from phenoprints.curation.thinning import Thinning, open_readers
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.publishing import publish_json, publish_table
from phenoprints.foundations.script_logging import logged
from phenoprints.wells import CONDITIONS, Screen

with logged(snakemake):
    paths, params, output = snakemake.input, snakemake.params, snakemake.output
    rules, screens = Rules.from_section(params.settings), params.settings["screens"]
    settings = {
        name: ConsistencySettings.from_section(section) for name, section in params.tests.items()
    }
    union, new_ids = unite_conditions(
        {name: CONDITIONS.read(path) for name, path in zip(screens, paths.conditions, strict=True)}
    )
    tests_read = iter(CONSISTENCY.read(path) for path in paths.get("consistency", []))
    tests = {judge: {name: next(tests_read) for name in screens} for judge in rules.judges}
    phenoprints = phenoprints_table(tests, union, rules, new_ids=new_ids, settings=settings)
    genes = genes_table(tests, rules, settings=settings)
    stored = {
        name: Screen.open(Path(wells).parent, quality)
        for name, wells, quality in zip(screens, paths.wells, paths.quality, strict=True)
    }
    options = encoders_of_options(params.settings)
    readers = open_readers(
        list(options), screens, paths.get("embeddings", []), paths.get("alignment", [])
    )
    if rules.confounders:
        ledgers = {
            name: screen_ledger(stored[name], reader, rules.confounders)
            for name, reader in readers["confounders"].items()
        }
        phenoprints = add_ledger(phenoprints, ledgers, new_ids)
    thinning = Thinning(stored, readers, rules, params.seed)
    tables = map(Tables, paths.wells, paths.sites, paths.quality)
    parts = JoinedParts(
        [
            ScreenFiles(of, new_ids[name], params.geometry[name])
            for name, of in zip(screens, tables, strict=True)
        ]
    )
    folders = artefact_path(output.manifest), artefact_path(output.reasons)
    funnel = write_manifest(
        parts, phenoprints, rules, *folders, seed=params.seed, workers=snakemake.threads,
        thin=thinning if rules.duplicates or rules.balance else None,
    )  # fmt: skip
    publish_table(output.phenoprints, phenoprints)
    publish_table(output.genes, genes)
    counted = figures(funnel, phenoprints, genes, tests, rules, settings, new_ids)
    publish_json(output.funnel, counted | thinning.figures)
    rows = {"in": funnel.before["wells"], "out": funnel.after["wells"]}
    for artefact in [output.phenoprints, output.genes, output.funnel, *folders]:
        write_provenance(
            artefact,
            "curation",
            settings={"manifest": params.settings, "consistency": params.tests},
            inputs=list(paths),
            rows=rows,
            seeds={"seed": params.seed},
        )
