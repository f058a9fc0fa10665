"""Fit the alignment of one screen as one encoder sees it."""

from pathlib import Path

from phenoprints.alignment import (
    AlignmentSettings,
    cut_genes,
    fit_alignment,
    read_arms,
    save_alignment,
)
from phenoprints.embeddings import open_embeddings
from phenoprints.embeddings.writing import write_rows
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.wells import Screen

with logged(snakemake):
    paths, folder = snakemake.input, artefact_path(snakemake.output.provenance)
    settings = AlignmentSettings(**snakemake.params.settings)
    screen = Screen.open(Path(paths.wells).parent, paths.quality)
    wells, conditions = screen.wells(), screen.conditions
    reader = open_embeddings(artefact_path(paths.embeddings))
    genes = cut_genes(wells, conditions)
    alignment = fit_alignment(
        wells,
        reader,
        settings,
        is_usable=screen.usable(),
        is_precomputed=snakemake.params.is_precomputed,
        arms=read_arms(settings, genes, paths.loci, paths.expression),
        genes=genes,
    )
    save_alignment(alignment, folder)
    if settings.save_arrays:
        aligned = alignment.of(reader)
        write_rows(folder / "aligned", wells, aligned.read_all(), attributes=aligned.attributes)
    write_provenance(
        folder,
        "alignment",
        settings=snakemake.params.settings,
        inputs=[path for path in paths if path],
        rows={"wells": len(wells), "batches": len(alignment.attributes["num_controls"])},
        notes=alignment.attributes,
    )
