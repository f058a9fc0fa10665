"""Settings of training."""

from typing import Annotated, Literal

from pydantic import Field

from phenoprints.configuration.models.base import Fraction, Listed, Section, Text

WeightInit = Literal["timm", "mae"]
Betas = Annotated[Listed[Annotated[float, Field(ge=0, lt=1)]], Field(min_length=2, max_length=2)]


class Training(Section):
    """How networks learn. A recipe sets many of these at once."""

    num_epochs: int = Field(100, ge=1, le=1_000_000)
    """Epochs; one epoch is one random crop per well."""
    max_crops: int | None = Field(None, ge=1)
    """Crops after which training ends whatever the epochs; null without limit."""
    batch_size: int = Field(2048, ge=1, le=10_000_000)
    """Crops of an optimiser step over all devices."""
    micro_batch_size: int | None = Field(None, ge=1)
    """Crops of a forward pass on one device; null is the whole share of the device."""
    optimizer: Literal["lion", "adamw", "sgd"] = "lion"
    """Optimiser."""
    learning_rate: float = Field(0.0001, le=100, gt=0)
    """Largest learning rate of the schedule."""
    betas: Betas = (0.9, 0.95)
    """Decay of the optimiser's two averages."""
    weight_decay: float = Field(0.05, ge=0, le=100)
    """Decoupled weight decay."""
    warmup_fraction: Fraction = 0.1
    """Share of the steps in which the one-cycle cosine schedule rises."""
    gradient_clip: float | None = Field(None, gt=0)
    """Largest norm of the gradient; null without limit."""
    mask_fraction: Fraction = 0.75
    """Share of patches hidden from a masked autoencoder."""
    fourier_weight: Fraction = 0.01
    """Weight α of the Fourier loss; the squared error has 1 - α."""
    fourier_loss: Literal["patch", "image", "as-published"] = "patch"
    """Form of the Fourier loss; `as-published` is what the paper trained with."""
    drop_path: Fraction = 0.1
    """Largest rate of stochastic depth."""
    layer_scale: float = Field(0.0001, ge=0, le=10)
    """Initial value of layer scale."""
    patch_px: int | None = Field(None, ge=1, le=256)
    """Side of a transformer's patches in pixels; null is the architecture's own."""
    weight_init: WeightInit = "timm"
    """First weights of transformers: timm's normal draws, or Xavier's uniform ones as masked
    autoencoders have them (He et al. 2022)."""
    normalize_patches: bool = False
    """Let a masked autoencoder predict each patch at mean 0 and variance 1 (He et al. 2022)."""
    decoder_width: int = Field(512, ge=1, le=65_536)
    """Width of the decoder."""
    decoder_blocks: int = Field(8, ge=1, le=1000)
    """Blocks of the decoder."""
    decoder_heads: int = Field(16, ge=1, le=1000)
    """Attention heads of the decoder."""
    latent_norm: bool = True
    """Put the encoder's last norm between encoder and decoder; the published channel-agnostic
    networks have none there."""
    label_smoothing: Fraction = 0.0
    """Label smoothing of classifiers."""
    cut_mix: Fraction = 0.0
    """Largest share of a crop that CutMix covers with another one in the training of
    classifiers; 0 is off."""
    adapt_batch_norm: bool = False
    """Give every batch crops of one experiment, so that batch norm learns on each experiment's
    own statistics (AdaBN)."""
    crops_per_visit: int = Field(1, ge=1, le=1000)
    """Random crops of a well whenever its turn comes, all in one batch."""
    classify_visits: bool = False
    """Classifiers see the mean vector of a visit's crops, not each crop alone."""
    weight_by: Literal["wells", "conditions"] = "wells"
    """What is seen equally often: every well, or every condition (wells are then drawn with
    replacement)."""
    dino_outputs: int = Field(65_536, ge=2, le=10_000_000)
    """Outputs of the heads of DINOv2."""
    dino_local_crops: int = Field(4, ge=0, le=100)
    """Local crops of DINOv2 beside its two global ones."""
    dino_weight: float = Field(1.0, ge=0)
    """Weight of the DINO loss."""
    koleo_weight: float = Field(0.1, ge=0)
    """Weight of the KoLeo loss."""
    ibot_weight: float = Field(1.0, ge=0)
    """Weight of the iBOT loss."""
    flips: bool = True
    """Flip training crops at random."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Arithmetic of the network."""
    compile: bool = False
    """Compile each block with torch.compile."""
    compile_step: bool = False
    """Compile the whole loss and Lion's update instead of each block."""
    pack_depth: bool = False
    """Let stochastic depth compute a block for the crops that keep it only, packed into a smaller
    batch."""
    activation_checkpointing: bool = False
    """Recompute activations instead of keeping them in memory."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where it runs; `auto` takes an accelerator when there is one."""
    devices: int = Field(1, ge=1, le=1024)
    """Devices (or CPU processes) per node."""
    nodes: int = Field(1, ge=1, le=100_000)
    """Nodes."""
    strategy: Literal["auto", "ddp", "fsdp2"] = "auto"
    """How devices share the work; `auto` is one device or ddp."""
    num_workers: int = Field(0, ge=0, le=256)
    """Threads that read crops ahead for each device."""
    cache_mb: int = Field(1000, ge=0)
    """Decoded images are kept in memory when all of them fit into so many megabytes."""
    checkpoint_minutes: float = Field(30, gt=0)
    """Minutes between checkpoints."""
    checkpoint_steps: int | None = Field(None, ge=1)
    """Optimiser steps between checkpoints, beside the minutes; null without."""
    keep_checkpoints: int = Field(2, ge=1, le=1000)
    """Newest checkpoints that are kept while training runs."""
    checkpoint_form: Literal["whole", "sharded"] = "whole"
    """One file that is gathered while training waits, or shards that each process writes in the
    background."""
    log_steps: int = Field(10, ge=1)
    """Optimiser steps between rows of the logs."""
    panel_crops: int = Field(4, ge=0, le=1000)
    """Crops that are shown reconstructed."""
    fidelity_crops: int = Field(512, ge=32)
    """Crops of wells kept aside on which a masked autoencoder's reconstruction is measured."""
    panel_blocks: bool = False
    """Also show what the decoder makes of every block's tokens, as if the encoder ended there."""
    hours: float = Field(24, gt=0)
    """Hours that a job of the scheduler may take before it is continued by the next."""
    validation_fraction: float = Field(0.02, ge=0, lt=1)
    """Share of wells kept aside to watch the loss, by a hash of the well."""
    validation_experiments: Listed[Text] = ()
    """Experiments kept aside to watch the loss; when given they replace the share of wells."""
