"""DINO (Caron et al. 2021, arXiv:2104.14294), Algorithm 1: a student matches a moving average of itself, centred."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from erlangen import losses
from erlangen.heads import Center, CosineHead, per_crop
from erlangen.losses.checks import check_positive
from erlangen.methods.base import Clock, Output, crops
from erlangen.names import lookup
from erlangen.nets import Branch, Encoder, cosine_decay, ema_
from erlangen.views import View


class Nets(nn.Module):
    temperature: Tensor  # of the teacher, in the next step

    def __init__(self, student: Branch, head: nn.Module, center: Center, temperature: float) -> None:
        super().__init__()
        self.student, self.center = student, center
        self.teacher = Branch(copy.deepcopy(student.encoder), copy.deepcopy(head)).requires_grad_(False)
        self.register_buffer("temperature", torch.tensor(temperature))


@dataclass(frozen=True)
class DINO:
    hidden: tuple[int, ...] = (2048, 2048)
    bottleneck: int = 256
    classes: int = 65536
    norm: bool = False  # BatchNorm in the head
    sphere: Literal["bottleneck", "hidden"] = "bottleneck"  # whose output is divided by its length
    own_head: bool = False  # the teacher's head begins with weights of its own, not with the student's
    temperature: float = 0.1
    teacher_temperature: float = 0.04  # at first
    final_temperature: float = 0.04  # the teacher's, from `warmup_epochs` on
    warmup_epochs: int = 0
    center_momentum: float = 0.9
    centering: Literal["step", "direction"] = "step"  # the center moves after a step; after each direction of two
    decay: float = 0.996  # of the teacher; rises to 1 with half a cosine
    ticks: int = 1  # of that cosine in a step: with 2, as in ISSL, it is at 1 in mid-training, and falls again
    large: int = 2  # views, the first ones, that the teacher sees; the student sees all
    evaluated: Literal["teacher", "student"] = "teacher"  # whose encoder is evaluated and saved

    def __post_init__(self) -> None:
        lookup("sphere", self.sphere, dict.fromkeys(("bottleneck", "hidden")))
        lookup("centering", self.centering, dict.fromkeys(("step", "direction")))
        lookup("evaluated", self.evaluated, dict.fromkeys(("teacher", "student")))
        check_positive(**{name: value for name, value in vars(self).items() if name.endswith("temperature")})
        ranges = {"decay": (0, 1), "center_momentum": (0, 1), "warmup_epochs": (0, float("inf"))}
        for name, (low, high) in {**ranges, **dict.fromkeys(("ticks", "large"), (1, float("inf")))}.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"`{name}` (={getattr(self, name)}) must lie in [{low}, {high}]")

    def build(self, encoder: Encoder) -> Nets:
        shape = (encoder.dim, self.hidden, self.bottleneck, self.classes)
        heads = [CosineHead(*shape, self.norm, self.sphere) for _ in range(1 + self.own_head)]
        return Nets(Branch(encoder, heads[0]), heads[-1], Center(self.classes, self.center_momentum), self.teaching(0))

    def teaching(self, epoch: int) -> float:
        """The teacher's temperature in an epoch (from 0): a straight line that ends with `warmup_epochs`."""
        way = epoch / max(1, self.warmup_epochs - 1) if epoch < self.warmup_epochs else 1.0
        return self.teacher_temperature + way * (self.final_temperature - self.teacher_temperature)

    def momentum(self, step: int, steps: int) -> float:
        """The teacher's decay in update number `step` (from 0)."""
        tick = self.ticks * step % (2 * steps)
        return cosine_decay(self.decay, min(tick, 2 * steps - tick), steps)

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        large, every = crops(views, self.large)
        h = per_crop(nets.student.encoder, [view.images for view in every])
        students = per_crop(nets.student.projector, h)
        with torch.no_grad():
            seen = per_crop(nets.teacher.encoder, [view.images for view in large])
            teachers = per_crop(nets.teacher.projector, seen)
        centers = [nets.center.value] * len(teachers)
        if self.centering == "direction":  # the last is used first
            for i in reversed(range(len(teachers) - 1)):
                centers[i] = nets.center.moved(centers[i + 1], teachers[i + 1])
        loss, entropy = losses.dino(teachers, students, centers, self.temperature, nets.temperature)
        carry = {"teachers": torch.stack(teachers, 1)}
        return Output(loss, h, students, {"CE_distill_aug": loss.detach(), "H_Mlz": entropy}, carry)

    def couples(self) -> bool:
        return self.centering == "direction"

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        ema_(nets.teacher, nets.student, self.momentum(clock.step - 1, clock.steps))
        views = carry["teachers"].unbind(1)
        for logits in views[::-1] if self.centering == "direction" else [torch.cat(views)]:
            nets.center.value.copy_(nets.center.moved(nets.center.value, logits))
        nets.temperature.fill_(self.teaching(clock.epoch))

    def encoder(self, nets: Nets) -> Encoder:
        return nets.teacher.encoder if self.evaluated == "teacher" else nets.student.encoder
