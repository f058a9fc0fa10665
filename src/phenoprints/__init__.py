"""Curated training sets, encoders, embeddings and maps from Cell Painting screens."""

__version__ = "0.1.0"
