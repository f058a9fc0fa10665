"""Whether curation makes a better encoder: curated, uncurated and untrained, over several seeds.

    python benchmarks/run.py training-curation          # three seeds, then means and intervals
    python benchmarks/run.py training-curation-seed-1   # one of them

A seed is a simulated screen of its own, most of whose genes do nothing, with its own judges and its
own weights. Both masked autoencoders take the same number of crops; one learns from all that is
left after step 4 of the funnel, one from what the judges leave. `again` is the uncurated one with
other weights and crops: how far two trainings lie apart that differ in nothing else. Scores stand
in results/bench/training-curation/<seed>/<encoder>.json. Seconds are processor time of one encoder.
"""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from registry import Stopwatch, Timing, benchmark

RESULTS = Path(__file__).resolve().parent.parent / "results" / "bench" / "training-curation"
SEEDS = (0, 1, 2)
SCREEN = {
    "experiments": 4, "plates": 4, "rows": 8, "columns": 12, "genes_per_pathway": 4,
    "inactive_genes": 54, "partial_genes": 0, "guides": 1, "compounds": 0, "unperturbed": 10,
    "negative_controls": 6, "positive_controls": 2, "size_px": 128, "bad_wells": 0.0,
}  # fmt: skip
"""24 genes of 78 have an effect: 6 pathways of 4, 36 known pairs."""
CROP_PX, NUM_CROPS, P_VALUE = 32, 20_000, 0.01
MEASURES = {
    "probe": "pathway probe, balanced accuracy on unseen experiments",
    "recall": "known pairs recalled",
    "phenoprints": "genes with an effect that have a phenoprint",
    "false": "genes without effect that have one",
}
OTHERS = ("uncurated", "again", "untrained")
OTHER_WEIGHTS = 100


class Vectors:
    """Vectors of all wells as a reader of embeddings."""

    def __init__(self, wells: pd.DataFrame, values: np.ndarray) -> None:
        self.rows = {str(name): rows for name, rows in wells.groupby("experiment").indices.items()}
        self.values, self.experiments = values, sorted(self.rows)
        self.attributes: dict[str, Any] = {}

    def read(self, experiment: str) -> np.ndarray:
        return self.values[self.rows[experiment]]


class Trial:
    """One seed: its screen, its images on disk, what is trained on it and how that is judged."""

    def __init__(self, seed: int, folder: Path) -> None:
        from phenoprints.curation import unite_conditions
        from phenoprints.testing.simulation import design

        self.seed, self.folder = seed, folder
        self.screen = design(SCREEN, seed, screen="bench")
        self.conditions, new_ids = unite_conditions({"bench": self.screen.conditions})
        wells = self.screen.wells
        renumbered = [[int(new_ids["bench"][c]) for c in listed] for listed in wells["conditions"]]
        self.wells = wells.assign(conditions=renumbered)
        self.sites = self.screen.sites

    def draw(self) -> None:
        from phenoprints.testing.simulation import draw

        images = [draw(self.screen, well) for well in range(len(self.wells))]
        np.save(self.folder / "images.npy", np.stack(images))

    @cached_property
    def images(self) -> np.ndarray:
        return np.load(self.folder / "images.npy", mmap_mode="r")

    def train(
        self, name: str, wells: pd.DataFrame, *, is_classifier: bool = False, further: int = 0
    ) -> None:
        """Train an encoder of the demo's kind on some wells; `further` changes its weights."""
        from phenoprints.configuration.recipes import RECIPES
        from phenoprints.training import (
            ArrayImages,
            EncoderPlan,
            TrainingSettings,
            build_corpus,
            train,
        )

        names = self.conditions.set_index("condition_id")["perturbation"]
        corpus = build_corpus(wells, self.sites, labels=names if is_classifier else None)
        row_of = pd.Series(np.arange(len(self.wells)), index=self.wells["well_id"])
        source = ArrayImages([self.images[row] for row in row_of[corpus.well_ids]])
        recipe = RECIPES["demo-wsl" if is_classifier else "demo"]
        changes = {"max_crops": NUM_CROPS, "device": "cpu", "panel_crops": 0}
        plan = EncoderPlan("weakly-supervised", "cnn-tiny", pool="mean")
        train(
            corpus, source, self.folder / name,
            plan=plan if is_classifier else EncoderPlan("mae", "vit-tiny"),
            settings=TrainingSettings(**{**recipe, **changes}),
            seed=self.seed + further,
        )  # fmt: skip

    def look(self, encoder: Any) -> np.ndarray:
        """The features (wells, blocks, D) of every block."""
        from phenoprints.embeddings import embed

        values, failures = embed(encoder, self, lambda site: self.images[_number(site)],
                                 blocks="all")  # fmt: skip
        assert not len(failures)
        return values

    def aligned(self, vectors: np.ndarray) -> Any:
        from phenoprints.alignment import AlignmentSettings, fit_alignment

        reader = Vectors(self.wells, vectors)
        return fit_alignment(self.wells, reader, AlignmentSettings()).of(reader)

    def phenoprints(self, judges: dict[str, Any], rules: Any) -> pd.DataFrame:
        from phenoprints.consistency import ConsistencySettings, screen_consistency
        from phenoprints.curation import phenoprints_table

        tests = {
            judge: {"bench": screen_consistency(self.wells, self.conditions, reader,
                                                settings=ConsistencySettings(), seed=self.seed)}
            for judge, reader in judges.items()
        }  # fmt: skip
        return phenoprints_table(tests, self.conditions, rules)

    def curated(self, judges: dict[str, Any]) -> tuple[pd.DataFrame, pd.DataFrame]:
        """The wells that the funnel leaves, and the table of phenoprints (that of no judge)."""
        from phenoprints.curation import Rules, curate

        rules = Rules(judges=tuple(judges), p_value=P_VALUE, min_experiments=3, min_wells=12)
        table = self.phenoprints(judges, rules)
        funnel = curate(self.wells, table, rules, sites=self.sites, seed=self.seed)
        return self.wells[funnel.is_kept], table

    def prepare(self) -> None:
        """Draw the screen, train and ask the judges, and note which wells are learned from."""
        from phenoprints.models import load

        self.draw()
        everything, _ = self.curated({})
        self.train("uncurated", everything)
        self.train("classifier", self.wells, is_classifier=True)
        vectors = {
            name: self.look(load(self.folder / name)) for name in ("uncurated", "classifier")
        }
        np.save(self.folder / "uncurated.npy", vectors["uncurated"])
        judges = {name: self.aligned(values[:, -1]) for name, values in vectors.items()}
        chosen, table = self.curated(judges)
        chosen.to_pickle(self.folder / "chosen.pickle")
        has_one = table.set_index("perturbation")["has_phenoprint"].astype(bool)
        counts = {"everything": len(everything), "curated": len(chosen), **self.calls(has_one)}
        self.write("funnel", counts)

    def calls(self, has_one: pd.Series) -> dict[str, float]:
        """Shares of genes with and without an effect that are called, guides standing for genes."""
        truth = self.screen.truth.set_index("perturbation")["truth"]
        called = has_one.reindex(truth.index).to_numpy(bool)
        return {
            "phenoprints": float(called[(truth == "full").to_numpy()].mean()),
            "false": float(called[(truth == "none").to_numpy()].mean()),
        }

    def score(self, name: str, features: np.ndarray) -> dict[str, float]:
        """Everything that is compared, also written to the results."""
        from phenoprints.benchmarks import relationship_recall
        from phenoprints.curation import Rules
        from phenoprints.maps import MapSettings, perturbation_map

        aligned = self.aligned(features[:, -1])
        genes = perturbation_map(self.wells, self.conditions, aligned, MapSettings()).level("gene")
        names = genes.table["name"].tolist()
        recall = relationship_recall(genes.vectors, names, self.screen.relationships)
        rules = Rules(judges=(name,), p_value=P_VALUE)
        table = self.phenoprints({name: aligned}, rules).set_index("perturbation")
        scores = {
            "probe": self.probe(features),
            "recall": float(recall["recall"].iloc[0]),
            **self.calls(table["has_phenoprint"].astype(bool)),
        }
        self.write(name, scores)
        return scores

    def probe(self, features: np.ndarray) -> float:
        """Accuracy on each experiment in turn, at the block that another one chose; their mean."""
        from phenoprints.probes import probe_blocks

        pathway = self.screen.conditions.set_index("perturbation")["pathway"]
        names = self.conditions["perturbation"]
        labels = np.array([pathway[names[c[0]]] if c else "" for c in self.wells["conditions"]])
        chosen = labels != ""
        experiments = self.wells["experiment"].to_numpy(object)[chosen]
        unique = sorted(set(experiments))
        accuracies = []
        for at, test in enumerate(unique):
            splits = np.full(len(experiments), "train", dtype=object)
            splits[experiments == unique[at - 1]] = "validation"
            splits[experiments == test] = "test"
            table = probe_blocks(features[chosen], labels[chosen].astype(object), experiments,
                                 splits=splits)  # fmt: skip
            best = table["validation_accuracy"].argmax()
            accuracies.append(table["balanced_accuracy"].iloc[best])
        return float(np.mean(accuracies))

    def write(self, name: str, values: dict[str, float]) -> None:
        path = RESULTS / str(self.seed) / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _number(site: Any) -> int:
    return int(site.locator.rpartition(":")[2])


def run(seed: int, how: str, folder: Path) -> Timing:
    import torch

    from phenoprints.models import build, load

    torch.set_num_threads(1)
    trial, watch = Trial(seed, folder), Stopwatch()
    if how == "prepare":
        trial.prepare()
        return watch.timing()
    if how == "ours":
        trial.train("curated", pd.read_pickle(folder / "chosen.pickle"))
        features = trial.look(load(folder / "curated"))
    elif how == "again":
        everything, _ = trial.curated({})
        trial.train("again", everything, further=OTHER_WEIGHTS)
        features = trial.look(load(folder / "again"))
    elif how == "uncurated":
        features = np.load(folder / "uncurated.npy")
    else:
        untrained = build("vit-tiny", channels=trial.sites["channels"].iloc[0], seed=seed)
        features = trial.look(untrained)
    scores = trial.score("curated" if how == "ours" else how, features)
    told = ", ".join(f"{name} {value:.3f}" for name, value in scores.items())
    return watch.timing(f"({told})")


@benchmark("training-curation-seed-0", prepares=True, min_ratios=dict.fromkeys(OTHERS))
def seed_0(how: str, folder: Path) -> Timing:
    """Curated against uncurated and untrained: the first simulated screen."""
    return run(SEEDS[0], how, folder)


@benchmark("training-curation-seed-1", prepares=True, min_ratios=dict.fromkeys(OTHERS))
def seed_1(how: str, folder: Path) -> Timing:
    """Curated against uncurated and untrained: the second simulated screen."""
    return run(SEEDS[1], how, folder)


@benchmark("training-curation-seed-2", prepares=True, min_ratios=dict.fromkeys(OTHERS))
def seed_2(how: str, folder: Path) -> Timing:
    """Curated against uncurated and untrained: the third simulated screen."""
    return run(SEEDS[2], how, folder)


@benchmark("training-curation-summary")
def summary(_how: str, _folder: Path) -> Timing:
    """Mean differences between curated, uncurated and untrained, with 95 % intervals over seeds."""
    watch = Stopwatch()
    told = [
        f"{row.measure}, curated - {row.other}: {row.mean:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"
        for row in differences().itertuples()
    ]
    return watch.timing("; ".join(told))


def differences() -> pd.DataFrame:
    """Paired differences over the seeds that have been run: mean and Student's 95 % interval."""
    from scipy.stats import t

    scores = {
        (path.parent.name, path.stem): json.loads(path.read_text())
        for path in sorted(RESULTS.glob("*/*.json"))
    }
    seeds = [seed for seed, name in scores if name == "curated"]
    rows = []
    for measure in MEASURES:
        for other in OTHERS:
            pairs = [
                (scores[s, "curated"], scores[s, other]) for s in seeds if (s, other) in scores
            ]
            values = np.array([ours[measure] - theirs[measure] for ours, theirs in pairs])
            half = (
                float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
                if len(values) > 1
                else float("nan")
            )
            mean = float(values.mean()) if len(values) else float("nan")
            rows.append((measure, other, len(values), mean, mean - half, mean + half))
    return pd.DataFrame(rows, columns=["measure", "other", "num_seeds", "mean", "low", "high"])
