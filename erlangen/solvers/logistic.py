"""Multinomial logistic regression for many penalties at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from erlangen.solvers.lbfgs import END, Trial, Until, minimise, squares


@dataclass(frozen=True)
class Basis:
    """Features as rotated = (x - mean) @ axes, whose second moments are diagonal: `values`."""

    mean: Float[Tensor, " d"]
    axes: Float[Tensor, "d r"]
    values: Float[Tensor, " r"]
    rotated: Float[Tensor, "n r"]


def basis(x: Float[Tensor, "n d"], centred: bool = True) -> Basis:
    """Of these features, without the directions in which there is nothing: no optimum has a weight there."""
    mean = x.double().mean(0).to(x) if centred else torch.zeros_like(x[0])
    x = x - mean
    values, axes = torch.linalg.eigh((x.T @ x).double() / len(x))
    kept = values > values[-1:].clamp_min(1e-300) * (1e-13 if x.dtype == torch.float64 else 1e-9)
    axes, values = axes[:, kept].to(x), values[kept].to(x)
    return Basis(mean, axes, values, x @ axes)


@dataclass(frozen=True)
class Logistic:
    """Weighted mean of cross-entropies + penalty/2 |weight|^2, for p pairs of a penalty and weights of the rows.

    The last row of a weight is the bias.
    """

    z: Float[Tensor, "k r"]
    target: Float[Tensor, "k 1 c"]  # one-hot
    values: Float[Tensor, "r 1 1"]
    penalties: Float[Tensor, " p"]
    rows: Float[Tensor, "k p"]  # how much each row counts; the sum over rows is 1

    def part(self, rows: Int[Tensor, " m"]) -> "Logistic":
        return Logistic(self.z, self.target, self.values, self.penalties[rows], self.rows[:, rows])

    def scores(self, weight: Float[Tensor, "q p c"]) -> Float[Tensor, "k p c"]:
        product = torch.addmm(weight[-1].flatten(), self.z, weight[:-1].flatten(1))
        return product.view(len(self.z), *weight.shape[1:])

    def objective(
        self, weight: Float[Tensor, "q p c"], scores: Float[Tensor, "k p c"]
    ) -> tuple[Float[Tensor, " p"], Float[Tensor, "q p c"]]:
        largest = scores.amax(2, keepdim=True)
        p = (scores - largest).exp_()
        total = p.sum(2, keepdim=True)
        loss = (total.log() + largest).squeeze(2) - (scores * self.target).sum(2)
        residual = p.div_(total).sub_(self.target).mul_(self.rows[:, :, None]).flatten(1)
        gradient = torch.cat([self.z.T @ residual, residual.sum(0, keepdim=True)]).view_as(weight)
        gradient[:-1] += self.penalties[:, None] * weight[:-1]
        value = (loss.double() * self.rows).sum(0) + self.penalties.double() / 2 * squares(weight[:-1]).double()
        return value, gradient

    def curvature(self, share: Float[Tensor, " p"]) -> Float[Tensor, "q p 1"]:
        """A share of the features' variances, of which 1/2 is the bound (Boehning 1992)."""
        weights = share[:, None] * self.values + self.penalties[:, None]
        return torch.cat([weights, share[None, :, None]])

    def share(self, step: Float[Tensor, "q p c"], bend: Float[Tensor, "q p c"]) -> Float[Tensor, " p"]:
        met = (step * bend).sum((0, 2)) - self.penalties * squares(step[:-1])
        most = (step[:-1].square() * self.values).sum((0, 2)) + squares(step[-1:])
        return (met / most.clamp_min(1e-30)).clamp(1e-6, 0.5)

    def along(
        self,
        weight: Float[Tensor, "q p c"],
        direction: Float[Tensor, "q p c"],
        scores: Float[Tensor, "k p c"],
        change: Float[Tensor, "k p c"],
    ) -> Trial:
        drift = ((self.target * change).sum(2) * self.rows).sum(0)
        drift -= (weight[:-1] * direction[:-1]).sum((0, 2)) * self.penalties
        square = squares(direction[:-1]) * self.penalties

        def trial(t: Tensor, these: Tensor) -> tuple[Tensor, Tensor]:
            a, here, rows = change, scores, self.rows
            if len(these) < len(drift):
                a, here, rows = a[:, these], here[:, these], rows[:, these]
            p = here.addcmul(a, t[:, None])
            p = p.sub_(p.amax(2, keepdim=True)).exp_()  # softmax is slow for few classes
            total, weighted = p.sum(2), p.mul(a)
            mean = weighted.sum(2).div_(total)
            first = (mean * rows).sum(0) - drift[these] + t * square[these]
            spread = weighted.mul_(a).sum(2).div_(total).sub_(mean.square())
            return first, spread.mul_(rows).sum(0) + square[these]

        return trial


def solve(
    given: Basis,
    rows: Int[Tensor, " k"],
    labels: Int[Tensor, " k"],
    classes: int,
    penalties: Sequence[float],
    until: Until = END,
) -> tuple[Float[Tensor, "r p c"], Float[Tensor, "p c"]]:
    """Weights on the rotated features and biases of the p problems, fitted to these rows of them."""
    z = given.rotated[rows]
    alike = z.new_full((1, 1), 1 / len(z)).expand(len(z), len(penalties))
    return _solved(given, z, labels, classes, torch.tensor(tuple(penalties)).to(z), alike, until)


def solve_subsets(
    given: Basis,
    subsets: Bool[Tensor, "n f"],
    labels: Int[Tensor, " n"],
    classes: int,
    decays: Sequence[float],
    until: Until = END,
) -> tuple[Float[Tensor, "r f p c"], Float[Tensor, "f p c"]]:
    """The same for each of f subsets of the rows and each decay of the SUM of its losses, all of them together.

    Rows outside a subset are computed and do not count: for a GPU, where few large operations are what is fast.
    """
    z, f = given.rotated, subsets.shape[1]
    counts = subsets.sum(0)
    penalties = (torch.tensor(tuple(decays), device=z.device) / counts[:, None]).flatten().to(z)
    rows = (subsets / counts).to(z).repeat_interleave(len(decays), 1)
    weight, bias = _solved(given, z, labels, classes, penalties, rows, until)
    return weight.reshape(len(weight), f, -1, classes), bias.view(f, -1, classes)


def _solved(
    given: Basis,
    z: Float[Tensor, "k r"],
    labels: Int[Tensor, " k"],
    classes: int,
    penalties: Float[Tensor, " p"],
    rows: Float[Tensor, "k p"],
    until: Until,
) -> tuple[Float[Tensor, "r p c"], Float[Tensor, "p c"]]:
    target = F.one_hot(labels, classes)[:, None].to(z)
    problems = Logistic(z, target, given.values[:, None, None], penalties, rows)
    found = minimise(problems, z.new_zeros(z.shape[1] + 1, len(penalties), classes), 0.5, until)
    return found[:-1], found[-1]
