"""Multinomial logistic regression for many penalties at once.

All problems of a sweep share the features, so that one iteration of all is two products of matrices. L-BFGS in the
eigenbasis of the features' covariance, where the curvature of the data is nearly a diagonal of known shape; the
logits of a direction are known, so that a line search costs no product.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

HISTORY = 10  # pairs that L-BFGS remembers
TRIALS = 8  # step lengths at most that a line search tries


@dataclass(frozen=True)
class Basis:
    """Features as rotated = (x - mean) @ axes, whose covariance is diagonal; `values` are their variances."""

    mean: Float[Tensor, " d"]
    axes: Float[Tensor, "d r"]
    values: Float[Tensor, " r"]
    rotated: Float[Tensor, "n r"]


def basis(x: Float[Tensor, "n d"]) -> Basis:
    """Of these features, without the directions in which they do not vary: no optimum has a weight there."""
    mean = x.double().mean(0).to(x)
    x = x - mean
    values, axes = torch.linalg.eigh((x.T @ x).double() / len(x))
    kept = values > values[-1:].clamp_min(1e-300) * (1e-13 if x.dtype == torch.float64 else 1e-9)
    axes, values = axes[:, kept].to(x), values[kept].to(x)
    return Basis(mean, axes, values, x @ axes)


@dataclass(frozen=True)
class Problems:
    """p problems on the same rows: mean cross-entropy + penalty/2 |weight|^2. The last row of a weight is the bias."""

    z: Float[Tensor, "k r"]
    target: Float[Tensor, "k 1 c"]  # one-hot
    values: Float[Tensor, "r 1 1"]
    penalties: Float[Tensor, " p"]

    def part(self, kept: Bool[Tensor, " p"]) -> "Problems":
        return Problems(self.z, self.target, self.values, self.penalties[kept])

    def logits(self, weight: Float[Tensor, "q p c"]) -> Float[Tensor, "k p c"]:
        product = torch.addmm(weight[-1].flatten(), self.z, weight[:-1].flatten(1))
        return product.view(len(self.z), *weight.shape[1:])

    def objective(
        self, weight: Float[Tensor, "q p c"], logits: Float[Tensor, "k p c"]
    ) -> tuple[Float[Tensor, " p"], Float[Tensor, "q p c"]]:
        """Its values, and its gradients."""
        largest = logits.amax(2, keepdim=True)
        p = (logits - largest).exp_()
        total = p.sum(2, keepdim=True)
        loss = (total.log() + largest).squeeze(2) - (logits * self.target).sum(2)
        residual = p.div_(total).sub_(self.target).flatten(1)
        data = torch.cat([self.z.T @ residual, residual.sum(0, keepdim=True)]).view_as(weight) / len(self.z)
        data[:-1] += self.penalties[:, None] * weight[:-1]
        return loss.double().mean(0) + self.penalties.double() / 2 * _squares(weight[:-1]).double(), data

    def curvature(self, share: Float[Tensor, " p"]) -> Float[Tensor, "q p 1"]:
        """A diagonal like the Hessian's: a share of the features' variances (1/2 is its bound: Boehning 1992)."""
        weights = share[:, None] * self.values + self.penalties[:, None]
        return torch.cat([weights, share[None, :, None]])

    def share(self, step: Float[Tensor, "q p c"], bend: Float[Tensor, "q p c"]) -> Float[Tensor, " p"]:
        """That share, as the last step met it."""
        met = (step * bend).sum((0, 2)) - self.penalties * _squares(step[:-1])
        expected = (step[:-1].square() * self.values).sum((0, 2)) + _squares(step[-1:])
        return (met / expected.clamp_min(1e-30)).clamp(1e-6, 0.5)

    def line_search(
        self,
        weight: Float[Tensor, "q p c"],
        direction: Float[Tensor, "q p c"],
        logits: Float[Tensor, "k p c"],
        along: Float[Tensor, "k p c"],
        slope: Float[Tensor, " p"],
    ) -> Float[Tensor, " p"]:
        """How far to go: where it is half as steep at most, and hardly uphill; by Newton's method between brackets."""
        inner = (weight[:-1] * direction[:-1]).sum((0, 2)) * self.penalties
        square = _squares(direction[:-1]) * self.penalties
        drift = (self.target * along).sum(2).mean(0)
        step, low, high = torch.ones_like(slope), torch.zeros_like(slope), torch.full_like(slope, math.inf)
        todo = torch.arange(len(slope), device=slope.device)
        for _ in range(TRIALS):
            t, a = step[todo], along[:, todo]
            p = torch.softmax(logits[:, todo].addcmul(a, t[:, None]), 2)
            mean = (p * a).sum(2)
            first = mean.mean(0) - drift[todo] + inner[todo] + t * square[todo]
            second = ((p * a.square()).sum(2) - mean.square()).mean(0) + square[todo]
            far = first > 0
            high[todo] = torch.where(far, t, high[todo])
            low[todo] = torch.where(far, low[todo], t)
            newton = t - first / second.clamp_min(1e-30)
            between = torch.where(high[todo].isinf(), 4 * t, (low[todo] + high[todo]) / 2)
            inside = (newton > low[todo]) & (newton < torch.minimum(high[todo], 10 * t))
            open_ = (first < 0.5 * slope[todo]) | (first > -0.05 * slope[todo])
            step[todo] = torch.where(open_, torch.where(inside, newton, between), t)
            todo = todo[open_]
            if not len(todo):
                break
        step[todo] = low[todo]  # of those that were tried the furthest that is downhill all the way
        return step


@dataclass(frozen=True)
class State:
    """Of the problems that are not solved yet: which they are, where they stand, and what L-BFGS remembers."""

    problems: Problems
    left: Int[Tensor, " p"]
    weight: Float[Tensor, "q p c"]
    logits: Float[Tensor, "k p c"]
    value: Float[Tensor, " p"]
    gradient: Float[Tensor, "q p c"]
    share: Float[Tensor, " p"]
    memory: tuple[tuple[Tensor, Tensor], ...] = ()

    def part(self, kept: Bool[Tensor, " p"]) -> "State":
        return State(
            self.problems.part(kept),
            self.left[kept],
            self.weight[:, kept],
            self.logits[:, kept],
            self.value[kept],
            self.gradient[:, kept],
            self.share[kept],
            tuple((s[:, kept], y[:, kept]) for s, y in self.memory),
        )

    def direction(self, curvature: Float[Tensor, "q p 1"]) -> Float[Tensor, "q p c"]:
        """Downhill, by L-BFGS with this diagonal (Nocedal and Wright 2006, algorithm 7.4)."""
        q, factors = self.gradient, []
        for s, y in reversed(self.memory):
            bend = (s * y).sum((0, 2))
            rho = torch.where(bend > 0, 1 / bend.clamp_min(1e-38), 0)
            factor = rho * (s * q).sum((0, 2))
            q = q.addcmul(y, factor[:, None], value=-1)
            factors.append((rho, factor))
        q = q / curvature
        for (s, y), (rho, factor) in zip(self.memory, reversed(factors), strict=True):
            q = q.addcmul(s, (factor - rho * (y * q).sum((0, 2)))[:, None])
        return -q


def solve(
    given: Basis,
    rows: Int[Tensor, " k"],
    labels: Int[Tensor, " k"],
    classes: int,
    penalties: Sequence[float],
    iterations: int = 1000,
    tolerance: float = 1e-14,
) -> tuple[Float[Tensor, "r p c"], Float[Tensor, "p c"]]:
    """Weights on the rotated features and biases of the p problems, fitted to these rows of them.

    A problem is solved when a Newton step with the diagonal curvature would lower its objective by less than
    `tolerance` of it, or when rounding leaves nothing to gain; `iterations` is the limit for all.
    """
    z = given.rotated[rows]
    target = torch.nn.functional.one_hot(labels, classes)[:, None].to(z)
    problems = Problems(z, target, given.values[:, None, None], torch.tensor(tuple(penalties)).to(z))
    count = len(penalties)
    weight = torch.zeros(z.shape[1] + 1, count, classes).to(z)
    logits, found = problems.logits(weight), weight.clone()
    left, share = torch.arange(count, device=z.device), torch.full((count,), 0.5).to(z)
    state = State(problems, left, weight, logits, *problems.objective(weight, logits), share)
    for _ in range(iterations):
        curvature = state.problems.curvature(state.share)
        going = (state.gradient.square() / curvature).sum((0, 2)) / 2 > tolerance * state.value
        if not bool(going.any()):
            break
        state = step(state.part(going), curvature[:, going])
        found[:, state.left] = state.weight
    return found[:-1], found[-1]


def step(state: State, curvature: Float[Tensor, "q p 1"]) -> State:
    """One iteration; problems whose objective it does not lower, because of rounding, are left out."""
    problems, direction = state.problems, state.direction(curvature)
    slope = (direction * state.gradient).sum((0, 2))
    along = problems.logits(direction)
    length = problems.line_search(state.weight, direction, state.logits, along, slope)
    change = direction * length[:, None]
    weight, logits = state.weight + change, state.logits.addcmul(along, length[:, None])
    value, gradient = problems.objective(weight, logits)
    bend = gradient - state.gradient
    share, memory = problems.share(change, bend), (*state.memory[1 - HISTORY :], (change, bend))
    return State(problems, state.left, weight, logits, value, gradient, share, memory).part(value < state.value)


def _squares(x: Float[Tensor, "q p c"]) -> Float[Tensor, " p"]:
    return x.square().sum((0, 2))
