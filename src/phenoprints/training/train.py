"""From a training set to an encoder's folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from phenoprints import models
from phenoprints.foundations.errors import DataError, Problem, raise_problems
from phenoprints.training import costs
from phenoprints.training.dataset import Corpus
from phenoprints.training.devices import accelerator, launch
from phenoprints.training.fidelity import fidelity_table, measure, publish_fidelity
from phenoprints.training.loading import Batch, Loader, Place
from phenoprints.training.loop import Run, run_training
from phenoprints.training.objectives import (
    DinoObjective,
    MaskedObjective,
    Objective,
    build_objective,
    mixes_crops,
)
from phenoprints.training.progress import LOSSES, Progress, peak_flops, publish_losses
from phenoprints.training.reconstructions import publish_panels
from phenoprints.training.sampling import CropSampler
from phenoprints.training.settings import TrainingSettings
from phenoprints.training.sources import CropSource

MAX_VALIDATION_CROPS = 4096
"""Crops kept aside that the loss is watched on, at most."""
MAX_VALIDATION_MB = 500.0
"""What they may take of the memory of each process."""
CROPS_OF_BATCH = 32
"""Crops of wells kept aside whose reconstruction is measured at once."""
MAX_LINEAR_VALUES, MAX_LINEAR_STEPS = 3_000_000, 500
"""Pixels of all channels from which the linear predictor is estimated; steps that are read."""


@dataclass(frozen=True)
class EncoderPlan:
    """Which network is trained, and for what.

    Attributes
    ----------
    kind
        `mae`, `weakly-supervised` or `dino`.
    architecture
        A registered name, such as `vit-l8`.
    crop_px
        Side of the crops; None: the architecture's own.
    pool
        How a block's tokens become one vector; None: the mean for transformers.
    start_from
        A model folder whose weights training starts from; None: random weights.
    """

    kind: str
    architecture: str
    crop_px: int | None = None
    pool: models.Pool | None = None
    start_from: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What training gave: the encoder as saved, its last row of losses, and the steps taken.

    Of several processes only the first (`rank` 0) has saved anything and knows the losses.
    """

    encoder: models.Encoder
    last: Mapping[str, Any]
    num_steps: int
    num_wells: int
    rank: int = 0

    def figures(self) -> dict[str, int]:
        """Count what the provenance records."""
        return {"wells": self.num_wells, "steps": self.num_steps}


def train(
    corpus: Corpus,
    source: CropSource,
    folder: str | Path,
    *,
    plan: EncoderPlan,
    settings: TrainingSettings,
    seed: int = 0,
) -> Outcome:
    """Train an encoder on a corpus and write its folder; go on from a checkpoint if there is one.

    Parameters
    ----------
    corpus, source
        What to learn from, and where its pixels are.
    folder
        Receives config.json, model.safetensors, README.md, losses.csv and, for masked
        autoencoders, reconstructions. Checkpoints, speeds and TensorBoard events lie beside it in
        `<folder>.training`, since they are not the same from run to run.
    plan, settings, seed
        Which network, how it learns, and the seed of weights, crops and masks.

    Raises
    ------
    DataError
        Fewer wells than a batch, channels that differ for a fixed-channel encoder, images smaller
        than a crop, a loss that is not a number, not enough memory.
    ConfigurationError
        A checkpoint was made with other settings.
    TrainingInterruptedError
        A signal asked to stop; a checkpoint is saved and the next call goes on.
    """
    root = Path(folder)
    work = root.with_name(root.name + ".training")
    fabric = launch(settings, leaves_unused=leaves_unused(plan, corpus))
    place = Place(fabric.global_rank, fabric.world_size, fabric.device)
    run = build_run(corpus, source, work, plan=plan, settings=settings, seed=seed, place=place)
    trainer, state = run_training(run, fabric)
    run.progress.close()
    outcome = Outcome(run.objective.encoder, {}, run.num_steps, len(corpus), place.rank)
    if fabric.is_global_zero:
        outcome = _publish(root, run, state, plan)
        trainer.forget_checkpoints()
    fabric.barrier()
    return outcome


def leaves_unused(plan: EncoderPlan, corpus: Corpus) -> bool:
    """Whether a step may leave weights out.

    Those are the decoders of channels that its crops do not have, and the last norm of a
    transformer that is trained as a classifier, whose features are not normed.
    """
    is_vit = plan.architecture.removeprefix("ca-").startswith("vit-")
    return len(corpus.channel_sets) > 1 or (plan.kind == "weakly-supervised" and is_vit)


def build_run(
    corpus: Corpus,
    source: CropSource,
    work: Path,
    *,
    plan: EncoderPlan,
    settings: TrainingSettings,
    seed: int,
    place: Place,
) -> Run:
    """Everything that training needs in one process, checked, no step of it taken."""
    encoder = _encoder(corpus, plan, settings, seed)
    learned, aside = corpus.split(
        settings.validation_fraction, settings.validation_experiments, seed
    )
    check_corpus(corpus, learned, encoder, plan, settings)
    objective = build_objective(
        plan.kind,
        encoder,
        settings,
        num_channels=len(corpus.channels),
        num_classes=len(corpus.class_names),
        seed=seed,
    )
    num_steps = settings.num_steps(len(learned))
    loader = _loader(corpus, source, encoder.crop_px, learned, settings, place=place, seed=seed)
    flops = costs.flops_by_group(objective, corpus, loader.sampler)
    progress = Progress(
        work,
        num_steps=num_steps,
        batch_size=settings.batch_size,
        flops_per_crop=costs.mean_flops(flops, loader.sampler),
        peak=_peak(settings),
        device=accelerator(settings.device),
        is_first=place.rank == 0,
    )
    total = costs.total_flops(
        flops, loader.sampler, num_steps=num_steps, batch_size=settings.batch_size
    )
    return Run(
        objective=objective,
        loader=loader,
        settings=settings,
        num_steps=num_steps,
        seed=seed,
        identity=_identity(corpus, objective, plan=plan, settings=settings, seed=seed),
        folder=work / "checkpoints",
        progress=progress,
        validation=_validation(loader, aside),
        flops=costs.with_start(total, plan.start_from),
    )


def _identity(
    corpus: Corpus,
    objective: Objective,
    *,
    plan: EncoderPlan,
    settings: TrainingSettings,
    seed: int,
) -> dict[str, Any]:
    """Return everything that determines the result; a resumed run must match it."""
    together = {"crops seen at once": settings.num_together()} if mixes_crops(objective) else {}
    start = {} if plan.start_from is None else {"start_from": objective.encoder.fingerprint()}
    return {
        **settings.identity(),
        **dataclasses.asdict(plan),
        **together,
        **start,
        "seed": seed,
        "wells": corpus.fingerprint(),
    }


def _encoder(
    corpus: Corpus, plan: EncoderPlan, settings: TrainingSettings, seed: int
) -> models.Encoder:
    if plan.start_from is not None:
        return _started(corpus, plan, settings)
    options: dict[str, Any] = {}
    if plan.architecture.removeprefix("ca-").startswith("vit-"):
        names = ("layer_scale", "drop_path", "patch_px", "weight_init")
        options = {name: getattr(settings, name) for name in names}
    channels = max(corpus.channel_sets, key=len)
    encoder = models.build(
        plan.architecture, channels=channels, crop_px=plan.crop_px, seed=seed, **options
    )
    if plan.pool is not None:
        encoder.config = dataclasses.replace(encoder.config, pool=plan.pool)
    return encoder


def _started(corpus: Corpus, plan: EncoderPlan, settings: TrainingSettings) -> models.Encoder:
    """Return the encoder that training starts from, with this training's drop path and pool."""
    start = models.load(str(plan.start_from))
    where, problems = str(plan.start_from), []
    if start.config.name != plan.architecture:
        what = f"it is a {start.config.name}"
        problems.append(Problem(where, what, f"the architecture {plan.architecture}"))
    found = corpus.channel_sets[0]
    if start.channels and len(corpus.channel_sets) == 1 and start.channels != found:
        what = f"its channels are {', '.join(start.channels)}"
        problems.append(Problem(where, what, f"{', '.join(found)}, as the screen has"))
    raise_problems(problems, DataError)
    architecture = dict(start.config.architecture)
    if start.config.family == "vit":
        architecture["drop_path"] = settings.drop_path
    config = dataclasses.replace(
        start.config, architecture=architecture, pool=plan.pool or start.config.pool
    )
    encoder = models.from_config(config)
    encoder.load_state_dict(start.state_dict())
    return encoder


def check_corpus(
    corpus: Corpus,
    learned: np.ndarray[Any, Any],
    encoder: models.Encoder,
    plan: EncoderPlan,
    settings: TrainingSettings,
) -> None:
    """Raise DataError, naming everything about a corpus that this training cannot work with."""
    problems = []
    if len(learned) < settings.batch_size:
        what = f"{len(learned)} wells to learn from are fewer than batch_size {settings.batch_size}"
        problems.append(Problem("training set", what, fix="lower batch_size, or add wells"))
    if not encoder.is_channel_agnostic and len(corpus.channel_sets) > 1:
        sets = "; ".join(", ".join(names) for names in corpus.channel_sets)
        fix = "choose a channel-agnostic architecture (ca-…), or screens with equal channels"
        problems.append(
            Problem("training set", f"its screens have different channels: {sets}", fix=fix)
        )
    smallest = min(int(corpus.sites.heights.min()), int(corpus.sites.widths.min()))
    if smallest < encoder.crop_px:
        what = f"an image is {smallest} px wide or high, crops are {encoder.crop_px} px"
        problems.append(Problem("training set", what, fix="lower crop_px of the encoder"))
    if plan.kind == "weakly-supervised" and len(corpus.class_names) < 2:
        what = f"{len(corpus.class_names)} classes"
        problems.append(Problem("training set", what, "2 or more conditions to tell apart"))
    share, visit = settings.devices * settings.nodes, settings.crops_per_visit
    if settings.batch_size % (share * visit):
        what = f"batch_size {settings.batch_size} over {share} devices"
        of_visits = f" times crops_per_visit {visit}" if visit > 1 else ""
        expected = f"a multiple of the number of devices{of_visits}"
        problems.append(Problem("training", what, expected))
    raise_problems(problems, DataError)


def _loader(
    corpus: Corpus,
    source: CropSource,
    crop_px: int,
    learned: np.ndarray[Any, Any],
    settings: TrainingSettings,
    *,
    place: Place,
    seed: int,
) -> Loader:
    groups = corpus.groups(learned)
    if settings.adapt_batch_norm:
        groups = [g for group in groups for g in corpus.by_experiment(group)]
    sampler = CropSampler(
        corpus.sites,
        crop_px,
        seed,
        groups=groups,
        weights=corpus.condition_weights() if settings.weight_by == "conditions" else None,
        crops_per_visit=settings.crops_per_visit,
        flips=settings.flips,
    )
    return Loader(
        corpus,
        sampler,
        source,
        batch_size=settings.batch_size,
        micro_batch_size=settings.micro_batch_size,
        place=place,
        num_workers=settings.num_workers,
    )


def _validation(loader: Loader, aside: np.ndarray[Any, Any]) -> list[Batch]:
    """Read fixed crops of the held-out wells once, in batches.

    Each set of channels has its share of them.
    """
    sampler, batches = loader.sampler, []
    for group in loader.corpus.groups(aside):
        watched = CropSampler(
            sampler.sites,
            sampler.crop_px,
            sampler.seed,
            groups=[group],
            crops_per_visit=sampler.crops_per_visit,
            flips=False,
        )
        visits = _max_validation_crops(loader) * len(group) // len(aside) // sampler.crops_per_visit
        num_crops = min(len(group), max(visits, 1)) * sampler.crops_per_visit
        size = min(loader.micro_batch_size, num_crops)
        parts = Loader(
            loader.corpus, watched, loader.source, batch_size=num_crops, micro_batch_size=size
        )
        batches += list(parts.batches(0, 1))
    return batches


def _max_validation_crops(loader: Loader) -> int:
    """As many as fit into MAX_VALIDATION_MB, at most MAX_VALIDATION_CROPS."""
    num_channels = max(len(names) for names in loader.corpus.channel_sets)
    crop_mb = num_channels * loader.sampler.crop_px**2 / 1e6
    return min(MAX_VALIDATION_CROPS, int(MAX_VALIDATION_MB / crop_mb))


def _peak(settings: TrainingSettings) -> float | None:
    if settings.device == "cpu" or not torch.cuda.is_available():
        return None
    peak = peak_flops(torch.cuda.get_device_name())
    return peak and peak * settings.devices * settings.nodes


def _publish(root: Path, run: Run, state: dict[str, torch.Tensor], plan: EncoderPlan) -> Outcome:
    trained = _rebuilt(run, state, plan)
    history = run.progress.history
    kept = trained.model.teacher if isinstance(trained, DinoObjective) else trained
    encoder = kept.encoder.eval()
    models.save(root, encoder, training=_training_record(run, plan))
    publish_losses(root / LOSSES, history)
    if isinstance(trained, MaskedObjective) and run.validation:
        _publish_fidelity(root, run, trained)
    if isinstance(trained, MaskedObjective) and run.settings.panel_crops:
        corpus = run.loader.corpus
        batch = run.validation[0] if run.validation else run.loader.batch(0)
        few = batch.first(run.settings.panel_crops)
        made = trained.model.reconstruct(
            few.images, few.keys, few.channels, every_block=run.settings.panel_blocks
        )
        publish_panels(root, made, corpus.channels_of(few.wells[0]))
    return Outcome(encoder, history[-1], run.num_steps, len(run.loader.corpus))


def _publish_fidelity(root: Path, run: Run, trained: MaskedObjective) -> None:
    """Measure the reconstruction of wells kept aside, those with the channels of the first one."""
    corpus, loader = run.loader.corpus, run.loader
    first = run.validation[0].channels
    aside = np.unique(np.concatenate([b.wells for b in run.validation if b.channels == first]))
    trained.model.to(accelerator(run.settings.device))
    num_batches = run.settings.fidelity_crops // CROPS_OF_BATCH
    batches = list(_further_crops(loader, aside).batches(0, num_batches))
    measured = measure(trained.model, batches, _learned_crops(loader, first))
    trained.model.to("cpu")
    wells = np.concatenate([batch.wells for batch in batches])
    publish_fidelity(root, fidelity_table(measured, wells, corpus.roles[wells].tolist()))


def _further_crops(loader: Loader, wells: np.ndarray[Any, Any]) -> Loader:
    """Return a loader of unflipped crops of some wells, the same ones in every training."""
    own = loader.sampler
    sampler = CropSampler(own.sites, own.crop_px, own.seed, groups=[wells], flips=False)
    return Loader(loader.corpus, sampler, loader.source, batch_size=CROPS_OF_BATCH)


def _learned_crops(loader: Loader, channels: tuple[int, ...]) -> np.ndarray[Any, Any] | None:
    """Return crops of the training with these channels, as many as MAX_LINEAR_VALUES allows."""
    crops: list[np.ndarray[Any, Any]] = []
    for step in range(MAX_LINEAR_STEPS):
        batch = loader.batch(step)
        if batch.channels == channels:
            crops.extend(batch.images.numpy())
        if sum(crop.size for crop in crops) >= MAX_LINEAR_VALUES:
            break
    return np.stack(crops) if crops else None


def _training_record(run: Run, plan: EncoderPlan) -> dict[str, Any]:
    """Return the training record for the encoder's folder."""
    return {
        "kind": plan.kind,
        "num_steps": run.num_steps,
        "batch_size": run.settings.batch_size,
        "learning_rate": run.settings.learning_rate,
        "num_wells": len(run.loader.corpus),
        "num_crops": run.num_steps * run.settings.batch_size,
        "flops": run.flops,
    }


def _rebuilt(run: Run, state: dict[str, torch.Tensor], plan: EncoderPlan) -> Objective:
    """Return the objective with its trained weights on the CPU, whatever it was sharded over."""
    corpus = run.loader.corpus
    objective = build_objective(
        plan.kind,
        models.from_config(run.objective.encoder.config),
        run.settings,
        num_channels=len(corpus.channels),
        num_classes=len(corpus.class_names),
    )
    objective.load_state_dict(state)
    return objective.eval()
