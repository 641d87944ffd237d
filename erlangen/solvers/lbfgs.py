"""L-BFGS for many problems at once that share their features: the unknowns are (q, p, c), with p problems.

It works in the eigenbasis of the features, where the curvature of the data is nearly a diagonal of known shape, and
knows the scores of a direction, so that a line search costs no product of matrices.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

HISTORY = 10  # pairs of steps and bends that are remembered
TRIALS = 8  # lengths of a step that are tried at most
# Lengths of these problems -> the slope and the curvature there, along the step.
Trial = Callable[[Float[Tensor, " t"], Int[Tensor, " t"]], tuple[Float[Tensor, " t"], Float[Tensor, " t"]]]


@runtime_checkable
class Problems(Protocol):
    """p convex problems: a mean loss of linear scores (k rows, p, c), and a penalty."""

    def part(self, rows: Int[Tensor, " m"]) -> "Problems":
        """These of the p alone."""
        ...

    def scores(self, weight: Float[Tensor, "q p c"]) -> Float[Tensor, "k p c"]: ...
    def objective(
        self, weight: Float[Tensor, "q p c"], scores: Float[Tensor, "k p c"]
    ) -> tuple[Float[Tensor, " p"], Float[Tensor, "q p c"]]:
        """Values, and gradients."""
        ...

    def curvature(self, share: Float[Tensor, " p"]) -> Float[Tensor, "q p 1"]:
        """A diagonal like the Hessian's, if the data have this share of the curvature that they can have."""
        ...

    def share(self, step: Float[Tensor, "q p c"], bend: Float[Tensor, "q p c"]) -> Float[Tensor, " p"]:
        """That share, as a step met it that changed the gradient by `bend`."""
        ...

    def along(
        self,
        weight: Float[Tensor, "q p c"],
        direction: Float[Tensor, "q p c"],
        scores: Float[Tensor, "k p c"],
        change: Float[Tensor, "k p c"],
    ) -> Trial:
        """The problems on the lines weight + t direction, whose scores are scores + t change."""
        ...


@dataclass(frozen=True)
class Until:
    """When a problem is solved, besides when rounding leaves nothing to gain.

    When a Newton step with the diagonal curvature would lower its objective by less than `tolerance` of it, or when its
    gradient is shorter than `flat`; `iterations` is the limit for all.
    """

    iterations: int = 1000
    tolerance: float = 1e-14
    flat: float = 0.0


END = Until()


@dataclass(frozen=True)
class State:
    """Of the problems that are not solved yet: which they are, where they stand, and what is remembered of each."""

    problems: Problems
    left: Int[Tensor, " p"]
    weight: Float[Tensor, "q p c"]
    scores: Float[Tensor, "k p c"]
    value: Float[Tensor, " p"]
    gradient: Float[Tensor, "q p c"]
    share: Float[Tensor, " p"]
    memory: tuple[tuple[Tensor, Tensor, Tensor], ...] = ()  # steps, bends, and 1 / their products

    def part(self, kept: Bool[Tensor, " p"]) -> "State":
        rows = kept.nonzero().flatten()  # once, for a GPU is waited for
        if len(rows) == len(kept):
            return self
        return State(
            self.problems.part(rows),
            self.left[rows],
            self.weight[:, rows],
            self.scores[:, rows],
            self.value[rows],
            self.gradient[:, rows],
            self.share[rows],
            tuple((s[:, rows], y[:, rows], rho[rows]) for s, y, rho in self.memory),
        )

    def direction(self, curvature: Float[Tensor, "q p 1"]) -> Float[Tensor, "q p c"]:
        """Downhill (Nocedal and Wright 2006, algorithm 7.4, begun with this diagonal)."""
        q, factors = self.gradient, []
        for s, y, rho in reversed(self.memory):
            factor = rho * (s * q).sum((0, 2))
            q = q.addcmul(y, factor[:, None], value=-1)
            factors.append(factor)
        q = q / curvature
        for (s, y, rho), factor in zip(self.memory, reversed(factors), strict=True):
            q = q.addcmul(s, (factor - rho * (y * q).sum((0, 2)))[:, None])
        return -q


def minimise(problems: Problems, start: Float[Tensor, "q p c"], share: float, until: Until) -> Float[Tensor, "q p c"]:
    """The unknowns of all problems, from the same start."""
    found, scores = start.clone(), problems.scores(start)
    left, shares = torch.arange(start.shape[1], device=start.device), start.new_full(start.shape[1:2], share)
    state = State(problems, left, start, scores, *problems.objective(start, scores), shares)
    for _ in range(until.iterations):
        curvature = state.problems.curvature(state.share)
        going = (state.gradient.square() / curvature).sum((0, 2)) / 2 > until.tolerance * state.value
        going &= squares(state.gradient) > until.flat**2
        if not bool(going.any()):
            break
        state = step(state.part(going), curvature[:, going])
        found[:, state.left] = state.weight
    return found


def step(state: State, curvature: Float[Tensor, "q p 1"]) -> State:
    """One iteration; problems whose objective it does not lower, because of rounding, are left out."""
    problems, direction = state.problems, state.direction(curvature)
    change = problems.scores(direction)
    slope = (direction * state.gradient).sum((0, 2))
    length = lengths(slope, problems.along(state.weight, direction, state.scores, change))
    moved = direction * length[:, None]
    weight, scores = state.weight + moved, state.scores.addcmul(change, length[:, None])
    value, gradient = problems.objective(weight, scores)
    bend = gradient - state.gradient
    product = (moved * bend).sum((0, 2))
    pair = moved, bend, torch.where(product > 0, 1 / product.clamp_min(1e-38), 0)
    share, memory = problems.share(moved, bend), (*state.memory[1 - HISTORY :], pair)
    return State(problems, state.left, weight, scores, value, gradient, share, memory).part(value < state.value)


def lengths(slope: Float[Tensor, " p"], trial: Trial) -> Float[Tensor, " p"]:
    """How far to go: until it is a little less steep, or a little uphill; by Newton's method between brackets."""
    length, low, high = torch.ones_like(slope), torch.zeros_like(slope), torch.full_like(slope, math.inf)
    todo = torch.arange(len(slope), device=slope.device)
    for _ in range(TRIALS):
        t = length[todo]
        first, second = trial(t, todo)
        far = first > 0
        high[todo] = torch.where(far, t, high[todo])
        low[todo] = torch.where(far, low[todo], t)
        newton = t - first / second.clamp_min(1e-30)
        between = torch.where(high[todo].isinf(), 4 * t, (low[todo] + high[todo]) / 2)
        inside = (newton > low[todo]) & (newton < torch.minimum(high[todo], 10 * t))
        going = (first < 0.9 * slope[todo]) | (first > -0.3 * slope[todo])
        length[todo] = torch.where(going, torch.where(inside, newton, between), t)
        todo = todo[going]
        if not len(todo):
            break
    length[todo] = low[todo]  # of those that were tried the furthest that is downhill all the way
    return length


def squares(x: Float[Tensor, "q p c"]) -> Float[Tensor, " p"]:
    """The sum for each problem."""
    return x.square().sum((0, 2))
