"""Losses that keep the dimensions of an embedding alive and apart: VICReg's, SIE's and Barlow Twins' terms."""

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.checks import check_same
from erlangen.losses.precision import exact


@exact
def vicreg(
    z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], eps: float = 1e-4
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """VICReg's invariance, variance and covariance (Bardes et al. 2022, arXiv:2105.04906, eqs. 5, 1 and 4).

    * invariance: mean over images and dimensions of (z1 - z2)^2, as in the authors' code (eq. 5 sums over dimensions);
    * variance: max(0, 1 - sqrt(variance + eps)), mean over the dimensions and the two views;
    * covariance: sum over i != j of Cov_ij^2 / d, sum of the two views.

    Variance and covariance divide by n - 1. For z1 = (1, 1), (-1, -1) and z2 = 0 they are 1, (0 + 0.99) / 2 and 4 + 0.
    `ValueError` for fewer than two images, for shapes that differ.
    """
    check_same(2, z1=z1, z2=z2)
    variance = (_hinge(z1, eps) + _hinge(z2, eps)) / 2
    return (z1 - z2).square().mean(), variance, _redundancy(z1) + _redundancy(z2)


@exact
def sie(
    inv1: Float[Tensor, "n a"],
    inv2: Float[Tensor, "n a"],
    eq1: Float[Tensor, "n b"],
    eq2: Float[Tensor, "n b"],
    predicted: Float[Tensor, "n b"],
    eps: float = 1e-4,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """SIE's invariance, equivariance, variance and covariance (Garrido et al. 2023, arXiv:2302.10283), as VICReg's.

    `predicted` is what the operator makes of eq1. With z = [inv; eq] of each view:

    * invariance: mean over images and dimensions of (inv1 - inv2)^2;
    * equivariance: that of (predicted - eq2)^2;
    * variance: half the sum, over z1, z2 and predicted, of the mean over dimensions of max(0, 1 - sqrt(var + eps));
    * covariance: that of `vicreg`, of z1 and z2: what the two parts have in common counts too.

    inv1 = eq1 = predicted = (1), (-1) and inv2 = eq2 = 0: 1, 1, (0 + 0.99 + 0) / 2 and 4 + 0. `ValueError` for fewer
    than two images, for shapes that differ.
    """
    check_same(2, inv1=inv1, inv2=inv2)
    check_same(2, eq1=eq1, eq2=eq2, predicted=predicted)
    if len(inv1) != len(eq1):
        raise ValueError(f"`inv1` is of {len(inv1)} images, `eq1` of {len(eq1)}: the parts of one batch must agree")
    z1, z2 = torch.cat([inv1, eq1], 1), torch.cat([inv2, eq2], 1)
    variance = (_hinge(z1, eps) + _hinge(z2, eps) + _hinge(predicted, eps)) / 2
    covariance = _redundancy(z1) + _redundancy(z2)
    return (inv1 - inv2).square().mean(), (predicted - eq2).square().mean(), variance, covariance


@exact
def barlow_twins(
    z1: Float[Tensor, "n d"], z2: Float[Tensor, "n d"], eps: float = 1e-5
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Barlow Twins' invariance and redundancy (Zbontar et al. 2021, arXiv:2103.03230, eqs. 1 and 2).

    C_ij is the mean over images of s(z1)_i s(z2)_j, s(z) = (z - mean) / sqrt(variance + eps), dividing by n;
    invariance is the sum of (1 - C_ii)^2, redundancy that of C_ij^2 over i != j. For z1 = z2 = (1, 1), (-1, -1) and
    eps = 0 every C_ij is 1, so they are 0 and 2. `ValueError` for fewer than two images, for shapes that differ.
    """
    check_same(2, z1=z1, z2=z2)
    s1, s2 = ((z - z.mean(0)) * (z.var(0, correction=0) + eps).rsqrt() for z in (z1, z2))
    c = s1.T @ s2 / len(z1)
    return (1 - c.diagonal()).square().sum(), _off_diagonal(c)


def _hinge(z: Tensor, eps: float) -> Tensor:
    """How far the deviations of the dimensions stay below 1, in the mean."""
    return (1 - ((z - z.mean(0)).square().sum(0) / (len(z) - 1) + eps).sqrt()).relu().mean()


def _redundancy(z: Tensor) -> Tensor:
    """The squared covariances of different dimensions, summed, over how many dimensions there are."""
    z = z - z.mean(0)
    return _off_diagonal(z.T @ z / (len(z) - 1)) / z.shape[1]


def _off_diagonal(c: Tensor) -> Tensor:
    """The sum of squares off the diagonal, which is left out, not subtracted: it may be far larger than the rest."""
    return c.square().masked_fill(torch.eye(len(c), dtype=torch.bool, device=c.device), 0).sum()
