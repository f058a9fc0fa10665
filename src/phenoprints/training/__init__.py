"""How an encoder learns from a manifest."""

from phenoprints.training.dataset import Corpus, build_corpus, corpus_of_manifest, corpus_of_screen
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
    "corpus_of_manifest",
    "corpus_of_screen",
    "train",
]
