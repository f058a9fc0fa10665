"""Run the configured benchmarks of one screen and encoder."""

from phenoprints.annotation import terms
from phenoprints.benchmarks import run_benchmarks
from phenoprints.benchmarks.contracts import BENCHMARKS
from phenoprints.benchmarks.loading import load_inputs
from phenoprints.foundations.provenance import write_provenance
from phenoprints.foundations.script_logging import logged

with logged(snakemake):
    params, paths = snakemake.params, snakemake.input
    inputs = load_inputs(
        dict(paths.items()),
        dict(zip(params.tables, paths.tables, strict=True)),
        params.settings,
        encoder=snakemake.wildcards.encoder,
        learned_from_screen=params.learned_from_screen,
        hold_out=params.hold_out,
        seed=params.seed,
    )
    table = run_benchmarks(params.names, inputs)
    BENCHMARKS.write(snakemake.output.table, table)
    write_provenance(
        snakemake.output.table,
        "benchmarks",
        settings={"names": params.names, **params.settings},
        inputs=list(paths),
        rows={"wells": len(inputs.wells), "out": len(table)},
        seeds={"seed": params.seed},
        notes={"seen": inputs.seen, "terms": terms(params.tables)},
    )
