"""Optimisers as dataclasses. The rate of a step follows from its number: there is no scheduler state."""

import math
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn
from torch.optim import Optimizer

from erlangen.optim import trust
from erlangen.optim.schedules import (
    BYOL_COSINE,
    DUET_COSINE,
    ISSL_COSINE,
    MOCO_COSINE,
    Constant,
    Cosine,
    Milestones,
    Polynomial,
    Schedule,
    UniformMilestones,
)

__all__ = [
    "BYOL_COSINE",
    "DUET_COSINE",
    "ISSL_COSINE",
    "LARC",
    "LARS",
    "MOCO_COSINE",
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "Group",
    "Milestones",
    "Optim",
    "Polynomial",
    "Schedule",
    "UniformMilestones",
    "check_schedule",
    "rate",
    "schedule_",
]

# all: every trainable tensor; weights: all but the biases of layers (KTH's reproduction of BYOL: the scale and shift of
# norms decay); matrices: those with two dimensions or more (usual for transformers: neither biases nor norms).
Decayed = Literal["all", "weights", "matrices"]


@dataclass(frozen=True)
class Group:
    """What one entry of `nets` does differently, e.g. `Group("predictor", constant=True)`."""

    net: str
    lr_scale: float = 1.0
    weight_decay: float | None = None  # None: that of the optimiser
    constant: bool = False  # the full rate throughout, whatever the schedule says
    frozen_epochs: int = 0

    def __post_init__(self) -> None:
        _check_not_negative(lr_scale=self.lr_scale, weight_decay=self.weight_decay, frozen_epochs=self.frozen_epochs)


@dataclass(frozen=True)
class SGD:
    """With momentum; the decay is added to the gradient, as in torch."""

    lr: float = 0.03
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 4e-4
    decayed: Decayed = "all"  # what decays: all, weights (no biases) or matrices (neither biases nor norms)
    schedule: Schedule = Cosine()
    lr_batch: int | None = None  # the batch size that lr is for: the rate used is lr * batch_size / lr_batch
    groups: tuple[Group, ...] = ()

    def __post_init__(self) -> None:
        _check_common(self)
        _check_momentum(self.momentum)
        if self.nesterov and not self.momentum:
            raise ValueError("`nesterov` (=True) needs a `momentum` above 0: give one, or take plain SGD")

    def build(self, nets: nn.Module) -> Optimizer:
        groups = parameter_groups(nets, self, self.decayed)
        return torch.optim.SGD(groups, self.lr, self.momentum, nesterov=self.nesterov)


@dataclass(frozen=True)
class Adam:
    """Kingma and Ba 2015; the decay is added to the gradient and adapted with it, as in torch. Beside it: AdamW."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0
    decayed: Decayed = "all"  # what decays: all, weights (no biases) or matrices (neither biases nor norms)
    schedule: Schedule = Cosine()
    lr_batch: int | None = None  # the batch size that lr is for: the rate used is lr * batch_size / lr_batch
    groups: tuple[Group, ...] = ()

    def __post_init__(self) -> None:
        _check_adam(self)

    def build(self, nets: nn.Module) -> Optimizer:
        return torch.optim.Adam(parameter_groups(nets, self, self.decayed), self.lr, self.betas, self.eps)


@dataclass(frozen=True)
class AdamW:
    """Adam with the decay beside the gradient: p loses lr * weight_decay * p besides (Loshchilov and Hutter 2019)."""

    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.01
    decayed: Decayed = "all"  # what decays: all, weights (no biases) or matrices (neither biases nor norms)
    schedule: Schedule = Cosine()
    lr_batch: int | None = None  # the batch size that lr is for: the rate used is lr * batch_size / lr_batch
    groups: tuple[Group, ...] = ()

    def __post_init__(self) -> None:
        _check_adam(self)

    def build(self, nets: nn.Module) -> Optimizer:
        return torch.optim.AdamW(parameter_groups(nets, self, self.decayed), self.lr, self.betas, self.eps)


@dataclass(frozen=True)
class LARS:
    """SGD at a rate in proportion to each tensor's norm (You et al. 2017), as SimCLR and BYOL use it: see `trust`.

    Tensors with fewer than two dimensions (biases, norms) get neither decay nor adaptation.
    """

    lr: float = 0.3
    momentum: float = 0.9
    weight_decay: float = 1e-6
    trust: float = 1e-3  # rate of a tensor in units of its norm, before lr
    schedule: Schedule = Cosine()
    lr_batch: int | None = None  # the batch size that lr is for: the rate used is lr * batch_size / lr_batch
    groups: tuple[Group, ...] = ()

    def __post_init__(self) -> None:
        _check_common(self)
        _check_momentum(self.momentum)
        _check_positive(trust=self.trust)

    def build(self, nets: nn.Module) -> Optimizer:
        return trust.LARS(parameter_groups(nets, self, "matrices"), self.lr, self.momentum, trust=self.trust)


@dataclass(frozen=True)
class LARC:
    """NVIDIA apex's variant, that of ISSL's ImageNet runs (Dubois et al. 2022): every tensor decays and is adapted."""

    lr: float = 0.3
    momentum: float = 0.9
    weight_decay: float = 1e-6
    trust: float = 1e-3  # rate of a tensor in units of its norm, before lr
    clip: bool = False  # the rate of a tensor is at most lr
    eps: float = 1e-8
    schedule: Schedule = Cosine()
    lr_batch: int | None = None  # the batch size that lr is for: the rate used is lr * batch_size / lr_batch
    groups: tuple[Group, ...] = ()

    def __post_init__(self) -> None:
        _check_common(self)
        _check_momentum(self.momentum)
        _check_positive(trust=self.trust)
        _check_not_negative(eps=self.eps)

    def build(self, nets: nn.Module) -> Optimizer:
        groups = parameter_groups(nets, self, "all")
        return trust.LARC(groups, self.lr, self.momentum, trust=self.trust, clip=self.clip, eps=self.eps)


Optim = SGD | Adam | AdamW | LARS | LARC


def parameter_groups(nets: nn.Module, optim: Optim, decayed: Decayed) -> list[dict[str, Any]]:
    """One or two entries per group, decayed and not; the first that matches takes a parameter, what is left comes last.

    An entry holds what `schedule_` needs, so that it is saved with the optimiser's state.
    """
    exempt = _exempt(nets, decayed)
    remaining = {name: p for name, p in nets.named_parameters() if p.requires_grad}
    entries = []
    for group in (*optim.groups, Group("")):
        names = [name for name in remaining if not group.net or name.startswith(group.net + ".")]
        if not names and group.net:
            raise ValueError(f"no trainable `net` (={group.net}); there are: {', '.join(dict(nets.named_children()))}")
        decay = optim.weight_decay if group.weight_decay is None else group.weight_decay
        ours = {
            "lr": group.lr_scale * optim.lr,
            "lr_scale": group.lr_scale,
            "constant": group.constant,
            "frozen_epochs": group.frozen_epochs,
        }
        for value, part in ((decay, [n for n in names if n not in exempt]), (0.0, [n for n in names if n in exempt])):
            if part:
                entries.append({"params": [remaining.pop(name) for name in part], "weight_decay": value, **ours})
    return entries


def _exempt(nets: nn.Module, decayed: Decayed) -> set[str]:
    """The names of the parameters that do not decay."""
    if decayed == "all":
        return set()
    if decayed == "matrices":
        return {name for name, p in nets.named_parameters() if p.ndim < 2}
    names = dict(nets.named_parameters())
    beside = {name: names.get(name.removesuffix("bias") + "weight") for name in names if name.endswith("bias")}
    # The shift of a norm, which torch calls its bias too, has a weight of one dimension beside it.
    return {name for name, weight in beside.items() if weight is None or weight.ndim > 1}


def rate(optim: Optim, step: int, steps: int, steps_per_epoch: int, batch_size: int) -> float:
    """The learning rate of step number `step` (from 0) for batches of `batch_size`, before any group's `lr_scale`."""
    return _full_rate(optim, batch_size) * optim.schedule.factor(step, steps, steps_per_epoch)


def _full_rate(optim: Optim, batch_size: int) -> float:
    """The rate that the schedule multiplies."""
    return optim.lr if optim.lr_batch is None else optim.lr * batch_size / optim.lr_batch


def schedule_(optimizer: Optimizer, optim: Optim, step: int, steps: int, steps_per_epoch: int, batch_size: int) -> None:
    """Before step number `step`: every group's rate; a frozen group loses its gradient."""
    full, scheduled = _full_rate(optim, batch_size), rate(optim, step, steps, steps_per_epoch, batch_size)
    for group in optimizer.param_groups:
        group["lr"] = group["lr_scale"] * (full if group["constant"] else scheduled)
        if step // steps_per_epoch < group["frozen_epochs"]:
            for p in group["params"]:
                p.grad = None


def check_schedule(optim: Optim, epochs: int) -> None:
    """`ValueError` if the schedule does not fit a run of so many epochs."""
    optim.schedule.check(epochs)


def _check_common(optim: Optim) -> None:
    _check_not_negative(lr=optim.lr, weight_decay=optim.weight_decay)
    if optim.lr_batch is not None and optim.lr_batch < 1:
        raise ValueError(f"`lr_batch` (={optim.lr_batch}) must be the batch size that `lr` is for, at least 1, or None")


def _check_adam(optim: Adam | AdamW) -> None:
    _check_common(optim)
    if not all(0 <= beta < 1 for beta in optim.betas):
        raise ValueError(f"`betas` (={optim.betas}) must both be at least 0 and below 1")
    _check_positive(eps=optim.eps)


def _check_not_negative(**values: float | None) -> None:
    for name, value in values.items():
        if value is not None and not 0 <= value < math.inf:
            raise ValueError(f"`{name}` (={value}) must be a number, 0 or more")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"`{name}` (={value}) must be a number above 0")


def _check_momentum(value: float) -> None:
    if not 0 <= value < 1:
        raise ValueError(f"`momentum` (={value}) must be at least 0 and below 1")
