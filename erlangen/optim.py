"""Optimisers as dataclasses. The rate of a step follows from its number: there is no scheduler state."""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer


@dataclass(frozen=True)
class Group:
    """What one entry of `nets` does differently, e.g. `Group("predictor", constant=True)`."""

    net: str
    lr_scale: float = 1.0
    weight_decay: float | None = None  # None: that of the optimiser
    constant: bool = False  # no warm-up and no cosine
    frozen_epochs: int = 0


@dataclass(frozen=True)
class SGD:
    lr: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 4e-4
    warmup: float = 0.0  # epochs
    groups: tuple[Group, ...] = ()

    def build(self, nets: nn.Module) -> Optimizer:
        return torch.optim.SGD(parameter_groups(nets, self), self.lr, self.momentum)


@dataclass(frozen=True)
class AdamW:
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.01
    warmup: float = 0.0  # epochs
    groups: tuple[Group, ...] = ()

    def build(self, nets: nn.Module) -> Optimizer:
        return torch.optim.AdamW(parameter_groups(nets, self), self.lr, self.betas)


Optim = SGD | AdamW


def parameter_groups(nets: nn.Module, optim: Optim) -> list[dict[str, Any]]:
    """One entry per group, the first that matches takes a parameter; what is left comes last."""
    remaining = {name: p for name, p in nets.named_parameters() if p.requires_grad}
    groups = []
    for group in (*optim.groups, Group("")):
        names = [name for name in remaining if not group.net or name.startswith(group.net + ".")]
        if not names and group.net:
            raise ValueError(f"no trainable `net` (={group.net}); there are: {', '.join(dict(nets.named_children()))}")
        decay = optim.weight_decay if group.weight_decay is None else group.weight_decay
        groups.append({"params": [remaining.pop(name) for name in names], "weight_decay": decay})
    return groups


def rate(optim: Optim, step: int, steps: int, steps_per_epoch: int) -> float:
    """The learning rate of step number `step` (from 0): linear warm-up, then half a cosine to 0."""
    warmup = optim.warmup * steps_per_epoch
    if step < warmup:
        return optim.lr * (step + 1) / math.ceil(warmup)
    return optim.lr * (1 + math.cos(math.pi * (step - warmup) / max(1.0, steps - warmup))) / 2


def schedule_(optimizer: Optimizer, optim: Optim, step: int, steps: int, steps_per_epoch: int) -> None:
    """Before step number `step`: every group's rate; a frozen group loses its gradient."""
    lr = rate(optim, step, steps, steps_per_epoch)
    for spec, group in zip((*optim.groups, Group("")), optimizer.param_groups, strict=True):
        group["lr"] = spec.lr_scale * (optim.lr if spec.constant else lr)
        if step // steps_per_epoch < spec.frozen_epochs:
            for p in group["params"]:
                p.grad = None
