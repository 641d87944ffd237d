"""Losses of teachers that assign images to classes nobody named, and of students that predict the assignment."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.checks import check_positive, check_weight
from erlangen.losses.precision import exact


class DISSLTerms(NamedTuple):
    """DISSL's loss and what it is made of; the last two are without gradient, for logs."""

    loss: Float[Tensor, ""]
    distillation: Float[Tensor, ""]  # D: students against the teacher of another view
    maximality: Float[Tensor, ""]  # H: entropy of the marginals
    determinism: Float[Tensor, ""]  # N: teachers against each other
    uncertainty: Float[Tensor, ""]  # mean entropy of a teacher's assignment
    same_view: Float[Tensor, ""]  # students against the teacher of their own view


class DINOTerms(NamedTuple):
    """DINO's loss; the teachers' mean entropy, without gradient, for logs."""

    loss: Float[Tensor, ""]
    uncertainty: Float[Tensor, ""]


@exact
def marginal(logits: Float[Tensor, "n c"], temperature: float = 0.5) -> Float[Tensor, " c"]:
    """How often each class is assigned: mean over the rows of softmax(logits / temperature).

    Logits (0, 0) and (0, ln 3) at temperature 1: (3/8, 5/8).
    """
    check_positive(temperature=temperature)
    return (logits / temperature).softmax(-1).mean(0)


@exact
def entropy(p: Float[Tensor, "*n c"]) -> Float[Tensor, "*n"]:
    """Entropy in nats along the last axis; (1/4, 3/4) has 0.5623.

    As torch's `Categorical` has it, which ISSL uses: p is divided by its sum, and the logarithm taken of p clamped to
    [eps, 1 - eps] of its type. So classes that are rarer than eps (1.2e-7 in float32) count -p ln eps.
    """
    p = p / p.sum(-1, keepdim=True)
    eps = torch.finfo(p.dtype).eps
    return -(p * p.clamp(eps, 1 - eps).log()).sum(-1)


@exact
def dissl(
    teachers: Sequence[Float[Tensor, "n c"]],
    students: Sequence[Float[Tensor, "n c"]],
    maximality: float = 2.3,
    determinism: float = 0.8,
    temperature: float = 1.0,
    assign_temperature: float = 0.5,
    marginals: Sequence[Float[Tensor, " c"]] | None = None,
    ramp: Float[Tensor, ""] | float = 1.0,
) -> DISSLTerms:
    """DISSL (Dubois et al. 2022, arXiv:2209.06235) for any number of crops: D - maximality H + determinism N.

    The logits (n, c) of the teacher for its crops and of the student for all crops, the teacher's first. With P =
    softmax(teacher / assign_temperature), Q = softmax(student / temperature), i and j crops, means over images:
    D = mean over i != j of -sum P_i log Q_j; N = mean over i != j of -sum P_i log P_j; H = mean over i of the entropy
    of the marginal of P_i. Nothing is detached. `marginals` are those of the images here unless given, as means over
    all ranks. `ramp`, in (0, 1], makes it ramp D - maximality H + determinism N / ramp: the teacher learns first.

    Two images, two classes, two views; a sure teacher has one in each class, the student knows nothing:
    ln 2 (1 - 2.3) = -0.9011. `ValueError` for fewer than two images or teachers, for shapes that differ, for a
    temperature or a ramp that is not above 0, for a weight below 0; what is a tensor is not read.
    """
    check_weight(maximality=maximality, determinism=determinism)
    check_positive(temperature=temperature, assign_temperature=assign_temperature, **_number(ramp=ramp))
    _check(teachers, students, 2)
    if len(teachers[0]) < 2:
        raise ValueError(f"the marginal of {len(teachers[0])} image(s) says nothing: give a batch of 2 or more")
    log_p = [(x / assign_temperature).log_softmax(-1) for x in teachers]
    log_q = [(x / temperature).log_softmax(-1) for x in students]
    p = [x.exp() for x in log_p]
    marginals = [x.mean(0) for x in p] if marginals is None else marginals
    if [x.shape for x in marginals] != [x.shape[1:] for x in p]:
        shapes = [tuple(x.shape) for x in marginals]
        raise ValueError(f"`marginals` {shapes} must be one for each of {len(p)} teachers, of {p[0].shape[1]} classes")
    d = _across(p, log_q)
    h = torch.stack([entropy(x) for x in marginals]).mean()
    n = _across(p, log_p)
    loss = ramp * d - maximality * h + determinism * n / ramp
    with torch.no_grad():
        uncertainty = torch.stack([entropy(x).mean() for x in p]).mean()
        same = torch.stack([_cross_entropy(a, b) for a, b in zip(p, log_q, strict=False)]).mean()
    return DISSLTerms(loss, d, h, n, uncertainty, same)


@exact
def dino(
    teachers: Sequence[Float[Tensor, "n c"]],
    students: Sequence[Float[Tensor, "n c"]],
    centers: Sequence[Float[Tensor, " c"]],
    temperature: float = 0.1,
    teacher_temperature: Float[Tensor, ""] | float = 0.04,
) -> DINOTerms:
    """DINO (Caron et al. 2021, arXiv:2104.14294, eq. 1 to 3), mean over images and over crops i != j of
    -sum softmax((teacher_i - center_i) / teacher_temperature) log softmax(student_j / temperature).

    The logits (n, c) of the teacher for its crops and of the student for all crops, the teacher's first; a center (c,)
    for each of the teacher's. No gradient through teachers.

    Two classes, teacher (0, 0), student (0, 0.1 ln 3), no center: -(ln 1/4 + ln 3/4) / 2 = 0.8370. `ValueError` for
    fewer than two students, for shapes that differ, for a temperature that is not above 0; a tensor is not read.
    """
    check_positive(temperature=temperature, **_number(teacher_temperature=teacher_temperature))
    _check(teachers, students, 1)
    if len(centers) != len(teachers):
        raise ValueError(f"`centers` (={len(centers)}) must be as many as `teachers` (={len(teachers)})")
    pairs = zip(teachers, centers, strict=True)
    p = [((x.detach() - center) / teacher_temperature).softmax(-1) for x, center in pairs]
    log_q = [(x / temperature).log_softmax(-1) for x in students]
    return DINOTerms(_across(p, log_q), torch.stack([entropy(x).mean() for x in p]).mean())


def _number(**values: Tensor | float) -> dict[str, float]:
    """Those that are known without reading a tensor: a schedule's value is a buffer, and a look at it a branch."""
    return {name: value for name, value in values.items() if not isinstance(value, Tensor)}


def _cross_entropy(p: Tensor, log_q: Tensor) -> Tensor:
    return -(p * log_q).sum(-1).mean()


def _across(p: Sequence[Tensor], log_q: Sequence[Tensor]) -> Tensor:
    """Mean over all pairs of crops but those of the same crop."""
    pairs = [(a, b) for i, a in enumerate(p) for j, b in enumerate(log_q) if i != j]
    return torch.stack([_cross_entropy(a, b) for a, b in pairs]).mean()


def _check(teachers: Sequence[Tensor], students: Sequence[Tensor], least: int) -> None:
    if len(teachers) < least or len(students) < max(2, len(teachers)):
        raise ValueError(
            f"`teachers` (={len(teachers)} crops) must be at least {least}, and `students` (={len(students)}) at least "
            "two and no fewer: the student sees what the teacher sees, and more"
        )
    shapes = [tuple(x.shape) for x in (*teachers, *students)]
    if any(shape != shapes[0] for shape in shapes):
        raise ValueError(f"`teachers` and `students` differ in shape: {shapes}; images and classes must agree")
