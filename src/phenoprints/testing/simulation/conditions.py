"""The conditions of a simulated screen, and the truth about them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.foundations.randomness import generator
from phenoprints.testing.simulation.morphology import (
    PATHWAYS,
    TRAITS,
    gene_direction,
    pathway_direction,
    unit,
)
from phenoprints.testing.simulation.settings import SimulationSettings

CONCENTRATIONS_UM = (0.0025, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0)
DOSE_STRENGTH = (0.0, 0.0, 0.0, 0.8, 0.9, 1.0, 1.1, 1.2)
"""Strength of a compound at each concentration, relative to the gene that it targets."""

EFFECT_SIZE = 7.5
"""Length of the shift of a full effect, in units of traits."""

POSITIVE_CONTROL_SIZE = 6.5
GUIDE_STRENGTH = (1.0, 0.9)
"""Strength of a gene's guides, in turn."""

CELL_TYPE = "U2OS"
NEGATIVE_CONTROLS = ("nontargeting_guide_1", "nontargeting_guide_2", "DMSO")
POSITIVE_CONTROL = "AMG900"


def gene_names(settings: SimulationSettings) -> dict[str, str]:
    """Return the pathway of each gene, "" for genes without effect; names tell nothing about it."""
    num_active = len(PATHWAYS) * settings.genes_per_pathway
    pathways = [PATHWAYS[k % len(PATHWAYS)] for k in range(num_active)]
    pathways += [""] * settings.inactive_genes
    order = generator(0, "simulation", "gene names", len(pathways)).permutation(len(pathways))
    return {f"GENE{k + 1:02d}": pathways[at] for k, at in enumerate(order)}


def build_conditions(settings: SimulationSettings, seed: int) -> pd.DataFrame:
    """One row per condition, sorted by the key of conditions, with its truth and its strength.

    Beside the columns of the conditions contract: `pathway`, `target` (annotations), `truth`
    (full | partial | none | control), `strength` and `only_in` (the number of the experiment that
    a partial condition has its effect in, else -1).
    """
    genes = gene_names(settings)
    rows = [*_guides(settings, genes, seed), *_compounds(settings, genes), *_controls()]
    table = pd.DataFrame(rows).assign(cell_type=CELL_TYPE, background="")
    table = table.sort_values(["perturbation", "concentration_um"], ignore_index=True)
    table.insert(0, "condition_id", np.arange(len(table), dtype=np.int32))
    if settings.effects == 0.0:
        table.loc[table["truth"].isin(["full", "partial"]), "truth"] = "none"
    return table


def _guides(
    settings: SimulationSettings, genes: dict[str, str], seed: int
) -> list[dict[str, object]]:
    inactive = [gene for gene, pathway in genes.items() if not pathway]
    partial = inactive[: settings.partial_genes]
    random = generator(seed, "simulation", "partial")
    only_in = {gene: int(random.integers(settings.experiments)) for gene in partial}
    rows: list[dict[str, object]] = []
    for gene, pathway in genes.items():
        truth = "full" if pathway else "partial" if gene in partial else "none"
        for k in range(settings.guides):
            strength = 0.0 if truth == "none" else GUIDE_STRENGTH[k % len(GUIDE_STRENGTH)]
            name = f"{gene}_guide_{k + 1}"
            row = _row(name, "crispr", truth, strength, gene=gene, guide=name, pathway=pathway)
            rows.append({**row, "only_in": only_in.get(gene, -1)})
    return rows


def _compounds(settings: SimulationSettings, genes: dict[str, str]) -> list[dict[str, object]]:
    rows = []
    for number, target in enumerate(compound_targets(settings, genes)):
        for dose, strength in zip(CONCENTRATIONS_UM, DOSE_STRENGTH, strict=True):
            row = _row(
                f"compound-{number + 1:02d}", "compound", "full" if strength else "none", strength
            )
            pathway = genes[target]
            rows.append({**row, "concentration_um": dose, "pathway": pathway, "target": target})
    return rows


def _controls() -> list[dict[str, object]]:
    rows = [
        _row(name, "compound" if name == "DMSO" else "crispr", "control", 0.0)
        for name in NEGATIVE_CONTROLS
    ]
    for row in rows[:-1]:
        row["guide"] = row["perturbation"]
    return [*rows, _row(POSITIVE_CONTROL, "compound", "control", 1.0)]


def _row(
    perturbation: str,
    kind: str,
    truth: str,
    strength: float,
    *,
    gene: str | None = None,
    guide: str | None = None,
    pathway: str = "",
) -> dict[str, object]:
    return {
        "perturbation": perturbation, "kind": kind, "gene": gene, "guide": guide,
        "concentration_um": np.nan, "pathway": pathway, "target": "", "truth": truth,
        "strength": strength, "only_in": -1,
    }  # fmt: skip


def compound_targets(settings: SimulationSettings, genes: dict[str, str]) -> list[str]:
    """Return the target gene of each compound: one gene of each pathway in turn."""
    by_pathway = [[g for g, pathway in genes.items() if pathway == name] for name in PATHWAYS]
    in_turn = [group[k] for k in range(settings.genes_per_pathway) for group in by_pathway]
    return in_turn[: settings.compounds]


def effect_matrix(
    conditions: pd.DataFrame, settings: SimulationSettings, seed: int
) -> NDArray[np.float64]:
    """Return the shift of traits (experiments, conditions, traits) that each condition causes.

    A compound shares the direction of its target's gene. The positive control keeps its effect
    when `effects` is 0.
    """
    shifts = np.zeros((settings.experiments, len(conditions), len(TRAITS)))
    for at, row in enumerate(conditions.to_dict("records")):
        if row["perturbation"] == POSITIVE_CONTROL:
            shifts[:, at] = POSITIVE_CONTROL_SIZE * positive_direction(seed)
        elif row["strength"]:
            direction = gene_direction(seed, row["target"] or row["gene"], row["pathway"])
            where = slice(None) if row["only_in"] < 0 else row["only_in"]
            shifts[where, at] = settings.effects * EFFECT_SIZE * row["strength"] * direction
    return shifts


def positive_direction(seed: int) -> NDArray[np.float64]:
    """Return the direction of the positive control: of two pathways at once, with large nuclei."""
    direction = pathway_direction(seed, "chromatin") + pathway_direction(seed, "cytoskeleton")
    direction[TRAITS.index("nucleus_size")] = 1.5
    return unit(direction)


def relationships(conditions: pd.DataFrame) -> pd.DataFrame:
    """Pairs of genes of one pathway: entity1 < entity2, source `simulated`, sorted."""
    genes = conditions.loc[conditions["gene"].notna() & (conditions["pathway"] != "")]
    members = genes.drop_duplicates("gene")[["gene", "pathway"]]
    pairs = members.merge(members, on="pathway")
    pairs = pairs[pairs["gene_x"] < pairs["gene_y"]].sort_values(["gene_x", "gene_y"])
    return pd.DataFrame(
        {"entity1": pairs["gene_x"], "entity2": pairs["gene_y"], "source": "simulated"}
    ).reset_index(drop=True)


def compound_gene_table(conditions: pd.DataFrame) -> pd.DataFrame:
    """Measured activities, in the columns of the public truth table.

    A compound binds its target at 100 nM; all other genes were measured as inactive (100,000 nM).
    """
    genes = sorted(conditions["gene"].dropna().unique())
    compounds = conditions[conditions["target"] != ""].drop_duplicates("perturbation")
    rows = [
        (gene, 100.0 if gene == target else 100_000.0, "IC50", "simulated", compound)
        for compound, target in zip(compounds["perturbation"], compounds["target"], strict=True)
        for gene in genes
    ]
    columns = ["gene_symbol", "nM_value", "measurement_type", "database", "treatment"]
    return pd.DataFrame(rows, columns=columns)
