"""Optimisers and the schedule: Lion, AdamW, SGD and the one-cycle cosine."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from phenoprints.training.settings import TrainingSettings

DIV_FACTOR, FINAL_DIV_FACTOR = 25.0, 1e4
"""torch's own: the schedule starts at lr/25 and ends at lr/250,000."""


class Lion(Optimizer):
    """Sign of an interpolated momentum, with decoupled weight decay.

    update = sign(β1·m + (1 - β1)·g); p ← p·(1 - lr·λ) - lr·update; m ← β2·m + (1 - β2)·g.
    All parameters of a group are updated at once (foreach), or each by one compiled kernel that
    reads and writes it once (`is_fused`), equal up to rounding.

    Source: Chen et al. 2023, Algorithm 2, doi:10.48550/arXiv.2302.06675.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.95),
        weight_decay: float = 0.0,
        *,
        is_fused: bool = False,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})
        self.kernel: Any = torch.compile(lion_update, dynamic=True) if is_fused else None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            params = [p for p in group["params"] if p.grad is not None]
            if params:
                self._update(params, group)
        return loss

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for p in params:
            if not self.state[p]:
                self.state[p]["exp_avg"] = torch.zeros_like(p)
        gradients = [p.grad for p in params if p.grad is not None]
        momenta = [self.state[p]["exp_avg"] for p in params]
        lr, (beta1, beta2) = float(group["lr"]), group["betas"]
        if self.kernel is not None:
            rates = torch.tensor(
                [lr, lr * group["weight_decay"], beta1, beta2], device=params[0].device
            )
            for tensors in zip(params, gradients, momenta, strict=True):
                self.kernel(*(_local(t).view(-1) for t in tensors), rates)
            return
        torch._foreach_mul_(params, 1.0 - lr * group["weight_decay"])
        updates = torch._foreach_mul(momenta, beta1)
        torch._foreach_add_(updates, gradients, alpha=1.0 - beta1)
        torch._foreach_sign_(updates)
        torch._foreach_add_(params, updates, alpha=-lr)
        torch._foreach_mul_(momenta, beta2)
        torch._foreach_add_(momenta, gradients, alpha=1.0 - beta2)


def lion_update(param: Tensor, gradient: Tensor, momentum: Tensor, rates: Tensor) -> None:
    """Update one flat parameter and its momentum in place; `rates` are lr, lr·λ, β1 and β2."""
    lr, decay, beta1, beta2 = rates.unbind()
    update = torch.sign(beta1 * momentum + (1.0 - beta1) * gradient)
    param.copy_(param * (1.0 - decay) - lr * update)
    momentum.copy_(beta2 * momentum + (1.0 - beta2) * gradient)


def _local(tensor: Tensor) -> Tensor:
    """Return the part of a sharded tensor that this process holds."""
    return tensor.to_local() if hasattr(tensor, "to_local") else tensor  # type: ignore[no-any-return]


def parameter_groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Learned parameters in two groups: matrices with weight decay, vectors without.

    Biases, norms, layer scales and tokens have one dimension that counts and do not decay, as in
    He et al. 2022.
    """
    learned = [p for p in module.parameters() if p.requires_grad]
    matrices = [p for p in learned if _decays(p)]
    vectors = [p for p in learned if not _decays(p)]
    return [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def _decays(parameter: Tensor) -> bool:
    return sum(side > 1 for side in parameter.shape) > 1


def build_optimizer(module: nn.Module, settings: TrainingSettings) -> Optimizer:
    """Return the configured optimiser over the module's learned parameters."""
    groups = [g for g in parameter_groups(module, settings.weight_decay) if g["params"]]
    fast, slow = settings.betas
    if settings.optimizer == "lion":
        fused = settings.compile_step
        return Lion(groups, lr=settings.learning_rate, betas=(fast, slow), is_fused=fused)
    if settings.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=(fast, slow))
    return torch.optim.SGD(groups, lr=settings.learning_rate, momentum=fast)


def learning_rate(step: int, num_steps: int, settings: TrainingSettings) -> float:
    """Return the learning rate at step `step` (from 0) of `num_steps`: two half cosines.

    It rises from a 25th of `learning_rate` during the first `warmup_fraction` of the steps, then
    falls to a 250,000th of it. Equal to torch's OneCycleLR with `cycle_momentum=False`; as a pure
    function of the step it needs no state, and no momentum can be overwritten.
    """
    highest = settings.learning_rate
    first, last = highest / DIV_FACTOR, highest / DIV_FACTOR / FINAL_DIV_FACTOR
    peak = settings.warmup_fraction * num_steps - 1.0
    if step <= peak:
        return _cosine(first, highest, step / peak if peak > 0 else 1.0)
    remaining = num_steps - 1.0 - max(peak, 0.0)
    return _cosine(highest, last, (step - max(peak, 0.0)) / remaining if remaining > 0 else 0.0)


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (1.0 + math.cos(math.pi * share))


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Give every group of parameters this rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate
