"""Where training runs: one device, several with DDP, or shards of the model with FSDP2."""

from __future__ import annotations

import os
import warnings
from types import MethodType
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from phenoprints.foundations.errors import ConfigurationError, CorruptionError
from phenoprints.models.vit import StochasticDepth, packed_forward
from phenoprints.training.settings import TrainingSettings

Tensors = dict[str, Tensor]
SEPARATOR = "/"
"""Between a parameter's name and that of its optimiser's value; names have dots, no slashes."""
PRECISIONS = {"float32": "32-true", "bfloat16": "bf16-mixed"}


def launch(settings: TrainingSettings, *, leaves_unused: bool = False) -> Any:
    """Lightning's Fabric for the configured devices, its processes started.

    Under torchrun or srun the processes are there already. `leaves_unused` says that steps do not
    use every weight, which DDP has to know.
    """
    with warnings.catch_warnings():
        # Lightning warns about a pytree name of torch, and wherever srun is installed.
        warnings.filterwarnings("ignore", category=FutureWarning, module="lightning")
        warnings.filterwarnings("ignore", message=".*srun.*")
        from lightning.fabric import Fabric

        fabric = Fabric(
            plugins=[_environment(settings)],
            accelerator=accelerator(settings.device),
            devices=settings.devices,
            num_nodes=settings.nodes,
            strategy=_strategy(settings, leaves_unused),
            precision=PRECISIONS[settings.precision],  # type: ignore[arg-type]
        )
        fabric.launch()
    return fabric


def _environment(settings: TrainingSettings) -> Any:
    """Who started the processes.

    Fabric's own guess takes every allocation of Slurm for processes that srun has started, also
    where one process trains alone in it, or where torchrun is still to come.
    """
    from lightning.fabric.plugins.environments import (
        LightningEnvironment,
        SLURMEnvironment,
        TorchElasticEnvironment,
    )

    num_processes = settings.devices * settings.nodes
    if num_processes == 1:
        return LightningEnvironment()
    if TorchElasticEnvironment.detect():
        return TorchElasticEnvironment()
    of_step = "SLURM_STEP_ID" in os.environ and "SLURM_PROCID" in os.environ
    if of_step and os.environ.get("SLURM_NTASKS") == str(num_processes):
        os.environ.setdefault("SLURM_NTASKS_PER_NODE", str(settings.devices))
        return SLURMEnvironment(auto_requeue=False)  # stopping and going on are ours
    return LightningEnvironment()


def accelerator(device: str) -> str:
    """`cuda` or `cpu`; raises ConfigurationError where cuda is asked for and absent."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigurationError(
            "training: device is cuda, and torch finds no card. To fix: set device to cpu or auto, "
            "or run where a card is."
        )
    if device == "cpu":
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def _strategy(settings: TrainingSettings, leaves_unused: bool) -> Any:
    if settings.strategy == "fsdp2":
        from lightning.fabric.strategies import ModelParallelStrategy

        # All devices of all nodes share one copy of the model. By itself Lightning would have one
        # copy per node, over which gradients would have to be averaged as well.
        return ModelParallelStrategy(
            parallelize_fn=_shard,
            data_parallel_size=settings.devices * settings.nodes,
            tensor_parallel_size=1,
        )
    if settings.strategy != "ddp" and settings.devices * settings.nodes == 1:
        return "auto"
    return "ddp_find_unused_parameters_true" if leaves_unused else "ddp"


def _shard(objective: nn.Module, mesh: Any) -> nn.Module:
    """Shard each block and then what remains, over all devices."""
    from torch.distributed.fsdp import fully_shard

    devices = mesh["data_parallel"]
    for block in blocks_of(objective):
        fully_shard(block, mesh=devices)
    fully_shard(objective, mesh=devices)
    return objective


def blocks_of(objective: nn.Module) -> list[nn.Module]:
    """Return the transformer blocks of encoder and decoder: units of sharding and of compiling."""
    from timm.models.vision_transformer import Block, ParallelScalingBlock

    return [m for m in objective.modules() if isinstance(m, Block | ParallelScalingBlock)]


def prepare(objective: nn.Module, settings: TrainingSettings) -> None:
    """Compile, pack what stochastic depth keeps, and recompute activations, where configured."""
    encoder = objective.encoder
    if settings.pack_depth:
        for block in blocks_of(objective):
            if isinstance(getattr(block, "drop_path", None), StochasticDepth):
                block.forward = MethodType(packed_forward, block)  # type: ignore[method-assign]
    if settings.activation_checkpointing and hasattr(encoder, "checkpoints_activations"):
        encoder.checkpoints_activations = True  # type: ignore[assignment]
    if settings.compile_step:
        objective.compile()
    elif settings.compile:
        for block in blocks_of(objective):
            block.compile()


def full_state(module: nn.Module, optimizer: Optimizer) -> tuple[dict[str, Tensor], Tensors]:
    """Model and optimiser tensors by the parameters' own names, gathered on the first process.

    The same for one device, DDP and FSDP2, so that a run can go on with another number of them.
    """
    from torch.distributed.checkpoint.state_dict import StateDictOptions, get_state_dict

    options = StateDictOptions(full_state_dict=True, cpu_offload=True)
    gathered: Any = get_state_dict(module, optimizer, options=options)
    weights, state = gathered
    tensors = {
        f"{name}{SEPARATOR}{key}": torch.as_tensor(value)
        for name, values in state.get("state", {}).items()
        for key, value in values.items()
    }
    return weights, tensors


def load_state(module: nn.Module, optimizer: Optimizer, model: Tensors, tensors: Tensors) -> None:
    """Put back what `full_state` gathered.

    A weight that no step has used yet has no state of the optimiser, and stays without. Raises
    CorruptionError when a weight is missing, or is one that the network does not have.
    """
    from torch.distributed.checkpoint.state_dict import (
        StateDictOptions,
        get_optimizer_state_dict,
        set_state_dict,
    )

    options = StateDictOptions(full_state_dict=True, strict=False)
    state: dict[str, Any] = dict(get_optimizer_state_dict(module, optimizer, options=options))
    nested: dict[str, dict[str, Any]] = {}
    for joined, value in tensors.items():
        name, _, key = joined.rpartition(SEPARATOR)
        nested.setdefault(name, {})[key] = value
    differing = set_state_dict(
        module,
        optimizer,
        model_state_dict=dict(model),
        optim_state_dict=state | {"state": nested},
        options=options,
    )
    if differing.missing_keys or differing.unexpected_keys:
        raise CorruptionError(
            f"The checkpoint lacks the weights {differing.missing_keys} and has others that the "
            f"network has not: {differing.unexpected_keys}. To fix: delete it to begin again."
        )
