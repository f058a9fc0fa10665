"""Build the map of one screen as one encoder sees it."""

from pathlib import Path

from phenoprints.alignment import open_aligned
from phenoprints.embeddings import open_embeddings
from phenoprints.foundations.provenance import artefact_path, write_provenance
from phenoprints.foundations.script_logging import logged
from phenoprints.maps import MapSettings, map_tables, perturbation_map, save_map
from phenoprints.matches import map_neighbours
from phenoprints.wells import Screen

with logged(snakemake):
    paths, seed = snakemake.input, snakemake.params.seed
    screen = Screen.open(Path(paths.wells).parent, paths.quality)
    wells, conditions, usable = screen.wells(), screen.conditions, screen.usable()
    reader = open_aligned(
        open_embeddings(artefact_path(paths.embeddings)), artefact_path(paths.alignment)
    )
    settings = MapSettings(**snakemake.params.settings)
    built = perturbation_map(wells, conditions, reader, settings, is_usable=usable)
    tables = map_tables(built, wells, conditions, reader, is_usable=usable, seed=seed)
    tables["calibrated"] = map_neighbours(
        built, wells, conditions, reader, is_usable=usable, seed=seed
    )
    folder = artefact_path(snakemake.output.provenance)
    save_map(folder, built, tables)
    write_provenance(
        folder,
        "maps",
        settings=snakemake.params.settings,
        inputs=list(paths),
        rows={"wells": len(wells), **built.table["level"].value_counts().to_dict()},
        seeds={"seed": seed},
        notes=built.attributes,
    )
