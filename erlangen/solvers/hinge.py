"""Linear support vector machines for many penalties at once: one class against the rest, squared hinge loss."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.solvers.lbfgs import END, Trial, minimise, squares
from erlangen.solvers.linear import Linear
from erlangen.solvers.logistic import basis


@dataclass(frozen=True)
class Hinge:
    """Mean of max(0, 1 - side score)^2 + penalty/2 |weight|^2, for p pairs of a penalty and a class."""

    z: Float[Tensor, "k r"]
    side: Float[Tensor, "k p 1"]  # 1 for the class, -1 for the rest
    values: Float[Tensor, "r 1 1"]
    penalties: Float[Tensor, " p"]

    def part(self, rows: Int[Tensor, " m"]) -> "Hinge":
        return Hinge(self.z, self.side[:, rows], self.values, self.penalties[rows])

    def scores(self, weight: Float[Tensor, "q p c"]) -> Float[Tensor, "k p c"]:
        return (self.z @ weight.flatten(1)).view(len(self.z), *weight.shape[1:])

    def objective(
        self, weight: Float[Tensor, "q p c"], scores: Float[Tensor, "k p c"]
    ) -> tuple[Float[Tensor, " p"], Float[Tensor, "q p c"]]:
        short = (1 - self.side * scores).clamp_min(0)
        gradient = (self.z.T @ (-2 * self.side * short).flatten(1)).view_as(weight) / len(self.z)
        value = short.double().square().sum(2).mean(0) + self.penalties.double() / 2 * squares(weight).double()
        return value, gradient + self.penalties[:, None] * weight

    def curvature(self, share: Float[Tensor, " p"]) -> Float[Tensor, "q p 1"]:
        """A share of the features' second moments: of twice the rows that fall short."""
        return share[:, None] * self.values + self.penalties[:, None]

    def share(self, step: Float[Tensor, "q p c"], bend: Float[Tensor, "q p c"]) -> Float[Tensor, " p"]:
        met = (step * bend).sum((0, 2)) - self.penalties * squares(step)
        return (met / (step.square() * self.values).sum((0, 2)).clamp_min(1e-30)).clamp(1e-6, 2.0)

    def along(
        self,
        weight: Float[Tensor, "q p c"],
        direction: Float[Tensor, "q p c"],
        scores: Float[Tensor, "k p c"],
        change: Float[Tensor, "k p c"],
    ) -> Trial:
        drift, square = (weight * direction).sum((0, 2)) * self.penalties, squares(direction) * self.penalties

        def trial(t: Tensor, these: Tensor) -> tuple[Tensor, Tensor]:
            side, a = self.side[:, these], change[:, these]
            short = (1 - side * scores[:, these].addcmul(a, t[:, None])).clamp_min(0)
            first = (-2 * side * a * short).sum(2).mean(0) + drift[these] + t * square[these]
            return first, (2 * a.square() * (short > 0)).sum(2).mean(0) + square[these]

        return trial


def support_vectors(
    x: Float[Tensor, "n d"], labels: Int[Tensor, " n"], classes: int, strengths: Sequence[float]
) -> list[Linear]:
    """scikit-learn's LinearSVC, one for each strength C: |weight|^2/2 + C sum of the squared hinges, for each class.

    On the features as they are; the bias is penalised, as there. In float64. `penalty` is 1 / (n C).
    """
    x = x.double()
    given = basis(F.pad(x, (0, 1), value=1.0), centred=False)  # the bias is the weight of a feature that is 1
    penalties = [1 / (len(x) * strength) for strength in strengths]
    side = (2 * F.one_hot(labels, classes) - 1).to(x).repeat(1, len(penalties))[:, :, None]
    each = torch.tensor(penalties).to(x).repeat_interleave(classes)
    problems = Hinge(given.rotated, side, given.values[:, None, None], each)
    found = minimise(problems, x.new_zeros(len(given.values), len(each), 1), 1.0, END)
    weight = (given.axes @ found.squeeze(2)).view(-1, len(penalties), classes).transpose(0, 1)
    zero, one = torch.zeros_like(x[0]), torch.ones_like(x[0])
    return [Linear(zero, one, w[:-1], w[-1], penalty) for w, penalty in zip(weight, penalties, strict=True)]
