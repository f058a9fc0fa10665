"""How an encoder learns from a manifest."""

from phenoprints.training.corpus import Corpus, build_corpus
from phenoprints.training.interruption import TrainingInterruptedError
from phenoprints.training.settings import TrainingSettings
from phenoprints.training.sources import ArrayImages, CropSource
from phenoprints.training.train import EncoderPlan, Outcome, train

__all__ = [
    "ArrayImages",
    "Corpus",
    "CropSource",
    "EncoderPlan",
    "Outcome",
    "TrainingInterruptedError",
    "TrainingSettings",
    "build_corpus",
    "train",
]
