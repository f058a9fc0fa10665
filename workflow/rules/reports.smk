# What a person reads: one job makes all pages from the tables that the stages wrote.


rule report:
    """Write the report: an overview and a page per stage, which open without a server."""
    input:
        "<report_index>",
    localrule: True


rule write_reports:
    """Make every page, the summary and the verdicts from the tables of the run."""
    input:
        rules.screens.input,
        rules.quality.input,
        rules.embed.input,
        rules.align.input,
        rules.consistency.input,
        rules.curate.input,
        rules.train.input,
        rules.probe.input,
        rules.map.input,
        rules.match.input,
        rules.benchmark.input,
        stale=INPUTS.stale_mark("write_reports"),
    output:
        # The folder stands here for Snakemake's own report alone: its files stay side by side there,
        # and their links hold.
        report(
            directory("<reports>"),
            patterns=["{page,[^/]+}.html", "tables/{table}.csv"],
            category=lambda wildcards: "Tables" if "table" in wildcards.keys() else "Pages",
            labels=label_of_page,
            caption="../report/pages.rst",
        ),
        [f"<reports>/{page}.html" for page in REPORT_PAGES],
        summary="<report_summary>",
        verdicts="<report_verdicts>",
        provenance="<report_provenance>",
    log:
        "<logs>/write_reports.log",
    benchmark:
        "<benchmarks>/write_reports.tsv"
    conda:
        "../../envs/core.yaml"
    threads: 1
    resources:
        mem_mb=memory_mb(4000),
        runtime=30,
    params:
        **PARAMS.of("write_reports"),
    message:
        "reports: writing the pages of {config[run]}"
    script:
        "../scripts/reports.py"
