"""Rates and groups against what their definitions say."""

import math

import pytest
import torch
from torch import nn

from erlangen.optim import SGD, AdamW, Group, rate, schedule_


@pytest.mark.parametrize("warmup", [0, 1, 2.5])
def test_rate_is_a_ramp_and_half_a_cosine(warmup):
    """Step by step: equal steps up to the full rate, then (1 + cos)/2 of what is left, never negative."""
    optim, per_epoch, steps = SGD(lr=0.4, warmup=warmup), 4, 40
    ramp = math.ceil(warmup * per_epoch)
    rates = [rate(optim, step, steps, per_epoch) for step in range(steps)]
    for step in range(ramp):
        assert rates[step] == pytest.approx(0.4 * (step + 1) / ramp)
    for step in range(ramp, steps):
        done = (step - warmup * per_epoch) / (steps - warmup * per_epoch)
        assert rates[step] == pytest.approx(0.4 * 0.5 * (1 + math.cos(math.pi * done)))
    assert rates[ramp] == pytest.approx(0.4, rel=1e-2) and rates[-1] < 0.01
    assert max(rates) <= 0.4 and sorted(rates[ramp:], reverse=True) == rates[ramp:]


@pytest.mark.parametrize("kind", [SGD, AdamW])
def test_groups(kind):
    """Scaled, constant, frozen and the rest: each its own rate and decay; what is frozen has no gradient left."""
    nets = nn.ModuleDict({name: nn.Linear(2, 2) for name in ("encoder", "projector", "predictor", "head")})
    groups = (
        Group("predictor", constant=True, weight_decay=0.0),
        Group("projector", lr_scale=10.0),
        Group("head", frozen_epochs=2),
    )
    optim = kind(lr=0.1, weight_decay=0.5, warmup=1, groups=groups)
    optimizer = optim.build(nets)

    def after(step: int) -> list[float]:
        for p in nets.parameters():
            p.grad = torch.ones_like(p)
        schedule_(optimizer, optim, step, 40, 4)
        return [group["lr"] for group in optimizer.param_groups]

    plain = rate(optim, 1, 40, 4)
    assert after(1) == pytest.approx([0.1, 10 * plain, plain, plain]) and plain == pytest.approx(0.05)
    assert nets["head"].weight.grad is None and nets["encoder"].weight.grad is not None
    after(8)  # the third epoch
    assert nets["head"].weight.grad is not None
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0.0, 0.5, 0.5, 0.5]
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == len(set(held)) == len(list(nets.parameters()))  # each parameter once


def test_a_parameter_without_gradient_is_left_alone():
    """Targets are no business of the optimiser."""
    nets = nn.ModuleDict({"online": nn.Linear(2, 2), "target": nn.Linear(2, 2).requires_grad_(False)})
    held = [p for group in SGD().build(nets).param_groups for p in group["params"]]
    assert {id(p) for p in held} == {id(p) for p in nets["online"].parameters()}
