"""Logistic regression whose probabilities are calibrated by sigmoids on held-out folds, as scikit-learn makes it."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from erlangen.solvers.classify import logistic_path

FOLDS = 5


@dataclass(frozen=True)
class Calibrated:
    """x -> probabilities of classes: the mean over folds of sigmoids of linear scores, divided by their sum."""

    weight: Float[Tensor, "f d c"]
    bias: Float[Tensor, "f c"]
    slope: Float[Tensor, "f c"]
    offset: Float[Tensor, "f c"]

    def __call__(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        scores = x.to(self.weight) @ self.weight + self.bias[:, None]
        p = torch.sigmoid(-self.slope[:, None] * scores - self.offset[:, None])
        if p.shape[2] == 1:  # two classes have one score
            return torch.cat([1 - p, p], 2).mean(0)
        total = p.sum(2, keepdim=True)
        return torch.where(total > 0, p / total, 1 / p.shape[2]).mean(0)


def calibrated(x: Float[Tensor, "n d"], labels: Int[Tensor, " n"], classes: int, strength: float = 1.0) -> Calibrated:
    """scikit-learn's CalibratedClassifierCV(LogisticRegression(C=strength)), each part of it solved to the end.

    Five stratified folds in the order of the rows; features as they are. Each fold's sigmoids (Platt 1999) are fitted
    to its scores by the model of the others. `ValueError` unless every class has a row in each fold.
    """
    x, parts = x.double(), []
    for fold in range(FOLDS):
        held = stratified(labels, classes) == fold
        rows = x[~held]
        penalty = (2 if classes == 2 else 1) / (strength * len(rows))
        (model,) = logistic_path(rows, labels[~held], classes, [penalty], standardise=False)
        weight, bias = model.weight, model.bias
        if classes == 2:
            weight, bias = weight[:, 1:] - weight[:, :1], bias[1:] - bias[:1]
        kinds = torch.arange(classes, device=x.device)[-weight.shape[1] :]
        slope, offset = sigmoids(x[held] @ weight + bias, labels[held, None] == kinds)
        parts.append((weight, bias, slope, offset))
    return Calibrated(*(torch.stack(each) for each in zip(*parts, strict=True)))


def stratified(labels: Int[Tensor, " n"], classes: int) -> Int[Tensor, " n"]:
    """The fold of each row, as scikit-learn's StratifiedKFold has it: those of a class are dealt in their order.

    Classes come in the order in which they first occur, so that the folds are alike in size.
    """
    counts = labels.bincount(minlength=classes)
    if int(counts.min()) < FOLDS:
        rare = int(counts.argmin())
        raise ValueError(
            f"class {rare} has {int(counts[rare])} rows: calibration needs one for each of {FOLDS} folds; give more "
            "images of it, or take the linear probe"
        )
    firsts = torch.stack([(labels == c).int().argmax() for c in range(classes)])
    folds, start = torch.empty_like(labels), 0
    for c in firsts.argsort().tolist():
        places = torch.arange(start, start + int(counts[c]), device=labels.device) % FOLDS
        folds[labels == c] = places.sort().values
        start += int(counts[c])
    return folds


def sigmoids(
    scores: Float[Tensor, "n c"], positive: Bool[Tensor, "n c"], iterations: int = 100
) -> tuple[Float[Tensor, " c"], Float[Tensor, " c"]]:
    """(a, b) of 1 / (1 + exp(a score + b)), for each column, by Newton's method with the targets of Platt (1999)."""
    up, down = positive.sum(0).to(scores), (~positive).sum(0).to(scores)
    target = torch.where(positive, (up + 1) / (up + 2), 1 / (down + 2))
    features = torch.stack([scores, torch.ones_like(scores)])  # (2, n, c)
    found = torch.stack([torch.zeros_like(up), ((down + 1) / (up + 1)).log()])

    def loss(at: Tensor) -> Tensor:
        logit = -(features * at[:, None]).sum(0)
        return F.binary_cross_entropy_with_logits(logit, target, reduction="none").sum(0)

    for _ in range(iterations):
        p = torch.sigmoid(-(features * found[:, None]).sum(0))
        gradient = (features * (target - p)).sum(1)
        bend = torch.einsum("inc,jnc,nc->cij", features, features, p * (1 - p))
        bend = bend + 1e-10 * torch.eye(2).to(bend)
        direction = -torch.linalg.solve(bend, gradient.T).T
        if not bool(((direction * gradient).sum(0).abs() > 1e-12).any()):
            break
        length, before = torch.ones_like(up), loss(found)
        for _ in range(30):
            worse = loss(found + length * direction) > before
            if not bool(worse.any()):
                break
            length = torch.where(worse, length / 2, length)
        found = found + torch.where(worse, 0.0, length) * direction
    return found[0], found[1]
