"""Put vectors that others computed under the wells of one screen."""

from phenoprints.embeddings import open_embeddings
from phenoprints.embeddings.failures import FAILURES, refuse_too_many
from phenoprints.embeddings.feature_selection import excluded_table
from phenoprints.embeddings.precomputed import (
    attributes_of,
    match_vectors,
    refuse_missing_features,
)
from phenoprints.embeddings.replicate_similarity import REPLICATE_SIMILARITY, similarity_of_screen
from phenoprints.embeddings.vector_arrays import array_place
from phenoprints.embeddings.vector_tables import read_profiles
from phenoprints.embeddings.writing import write_rows
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.wells.contracts import WELLS

with logged(snakemake):
    settings, paths = snakemake.params.settings, snakemake.input
    columns = ["well_id", "experiment", "plate", "well", "conditions"]
    wells = WELLS.read(paths.wells, columns)
    table = read_profiles(paths.profiles, settings, snakemake.params.screen, paths.row_tables)
    matched = match_vectors(wells, table)
    FAILURES.write(snakemake.output.failures, matched.failures)
    refuse_missing_features(matched, snakemake.params.max_failed_fraction)
    refuse_too_many(
        matched.failures, len(wells), where=snakemake.wildcards.encoder,
        max_failed_fraction=snakemake.params.max_failed_fraction,
    )  # fmt: skip
    profiles = [array_place(path) or path for path in paths.profiles]
    store = artefact_path(snakemake.output.provenance)
    attributes = {**snakemake.wildcards, **attributes_of(table, paths.profiles)}
    dtype = snakemake.params.stored_as
    write_rows(store, wells, matched.vectors, attributes=attributes, dtype=dtype)
    REPLICATE_SIMILARITY.write(
        snakemake.output.replicate_similarity,
        similarity_of_screen(open_embeddings(store), paths.wells),
    )
    for artefact in (snakemake.output.failures, snakemake.output.replicate_similarity, store):
        write_provenance(
            artefact,
            "embeddings",
            settings={"encoder": settings, "screen": snakemake.params.screen, "stored_as": dtype},
            inputs=[paths.wells, *profiles, *paths.row_tables],
            rows=matched.counts,
            notes={
                "warnings": [*table.notes, *matched.warnings],
                "excluded_columns": excluded_table(table.excluded).to_dict("records"),
                "doubtful_features": matched.doubtful,
            },
        )
