"""Tables of known biology: which there are, on what terms, and where they lie.

Light on purpose: the workflow asks it for paths while it is parsed. Readers stand in `tables`.
"""

from phenoprints.annotation.catalogue import CATALOGUE, Source, source_named, terms
from phenoprints.annotation.locating import cache_path, download, path_of

__all__ = ["CATALOGUE", "Source", "cache_path", "download", "path_of", "source_named", "terms"]
