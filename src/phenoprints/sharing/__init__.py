"""What leaves a run for others: a curated data set as a folder, and an atlas for the browser."""

from phenoprints.sharing.dataset import DatasetFacts, write_dataset

__all__ = ["DatasetFacts", "write_dataset"]
