"""One seed of a study: its screen, its judges, its encoders and what they are worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from phenoprints.configuration.models.studies import Study
from phenoprints.configuration.recipes import RECIPES
from phenoprints.curation import Rules, curate, unite_conditions
from phenoprints.embeddings import embed_images
from phenoprints.models import Encoder, load
from phenoprints.studies.arms import ARMS, CURATED, Pool, truth_of_wells
from phenoprints.studies.scoring import LAST, SCREEN, align, call_phenoprints, score
from phenoprints.testing.simulation import design, draw
from phenoprints.training import ArrayImages, EncoderPlan, TrainingSettings, build_corpus, train
from phenoprints.training.fidelity import FIDELITY
from phenoprints.training.untrained import make_encoder

PUBLISHED_RATIO = 3.5 / 8.0
"""Crops of the encoder trained on everything relative to the curated one (ViTally Consistent)."""
MIN_EXPERIMENTS, MIN_WELLS = 3, 9
SCORE_COLUMNS = ("arm", "seed", "wells", "crops", "block", "measure", "value")


@dataclass(frozen=True)
class Trial:
    """A study at one seed; `folder` holds its encoders."""

    study: Study
    seed: int
    folder: Path

    @cached_property
    def screen(self) -> Any:
        """Return the simulated screen of the seed."""
        return design(self.study.simulation.plain(), self.seed, screen=SCREEN)

    @cached_property
    def conditions(self) -> pd.DataFrame:
        """Return the conditions in the numbering of the wells below."""
        return unite_conditions({SCREEN: self.screen.conditions})[0]

    @cached_property
    def wells(self) -> pd.DataFrame:
        """Return all wells, with the perturbation of each, "" without."""
        _, new_ids = unite_conditions({SCREEN: self.screen.conditions})
        listed = [[int(new_ids[SCREEN][c]) for c in own] for own in self.screen.wells["conditions"]]
        names = self.conditions.set_index("condition_id")["perturbation"]
        perturbations = [names[own[0]] if own else "" for own in listed]
        wells: pd.DataFrame = self.screen.wells
        numbered = pd.Series(listed, index=wells.index, dtype=object)
        return wells.assign(conditions=numbered, perturbation=perturbations)

    @cached_property
    def is_test(self) -> NDArray[np.bool_]:
        """Return whether each well is of a test experiment."""
        names = sorted(set(self.wells["experiment"]), key=lambda name: int(name.split("-")[-1]))
        tested: NDArray[np.bool_] = (
            self.wells["experiment"].isin(names[self.study.train_experiments :]).to_numpy(np.bool_)
        )
        return tested

    @cached_property
    def images(self) -> NDArray[np.uint8]:
        """Return the image of every well, (wells, C, H, W)."""
        return np.stack([draw(self.screen, well) for well in range(len(self.wells))])

    def run(self) -> pd.DataFrame:
        """Train judges and arms and score all encoders: SCORE_COLUMNS, larger is better."""
        pool = self._pool()
        parts = [self._arm(arm, ARMS[arm](pool)) for arm in self.study.arms]
        parts += [self._scores(kind, self._baseline(kind), 0, 0) for kind in self.study.baselines]
        return pd.concat(parts, ignore_index=True)[list(SCORE_COLUMNS)]

    def _pool(self) -> Pool:
        """Return what the arms choose from, after the judges have called the training wells."""
        own = self.wells[~self.is_test].reset_index(drop=True)
        crops = {"max_crops": self.study.judge_crops}
        names = self.conditions.set_index("condition_id")["perturbation"]
        mae = self._train("judge-mae", own, crops, test_wells=False)
        wsl = self._train("judge-wsl", own, crops, labels=names, test_wells=False)
        judges = {
            name: align(own, self._features(encoder, ~self.is_test)[:, LAST])
            for name, encoder in {"mae": mae, "wsl": wsl}.items()
        }
        rules = Rules(
            judges=tuple(judges), p_value=self.study.p_value,
            min_experiments=MIN_EXPERIMENTS, min_wells=MIN_WELLS,
        )  # fmt: skip
        table = call_phenoprints(judges, own, self.conditions, rules, self.seed)
        sites = self.screen.sites[~self.is_test]
        kept = curate(own, table, rules, sites=sites, seed=self.seed).is_kept
        curated: pd.DataFrame = own.loc[np.flatnonzero(np.asarray(kept, np.bool_))]
        return Pool(own, curated, self.screen, self.seed)

    def _arm(self, arm: str, wells: pd.DataFrame) -> pd.DataFrame:
        """Train on an arm's wells; the gap of explained variance stands before the scores."""
        is_full = arm in CURATED or self.study.comparison == "equal-crops"
        crops = round(self.study.num_crops * (1.0 if is_full else PUBLISHED_RATIO))
        encoder = self._train(arm, wells, {"max_crops": crops})
        scores = self._scores(arm, encoder, len(wells), crops)
        fidelity = pd.read_csv(self.folder / arm / FIDELITY).set_index("group")["explained"]
        gap = {
            "explained_gap": fidelity["active"] - fidelity["inactive"],
            "explained_active": fidelity["active"],
            "explained_inactive": fidelity["inactive"],
        }
        first = scores.iloc[0]
        rows = [{**first, "block": encoder.num_blocks, "measure": m, "value": v}
                for m, v in gap.items()]  # fmt: skip
        return pd.concat([pd.DataFrame(rows), scores], ignore_index=True)

    def _train(
        self,
        name: str,
        wells: pd.DataFrame,
        changes: Mapping[str, Any],
        *,
        labels: pd.Series | None = None,
        test_wells: bool = True,
    ) -> Encoder:
        """Train an encoder; test wells, where asked for, are watched and never learned from."""
        tests = self.wells[self.is_test] if test_wells else self.wells.iloc[:0]
        every = pd.concat([wells, tests], ignore_index=True)
        kinds = truth_of_wells(self.screen, every)
        corpus = build_corpus(every.assign(role=kinds), self.screen.sites, labels=labels)
        row_of = pd.Series(np.arange(len(self.wells)), index=self.wells["well_id"])
        source = ArrayImages([self.images[row] for row in row_of[corpus.well_ids]])
        is_classifier = labels is not None
        recipe = RECIPES["demo-wsl" if is_classifier else self.study.recipe]
        settings = {
            **recipe, **changes, "panel_crops": 0, "validation_fraction": 0.0,
            "validation_experiments": tuple(sorted(set(tests["experiment"]))),
            "fidelity_crops": self.study.fidelity_crops,
        }  # fmt: skip
        plan = (
            EncoderPlan("weakly-supervised", "cnn-tiny", pool="mean", crop_px=self.study.crop_px)
            if is_classifier
            else EncoderPlan("mae", self.study.architecture, crop_px=self.study.crop_px)
        )
        train(corpus, source, self.folder / name, plan=plan, settings=TrainingSettings(**settings),
              seed=self.seed)  # fmt: skip
        return load(self.folder / name)

    def _baseline(self, kind: str) -> Encoder:
        settings = {
            "kind": kind, "crop_px": self.study.crop_px, "architecture": self.study.architecture,
            "patch_px": RECIPES[self.study.recipe].get("patch_px"),
        }  # fmt: skip
        channels = {tuple(names) for names in self.screen.sites["channels"]}
        return make_encoder(settings, channel_sets=channels, seed=self.seed)

    def _scores(self, arm: str, encoder: Encoder, num_wells: int, crops: int) -> pd.DataFrame:
        features = self._features(encoder, self.is_test)
        wells = self.wells[self.is_test].reset_index(drop=True)
        table = score(features, wells, self.conditions, self.screen,
                      p_value=self.study.p_value, seed=self.seed)  # fmt: skip
        return table.assign(arm=arm, seed=self.seed, wells=num_wells, crops=crops)

    def _features(self, encoder: Encoder, chosen: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the features (wells, blocks, D) of every block."""
        channels = self.screen.sites["channels"].iloc[0]
        return embed_images(encoder, self.images[chosen], channels=channels, blocks="all")
