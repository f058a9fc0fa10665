"""Curate one manifest: phenoprints, the funnel, and the wells worth learning from."""

from phenoprints.configuration import encoders_of_options
from phenoprints.consistency import ConsistencySettings
from phenoprints.consistency.contracts import CONSISTENCY
from phenoprints.curation import Rules, genes_table, phenoprints_table, unite_conditions
from phenoprints.curation.manifest import figures, write_manifest
from phenoprints.curation.parts import JoinedParts
from phenoprints.curation.screen_files import ScreenFiles, Tables
from phenoprints.curation.thinning import Thinning, open_readers, open_screens, with_ledger
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.publishing import publish_json, publish_table
from phenoprints.foundations.script_logging import logged
from phenoprints.wells import CONDITIONS

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
    stored = open_screens(screens, paths.wells, paths.quality)
    options = list(encoders_of_options(params.settings))
    vectors = paths.get("embeddings", []), paths.get("alignment", [])
    readers = open_readers(options, screens, *vectors)
    phenoprints = with_ledger(phenoprints, stored, readers, rules, new_ids)
    thinning = Thinning(stored, readers, rules, params.seed)
    tables = zip(screens, map(Tables, paths.wells, paths.sites, paths.quality), strict=True)
    parts = JoinedParts([ScreenFiles(of, new_ids[s], params.geometry[s]) for s, of in tables])
    folders = artefact_path(output.manifest), artefact_path(output.reasons)
    funnel = write_manifest(
        parts, phenoprints, rules, *folders, seed=params.seed, workers=snakemake.threads,
        thin=thinning if thinning.is_on else None,
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
