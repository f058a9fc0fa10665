"""Which tables of known biology there are: where each comes from, its checksum and its licence."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from phenoprints.foundations.errors import ConfigurationError

_EFAAR = (
    "https://raw.githubusercontent.com/recursionpharma/EFAAR_benchmarking/"
    "830569dc0adae5e8580efde167fb378a88f815ef/efaar_benchmarking/benchmark_annotations/"
)
_JUMP = (
    "https://raw.githubusercontent.com/broadinstitute/jump-profiling-recipe/"
    "d2512d978ca1/inputs/metadata/"
)


@dataclass(frozen=True)
class Source:
    """One table: its file name, where it is downloaded from, and on what terms.

    `sha256` is that of the uncompressed content. Where it is not known the address names a commit,
    which fixes the content, and the number of characters is checked.
    """

    name: str
    file: str
    url: str
    sha256: str | None
    licence: str
    citation: str
    is_non_commercial: bool = False
    num_characters: int | None = None

    @property
    def cached_name(self) -> str:
        """The name of the file in the cache: by source and checksum (or commit)."""
        digest = self.sha256[:16] if self.sha256 else self.url.split("/")[5][:12]
        return f"{self.name}-{digest}{''.join(self.file.partition('.')[1:])}"

    @property
    def terms(self) -> str:
        """Licence and citation in one line, for logs and pages."""
        use = ", non-commercial use only" if self.is_non_commercial else ""
        return f"{self.name}: {self.licence}{use}; {self.citation}"


_ALL = (
    Source(
        "corum", "CORUM.txt", _EFAAR + "CORUM.txt",
        "edaafc77a184ef452996d211e9fe1699615315a36e1efc9d602042c06168a695",
        "CC BY-NC 4.0", "CORUM: Giurgiu et al. 2019, doi:10.1093/nar/gky973", True,
    ),
    Source(
        "humap", "HuMAP.txt", _EFAAR + "HuMAP.txt",
        "6d08074df77f1a7274e754bc6e5e29aa438004bec0a13cbfb934c2c81328f3c4",
        "CC BY 4.0", "hu.MAP: Drew et al. 2021, doi:10.15252/msb.202010016",
    ),
    Source(
        "reactome", "Reactome.txt", _EFAAR + "Reactome.txt",
        "ed3cd0fc32d2fe3510f167e9df39668bc9637348d78787615d3f970b2b862e70",
        "CC0 1.0", "Reactome: Gillespie et al. 2022, doi:10.1093/nar/gkab1028",
    ),
    Source(
        "signor", "SIGNOR.txt", _EFAAR + "SIGNOR.txt",
        "00525d3a90198378b54c5c3093374d5c9ee0550bbd799f06b443512a465bcad3",
        "CC BY-NC 4.0", "SIGNOR: Licata et al. 2020, doi:10.1093/nar/gkz949", True,
    ),
    Source(
        "stringdb", "StringDB.txt", _EFAAR + "StringDB.txt",
        "7955c846a551530c07b1eb508404cf15ef0b77ea39ad2368ed40c5c099dedb8c",
        "CC BY 4.0", "STRING: Szklarczyk et al. 2021, doi:10.1093/nar/gkaa1074",
    ),
    Source(
        "corum-clusters", "CORUM_clusters.tsv", _EFAAR + "CORUM_clusters.tsv",
        "caab1d3db6fa694c001f41e2973492d248ea3936a1249be3bf497648071f5c99",
        "CC BY-NC 4.0", "CORUM: Giurgiu et al. 2019, doi:10.1093/nar/gky973", True,
    ),
    Source(
        "compound-gene", "compound_gene_interactions.csv",
        _EFAAR + "compound_gene_interactions.csv", None,
        "ChEMBL CC BY-SA 3.0, BindingDB CC BY 3.0", "EFAAR_benchmarking, RxRx3-core",
        num_characters=132_593,
    ),
    Source(
        "gene-loci", "gene_chromosome_map.tsv", _JUMP + "gene_chromosome_map.tsv",
        "98d0753cea22d6d72cb32ef32ef0b807fe8b993c1ad4364c627a7c7634c51c68",
        "BSD-3-Clause (HGNC origin)", "HGNC: Seal et al. 2023, doi:10.1093/nar/gkac888",
    ),
    Source(
        "expression-u2os", "Recursion_U2OS_expression_data.csv",
        _JUMP + "Recursion_U2OS_expression_data.csv.gz",
        "9082f5ec9a3f032e5de4cbe30aedbb9128687e16f269f59cd236cd5d81e7c8f1",
        "BSD-3-Clause", "Lazar et al. 2024, doi:10.1038/s41588-024-01758-y",
    ),
)  # fmt: skip

CATALOGUE = {source.name: source for source in _ALL}
"""Every table by name."""


def source_named(name: str) -> Source:
    """Return the catalogue's entry of that name, or an error that lists all."""
    if name not in CATALOGUE:
        known = ", ".join(sorted(CATALOGUE))
        raise ConfigurationError(f'annotation: "{name}" is not known.\n  Expected one of {known}.')
    return CATALOGUE[name]


def terms(names: Iterable[str]) -> dict[str, dict[str, str | bool]]:
    """Of each table of the catalogue: its licence, citation, and whether its use is restricted."""
    sources = [CATALOGUE[name] for name in sorted(names) if name in CATALOGUE]
    return {
        source.name: {
            "licence": source.licence,
            "citation": source.citation,
            "is_non_commercial": source.is_non_commercial,
        }
        for source in sources
    }
