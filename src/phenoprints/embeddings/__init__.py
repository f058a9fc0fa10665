"""What an encoder sees in every well."""

from phenoprints.embeddings.embedding import embed, embed_images
from phenoprints.embeddings.geometry import Geometry
from phenoprints.embeddings.store import EmbeddingReader, open_embeddings

__all__ = ["EmbeddingReader", "Geometry", "embed", "embed_images", "open_embeddings"]
