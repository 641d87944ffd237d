"""Second moments of moved representations: what LiDAR and the decodability of a parameter need, and no more.

They add up over the points of a grid, so that no moved representation is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.measures.spectrum import lidar_of
from erlangen.solvers import PENALTIES

WIDEST = 1024  # components of a wider representation that are looked at
FEWEST = 20  # images of which a part can be left to choose by, and a part to test on
WEAK = (*PENALTIES, 10.0, 100.0, 1000.0)  # the largest leave only the mean, where there is nothing to learn


def parts(n: int) -> Int[Tensor, " n"]:
    """Of n images those that a regression is fitted to (0), chosen by (1), tested on (2): half, a fifth, the rest."""
    return torch.tensor((0, 2, 0, 1, 0, 2, 0, 1, 0, 2)).repeat(-(-n // 10))[:n]


@dataclass
class Moments:
    """Sums over the points so far of v v^T, v = (x, target, 1), by part of the images; and of x by image."""

    sums: Float[Tensor, "3 m m"]
    total: Float[Tensor, "n d"]
    points: int = 0
    weight: float = 0.0  # of all points

    @classmethod
    def none(cls, n: int, d: int, targets: int, like: Tensor) -> "Moments":
        m = d + targets + 1
        return cls(like.new_zeros(3, m, m, dtype=torch.float64), like.new_zeros(n, d, dtype=torch.float64))

    def add(self, x: Float[Tensor, "n d"], target: Float[Tensor, " e"], weight: float = 1.0) -> None:
        """One more point of the grid: all images moved there. It counts as `weight` points."""
        n = len(x)
        v = torch.cat([x.double(), target.to(self.sums).expand(n, -1), x.new_ones(n, 1, dtype=torch.float64)], 1)
        of = parts(n).to(v.device)
        for part in range(3):
            rows = v[of == part]
            self.sums[part] += weight * rows.T @ rows
        self.total += weight * x.double()
        self.weight += weight
        self.points += 1

    def lidar(self) -> float:
        """LiDAR whose views are the points of the grid (`spectrum.lidar`)."""
        n, d = self.total.shape
        means = self.total / self.weight
        within = self.sums.sum(0)[:d, :d] - self.weight * means.T @ means
        return float(lidar_of(within / (n * (self.weight - 1)), means))

    def decodability(self) -> float | None:
        """R2 of a ridge regression from x to the target, mean over outputs that vary, on images it has not seen.

        Its penalty is chosen by other images still; None where there are fewer than 20, or no output varies.
        """
        n, d = self.total.shape
        fit, choose, test = self.sums
        spread = variance(test)[d:-1]
        told = spread > 1e-12 * spread.max().clamp_min(1e-300)
        if n < FEWEST or not bool(told.any()):
            return None
        chosen = min(WEAK, key=lambda penalty: float(errors(choose, ridge(fit, d, penalty))[told].mean()))
        left = errors(test, ridge(fit + choose, d, chosen))
        return float((1 - left / spread)[told].mean())

    def state(self) -> Mapping[str, Tensor]:
        counted = torch.tensor([self.points, self.weight], dtype=torch.float64)
        return {"moments.sums": self.sums, "moments.total": self.total, "moments.points": counted}

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> "Moments":
        """Those whose `state` this is."""
        points, weight = state["moments.points"].tolist()
        return cls(state["moments.sums"], state["moments.total"], int(points), weight)


def variance(sums: Float[Tensor, "m m"]) -> Float[Tensor, " m"]:
    mean = sums[-1] / sums[-1, -1]
    return sums.diagonal() / sums[-1, -1] - mean.square()


def ridge(sums: Float[Tensor, "m m"], d: int, penalty: float) -> Float[Tensor, "m e"]:
    """What maps v to target - guess, by `solvers.ridge` of the rows whose sums these are."""
    count, mean = sums[-1, -1], sums[-1] / sums[-1, -1]
    covariance = sums / count - mean[:, None] * mean
    std = covariance.diagonal()[:d].clamp_min(0).sqrt()
    scale = torch.where(std > 1e-6 * std.max().clamp_min(1e-300), std, torch.inf)  # what does not vary tells nothing
    x = covariance[:d, :d] / scale[:, None] / scale
    x.diagonal().add_(penalty)
    weight = torch.linalg.solve(x, covariance[:d, d:-1] / scale[:, None]) / scale[:, None]
    targets = weight.shape[1]
    bias = mean[d:-1] - mean[:d] @ weight
    return torch.cat([-weight, torch.eye(targets).to(weight), -bias[None]])


def errors(sums: Float[Tensor, "m m"], residual: Float[Tensor, "m e"]) -> Float[Tensor, " e"]:
    """Mean squares of what a regression leaves, by output, of the rows whose sums these are."""
    return (residual * (sums @ residual)).sum(0) / sums[-1, -1]
