"""Kernel ridge regression with the Gaussian kernel, for many penalties and widths at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.solvers.linear import standardisation


@dataclass(frozen=True)
class Kernel:
    """x -> the Gaussians exp(-gamma |x - bank|^2) of standardised features, weighted: found with `penalty`."""

    mean: Float[Tensor, " d"]
    std: Float[Tensor, " d"]
    bank: Float[Tensor, "n d"]  # standardised
    weight: Float[Tensor, "n e"]
    gamma: float
    penalty: float

    def __call__(self, x: Float[Tensor, "m d"]) -> Float[Tensor, "m e"]:
        return gaussian((x.to(self.mean) - self.mean) / self.std, self.bank, self.gamma) @ self.weight


def gaussian(a: Float[Tensor, "m d"], b: Float[Tensor, "n d"], gamma: float) -> Float[Tensor, "m n"]:
    """exp(-gamma |a - b|^2) for every pair of rows."""
    squares = a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.T
    return squares.clamp_min_(0).mul_(-gamma).exp_()


def kernel_ridge(
    x: Float[Tensor, "n d"], y: Float[Tensor, "n e"], penalties: Sequence[float], gammas: Sequence[float]
) -> list[list[Kernel]]:
    """For each penalty, and each gamma: sum of squared errors + penalty |f|^2, in float64, without an intercept.

    On standardised features; the targets are left as they are. scikit-learn's alpha is the penalty. One Cholesky
    decomposition of n x n numbers each. `ValueError` for a penalty that is not above 0, or too small for float64.
    """
    if not min(penalties) > 0 or not min(gammas) > 0:
        raise ValueError(f"`penalties` (={tuple(penalties)}) and `gammas` (={tuple(gammas)}) must be above 0")
    x, y = x.double(), y.double()
    mean, std = standardisation(x)
    bank = (x - mean) / std
    rows: list[list[Kernel]] = [[] for _ in penalties]
    for gamma in gammas:
        kernel = gaussian(bank, bank, gamma)
        for row, penalty in zip(rows, penalties, strict=True):
            factor, failed = torch.linalg.cholesky_ex(kernel + penalty * torch.eye(len(x)).to(kernel))
            if int(failed):
                raise ValueError(
                    f"a penalty of {penalty} is too small for the kernel of `gammas` {gamma}: take a larger"
                )
            row.append(Kernel(mean, std, bank, torch.cholesky_solve(y, factor), gamma, penalty))
    return rows
