"""Proximity bias: genes on one chromosome arm look alike after cutting, and how it is taken off."""

# G genes · N wells · K components · A arms

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.alignment.affine import Floats
from phenoprints.foundations.errors import DataError, Problem, TableError, raise_problems
from phenoprints.wells import describe_wells

MIN_GENES = 20
"""An arm is corrected where more genes than this speak for it (Lazar et al. 2024)."""

UNEXPRESSED_ZFPKM = -3.0
"""A gene with a median zFPKM below this is not expressed (Hart et al. 2013)."""

LOCUS = r"^(?P<chromosome>[0-9]{1,2}|X|Y)(?P<arm>[pq])"


def arms_of_loci(table: pd.DataFrame) -> dict[str, str]:
    """Gene to chromosome arm ("19q") from the columns `Approved_symbol` and `Locus` ("19q13.43").

    Genes whose locus names no arm (mitochondrial, reserved, unplaced) are left out.
    """
    _need(table, ("Approved_symbol", "Locus"))
    parts = table["Locus"].astype(str).str.extract(LOCUS)
    arm = (parts["chromosome"] + parts["arm"]).where(parts["arm"].notna())
    found = pd.Series(arm.to_numpy(), index=table["Approved_symbol"].astype(str)).dropna()
    return dict(found[~found.index.duplicated()])


def arms_of_positions(genes: pd.DataFrame, centromeres: pd.DataFrame) -> dict[str, str]:
    """Gene to chromosome arm from coordinates: q where the gene ends beyond the midpoint.

    `genes` has the columns gene, chromosome, end; `centromeres` chrom, chromStart, chromEnd with
    one or more pieces per chromosome, whose outer ends count. "chr" before a name is ignored.
    """
    _need(genes, ("gene", "chromosome", "end"))
    _need(centromeres, ("chrom", "chromStart", "chromEnd"))
    pieces = centromeres.groupby(_bare(centromeres["chrom"]))
    middle = (pieces["chromStart"].min() + pieces["chromEnd"].max()) / 2
    chromosome = _bare(genes["chromosome"])
    midpoint = chromosome.map(middle)
    arm = chromosome + np.where(genes["end"] > midpoint, "q", "p")
    found = pd.Series(arm.to_numpy(), index=genes["gene"].astype(str))[midpoint.notna().to_numpy()]
    return dict(found[~found.index.duplicated()])


def unexpressed_genes(table: pd.DataFrame, max_zfpkm: float = UNEXPRESSED_ZFPKM) -> set[str]:
    """Genes whose zFPKM, median over a gene's rows, is below `max_zfpkm` (columns gene, zfpkm)."""
    _need(table, ("gene", "zfpkm"))
    median = table.groupby("gene")["zfpkm"].median()
    return set(median.index[median < max_zfpkm].astype(str))


@dataclass
class ChromosomeArmCorrection:
    """Subtract from every gene the mean of its arm's unexpressed genes; scikit-learn style.

    An arm is corrected when more than `min_genes` of its genes are unexpressed; without expression
    data the mean of all its genes is taken, by the same count. Genes without an arm stay.
    After fitting: `arms_` (sorted names), `offsets_` (A, K), `num_genes_` (A,), `basis_`
    ("unexpressed genes" or "all genes"). Source: Lazar et al. 2024, doi:10.1038/s41588-024-01758-y.
    """

    arms: Mapping[str, str]
    unexpressed: Collection[str] | None = None
    min_genes: int = MIN_GENES

    def fit(self, x: Floats, genes: Sequence[str]) -> Self:
        """Learn from one mean embedding per gene: x (G, K), `genes` (G,) without duplicates."""
        names = pd.Index([str(gene) for gene in genes])
        if len(names) != len(x) or names.has_duplicates:
            raise DataError(
                f"chromosome arms: {len(x)} rows for {names.nunique()} distinct of {len(names)} "
                "genes. Expected one row per gene."
            )
        self.basis_ = "all genes" if self.unexpressed is None else "unexpressed genes"
        usable = np.isfinite(x).all(axis=1) & self.counts_gene(names.to_numpy(str))
        arm = names.map(self.arms).to_numpy(dtype=object)
        usable &= ~pd.isna(arm)
        counts = pd.Series(arm[usable], dtype=object).value_counts()
        self.arms_ = sorted(counts.index[counts > self.min_genes])
        self.num_genes_ = counts.reindex(self.arms_).to_numpy(dtype=np.int64)
        self.offsets_ = np.zeros((len(self.arms_), x.shape[1]), x.dtype)
        for index, name in enumerate(self.arms_):
            self.offsets_[index] = x[usable & (arm == name)].mean(axis=0, dtype=np.float64)
        return self

    def counts_gene(self, genes: Sequence[str] | NDArray[np.str_]) -> NDArray[np.bool_]:
        """Return whether each gene counts towards the mean of its arm, expression considered."""
        if self.unexpressed is None:
            return np.ones(len(genes), dtype=bool)
        counts: NDArray[np.bool_] = np.isin(
            np.asarray(genes, str), [str(g) for g in self.unexpressed]
        )
        return counts

    def codes(self, genes: Sequence[str]) -> NDArray[np.int16]:
        """Return the index of each gene's corrected arm, -1 where it has none."""
        index = pd.Index(self.arms_, dtype=object)
        arm = pd.Index(list(genes), dtype=object).map(self.arms)
        codes: NDArray[np.int16] = index.get_indexer(arm).astype(np.int16)
        return codes

    def transform(self, x: Floats, genes: Sequence[str]) -> Floats:
        """Return the corrected rows (N, K); "" is no gene and stays."""
        codes = self.codes(genes)
        y = x.copy()
        y[codes >= 0] -= self.offsets_[codes[codes >= 0]]
        return y

    def fit_transform(self, x: Floats, genes: Sequence[str]) -> Floats:
        """Fit, then transform the same rows."""
        return self.fit(x, genes).transform(x, genes)


def _bare(names: pd.Series) -> pd.Series:
    return names.astype(str).str.removeprefix("chr")


def _need(table: pd.DataFrame, columns: Sequence[str]) -> None:
    raise_problems(
        [
            Problem("chromosome arms", f'column "{c}" is missing', f"{', '.join(columns)}")
            for c in columns
            if c not in table.columns
        ],
        TableError,
    )


def cut_genes(wells: pd.DataFrame, conditions: pd.DataFrame) -> NDArray[np.object_]:
    """Return the gene that CRISPR cut in each well with a single condition, "" in all others."""
    described = describe_wells(wells, conditions, ["kind", "gene"])
    genes = described["gene"].where(described["kind"] == "crispr", "")
    return genes.to_numpy(dtype=object)
