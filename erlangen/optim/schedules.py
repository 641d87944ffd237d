"""Schedules: what the learning rate is multiplied by, as a function of the number of the step. They hold no state.

Every schedule has `factor(step, steps, steps_per_epoch)`, that of step number `step` (from 0) in a run of `steps`, and
`check(epochs)`: `ValueError` if it does not fit a run of so many epochs.
"""

import math
from dataclasses import dataclass
from typing import Literal


def _between_0_and_1(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"`{name}` (={value}) must be between 0 and 1")


@dataclass(frozen=True)
class Constant:
    """The full rate throughout."""

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        return 1.0

    def check(self, epochs: int) -> None:
        """Fits every run."""


@dataclass(frozen=True)
class Milestones:
    """Times `gamma` at every milestone. The defaults are those of MoCo (He et al. 2020, arXiv:1911.05722)."""

    at: tuple[float, ...] = (120, 160)  # epochs
    gamma: float = 0.1

    def __post_init__(self) -> None:
        if not all(earlier < later for earlier, later in zip((0, *self.at), self.at, strict=False)):
            raise ValueError(f"`at` (={self.at}) must be epochs above 0, each later than the one before")
        _between_0_and_1("gamma", self.gamma)

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        return self.gamma ** sum(milestone <= step / steps_per_epoch for milestone in self.at)

    def check(self, epochs: int) -> None:
        late = [milestone for milestone in self.at if milestone >= epochs]
        if late:
            raise ValueError(
                f"`at` (={self.at}) has the milestone {late[0]:g}, and the run ends after {epochs} epochs: "
                "name earlier ones (--optim.schedule.at) or train longer (--train.epochs)"
            )


@dataclass(frozen=True)
class UniformMilestones:
    """Times `gamma` at `count` milestones that cut the run into equal parts, as ISSL does (Dubois et al. 2022)."""

    count: int = 2
    gamma: float = 0.1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError(
                f"`count` (={self.count}) must be at least 1: without a milestone the schedule is Constant"
            )
        _between_0_and_1("gamma", self.gamma)

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        between = steps // steps_per_epoch // (self.count + 1)  # epochs, whole ones: what is left over comes last
        return self.gamma ** min(self.count, step // steps_per_epoch // between)

    def check(self, epochs: int) -> None:
        if epochs <= self.count:
            raise ValueError(
                f"`count` (={self.count}) milestones cut a run into {self.count + 1} parts, and this one has {epochs} "
                "epochs: take fewer (--optim.schedule.count) or train longer (--train.epochs)"
            )


@dataclass(frozen=True)
class Cosine:
    """A linear warm-up, then half a cosine from the full rate down to `end` of it (Loshchilov and Hutter 2017).

    Authors agree on that and differ in where the ramp begins and ends, which two numbers say: the defaults, where
    neither the first step nor the last of the warm-up is lost; `BYOL_COSINE`, `ISSL_COSINE`, `DUET_COSINE`,
    `MOCO_COSINE`. For w steps of warm-up, step i of it has the factor (i - zero_at) / (w + full_at - zero_at).
    """

    warmup: float = 0.0  # epochs; below 1 a fraction of the run
    zero_at: int = -1  # where the ramp is 0, counted from the first step: -1 the step before it, 0 itself
    full_at: int = -1  # where the ramp is 1, counted from the first step after the warm-up: -1 the step before it
    least: float = 0.0  # the ramp is never below
    end: float = 0.0  # fraction of the rate at the end of the run, and past it
    per: Literal["step", "epoch"] = "step"  # what is counted: a new rate at every step or at every epoch

    def __post_init__(self) -> None:
        if not 0 <= self.warmup < math.inf:
            raise ValueError(
                f"`warmup` (={self.warmup}) must be 0, a fraction of the run (below 1) or epochs (1 or more)"
            )
        if self.zero_at > 0:
            raise ValueError(f"`zero_at` (={self.zero_at}) must be 0 or less: later, the first rate would be negative")
        if self.full_at < -1:
            raise ValueError(
                f"`full_at` (={self.full_at}) must be -1 or more: earlier, the ramp would pass the full rate"
            )
        _between_0_and_1("least", self.least)
        _between_0_and_1("end", self.end)

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        size = steps_per_epoch if self.per == "epoch" else 1  # of what is counted, in steps
        now, total, epoch = step // size, steps // size, steps_per_epoch // size
        warmup = round(self.warmup * (epoch if self.warmup >= 1 else total), 6)  # .07 of 100 is 7, not 7 and a bit
        if now < warmup:
            zero, full = self.zero_at, math.ceil(warmup) + self.full_at
            return max(self.least, (now - zero) / max(1, full - zero))  # a ramp of one point is its zero
        if now >= total:
            return self.end
        return self.end + (1 - self.end) * (1 + math.cos(math.pi * (now - warmup) / (total - warmup))) / 2

    def check(self, epochs: int) -> None:
        if self.warmup > epochs:
            raise ValueError(
                f"`warmup` (={self.warmup:g}) is longer than the run of {epochs} epochs: warm up for fewer "
                "(--optim.schedule.warmup; below 1 it is a fraction of the run) or train longer (--train.epochs)"
            )


@dataclass(frozen=True)
class Polynomial:
    """From the full rate down to `end` of it, as (1 - progress) ** `power`, at every step.

    The defaults are those of the linear evaluation in KTH's reproduction of BYOL and DirectPred (.05 to .0005).
    """

    power: float = 2.0
    end: float = 0.01  # fraction of the rate at the end of the run, and past it

    def __post_init__(self) -> None:
        if not 0 < self.power < math.inf:
            raise ValueError(f"`power` (={self.power}) must be above 0: 1 is a straight line")
        _between_0_and_1("end", self.end)

    def factor(self, step: int, steps: int, steps_per_epoch: int) -> float:
        return (1 - self.end) * math.pow(1 - min(step, steps) / steps, self.power) + self.end

    def check(self, epochs: int) -> None:
        """Fits every run."""


Schedule = Constant | Milestones | UniformMilestones | Cosine | Polynomial

# BYOL (Grill et al. 2020) and the authors' code of E-SSL (Dangovski et al. 2022): the first step has rate 0, the first
# after the warm-up the full one.
BYOL_COSINE = Cosine(warmup=10, zero_at=0, full_at=0)
# ISSL (Dubois et al. 2022): all of epoch 0 has rate 0, the last epoch of the warm-up and the next the full one.
ISSL_COSINE = Cosine(warmup=10, zero_at=0, full_at=-1, per="epoch")
# DUET (Suau et al. 2023): epoch 0 has a thousandth of the rate.
DUET_COSINE = Cosine(warmup=10, zero_at=0, full_at=0, least=1e-3, per="epoch")
# MoCo v2 (Chen et al. 2020) with --cos, as pretrained by Ericsson et al. (2021).
MOCO_COSINE = Cosine(per="epoch")
