"""Lion and the schedule against independent forms."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

from phenoprints.training.optimizers import (  # noqa: E402
    Lion,
    build_optimizer,
    learning_rate,
    parameter_groups,
)
from phenoprints.training.settings import TrainingSettings  # noqa: E402


def test_lion_equals_algorithm_2_step_by_step() -> None:
    stream = np.random.default_rng(0)
    weights = [stream.normal(size=shape) for shape in ((3, 4), (5,))]
    params = [torch.nn.Parameter(torch.tensor(w)) for w in weights]
    lr, beta1, beta2, decay = 0.01, 0.9, 0.95, 0.05
    optimizer = Lion(params, lr=lr, betas=(beta1, beta2), weight_decay=decay)
    momenta = [np.zeros_like(w) for w in weights]
    for _ in range(7):
        gradients = [stream.normal(size=w.shape) for w in weights]
        for i, g in enumerate(gradients):
            update = np.sign(beta1 * momenta[i] + (1 - beta1) * g)
            weights[i] = weights[i] - lr * (update + decay * weights[i])
            momenta[i] = beta2 * momenta[i] + (1 - beta2) * g
            params[i].grad = torch.tensor(g)
        optimizer.step()
    for expected, got in zip(weights, params, strict=True):
        np.testing.assert_allclose(got.detach().numpy(), expected, rtol=1e-12, atol=1e-12)


def test_lion_in_one_kernel_equals_lion_in_several() -> None:
    """The compiled update of each flat parameter against the plain one, over several rates."""
    shapes = [(3, 4), (5,), (2, 3, 2), ()]
    start = [torch.randn(shape) for shape in shapes]
    models = []
    for is_fused in (False, True):
        torch.manual_seed(1)
        params = [torch.nn.Parameter(value.clone()) for value in start]
        optimizer = Lion(params, lr=0.01, weight_decay=0.05, is_fused=is_fused)
        for step in range(4):
            optimizer.param_groups[0]["lr"] = 0.01 / (1 + step)
            for p in params:
                p.grad = torch.randn(p.shape)
            optimizer.step()
        models.append([*params, *(optimizer.state[p]["exp_avg"] for p in params)])
    for plain, fused in zip(*models, strict=True):
        torch.testing.assert_close(fused, plain, rtol=1e-6, atol=1e-7)


def test_lion_leaves_parameters_without_gradient_alone() -> None:
    params = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    params[0].grad = torch.ones(2)
    Lion(params, lr=0.1).step()
    assert torch.equal(params[1], torch.ones(2))
    torch.testing.assert_close(params[0], torch.full((2,), 0.9))


@pytest.mark.parametrize(("num_steps", "warmup"), [(100, 0.1), (37, 0.3), (1000, 0.1)])
def test_schedule_equals_torchs_one_cycle(num_steps: int, warmup: float) -> None:
    settings = TrainingSettings(learning_rate=3e-5, warmup_fraction=warmup)
    optimizer = build_optimizer(torch.nn.Linear(2, 2), settings)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=3e-5, total_steps=num_steps, pct_start=warmup, cycle_momentum=False
    )
    for step in range(num_steps):
        expected = schedule.get_last_lr()[0]
        assert learning_rate(step, num_steps, settings) == pytest.approx(expected, rel=1e-9)
        optimizer.step()
        if step < num_steps - 1:
            schedule.step()
    assert optimizer.param_groups[0]["betas"] == (0.9, 0.95)


@pytest.mark.parametrize("num_steps", [1, 2, 3])
@pytest.mark.parametrize("warmup", [0.0, 0.5, 1.0])
def test_schedule_of_very_short_training_is_finite(num_steps: int, warmup: float) -> None:
    settings = TrainingSettings(warmup_fraction=warmup)
    rates = [learning_rate(step, num_steps, settings) for step in range(num_steps)]
    assert all(0 < rate <= settings.learning_rate for rate in rates)


def test_only_matrices_decay() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.LayerNorm(3))
    module.token = torch.nn.Parameter(torch.zeros(1, 1, 3))
    module.fixed = torch.nn.Parameter(torch.zeros(3, 3), requires_grad=False)
    decayed, plain = parameter_groups(module, 0.05)
    assert [p.shape for p in decayed["params"]] == [(3, 3)]
    assert len(plain["params"]) == 4
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.05, 0.0)
