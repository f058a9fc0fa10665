"""What an encoder sees in every well."""

from phenoprints.embeddings.store import EmbeddingReader, open_embeddings

__all__ = ["EmbeddingReader", "open_embeddings"]
