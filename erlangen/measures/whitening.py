"""The scale on which representations are compared: their mean and covariance over a reference set."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

SINGULAR = 1e-12  # smallest to largest pivot of a covariance below which it cannot be inverted in float64


@dataclass(frozen=True)
class Whitening:
    """x -> (x - mean) @ axes, which has mean 0 and covariance 1 over the reference set.

    The distance of two whitened representations is their Mahalanobis distance.
    """

    mean: Float[Tensor, " d"]
    axes: Float[Tensor, "d d"]
    shrinkage: float  # share of the covariance that is a multiple of the identity
    images: int  # of the reference set

    def __call__(self, x: Float[Tensor, "*n d"]) -> Float[Tensor, "*n d"]:
        return (x.to(self.mean) - self.mean) @ self.axes


def whitening(x: Float[Tensor, "n d"], shrinkage: float | None = None, ridge: float = 0.0) -> Whitening:
    """Of these representations of reference images, in float64; the covariance has the divisor n - 1.

    (1 - shrinkage) covariance + shrinkage (mean variance) identity + ridge identity is inverted. Without `shrinkage`
    none where that can be, else Ledoit and Wolf's (2004), of least expected error. `ValueError` for fewer than 2
    images, for representations that are all the same, and for a `shrinkage` of 0 where the covariance is singular.
    """
    n, d = x.shape
    if shrinkage is not None and not 0 <= shrinkage <= 1:
        raise ValueError(f"`shrinkage` (={shrinkage}) is a share of the covariance: from 0 to 1")
    if ridge < 0:
        raise ValueError(f"`ridge` (={ridge}) is added to variances: at least 0")
    if n < 2:
        raise ValueError(f"a covariance needs 2 reference images at least, not {n}")
    mean = x.double().mean(0)
    centred = x.double() - mean
    covariance = centred.T @ centred / (n - 1)
    variance = covariance.diagonal().mean()
    if not float(variance) > 0:
        raise ValueError(
            f"all {n} reference images have the same representation: the encoder has collapsed, and there is no scale "
            "on which its representations differ"
        )
    given = shrinkage or 0.0
    factor = inverted(covariance, variance, given, ridge)
    if factor is None and shrinkage is None:
        given = ledoit_wolf(centred)
        factor = inverted(covariance, variance, given, ridge)
    if factor is None:
        raise ValueError(
            f"the covariance of {d} dimensions over {n} reference images is singular: `shrinkage` (={given:g}) must be "
            "larger, or take more images"
        )
    return Whitening(mean, factor, given, n)


def inverted(
    covariance: Float[Tensor, "d d"], variance: Float[Tensor, ""], shrinkage: float, ridge: float
) -> Float[Tensor, "d d"] | None:
    """C with C C^T the inverse of the shrunk covariance; None if that is singular."""
    eye = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    shrunk = (1 - shrinkage) * covariance + (shrinkage * variance + ridge) * eye
    factor, failed = torch.linalg.cholesky_ex(shrunk)
    pivots = factor.diagonal().square()
    if int(failed) or not float(pivots.min()) > SINGULAR * float(pivots.max()):
        return None
    inverse: Tensor = torch.linalg.solve_triangular(factor, eye, upper=False).T
    return inverse


def ledoit_wolf(centred: Float[Tensor, "n d"]) -> float:
    """The shrinkage of least expected squared error (Ledoit & Wolf 2004, J. Multivariate Analysis 88)."""
    n, d = centred.shape
    covariance = centred.T @ centred / n
    squares = centred.square().sum(1)
    size = covariance.square().sum()
    distance = size - covariance.diagonal().mean().square() * d  # squared, to the nearest multiple of the identity
    error = (squares.square().mean() - size) / n  # squared, expected of the covariance itself
    return float((error / distance.clamp_min(1e-300)).clamp(0, 1))
