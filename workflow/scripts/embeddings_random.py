"""Draw a random vector for every well of one screen."""

from phenoprints.embeddings import open_embeddings
from phenoprints.embeddings.failures import FAILURES, well_failures
from phenoprints.embeddings.random_vectors import random_vectors
from phenoprints.embeddings.replicate_similarity import REPLICATE_SIMILARITY, similarity_of_screen
from phenoprints.embeddings.writing import write_rows
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.wells.contracts import WELLS

with logged(snakemake):
    settings, seed = snakemake.params.settings, snakemake.params.seed
    wells_path = snakemake.input.wells
    wells = WELLS.read(wells_path, ["well_id", "experiment", "plate", "well"])
    vectors = random_vectors(wells["well_id"].to_numpy(), settings["num_features"], seed=seed)
    FAILURES.write(snakemake.output.failures, well_failures(wells.iloc[:0], "", ""))
    store, dtype = artefact_path(snakemake.output.provenance), snakemake.params.stored_as
    attributes = {**snakemake.wildcards, "encoder_fingerprint": f"random vectors, seed {seed}"}
    write_rows(store, wells, vectors, attributes=attributes, dtype=dtype)
    REPLICATE_SIMILARITY.write(
        snakemake.output.replicate_similarity,
        similarity_of_screen(open_embeddings(store), wells_path),
    )
    for artefact in (snakemake.output.failures, snakemake.output.replicate_similarity, store):
        write_provenance(
            artefact,
            "embeddings",
            settings={"encoder": settings, "stored_as": dtype},
            inputs=[wells_path],
            rows={"wells": len(wells)},
            seeds={"seed": seed},
        )
