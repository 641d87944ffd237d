"""VICReg's and Barlow Twins' terms against independent slow loops in float64."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from erlangen.losses import barlow_twins, vicreg

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SIZES = {"n": st.integers(2, 6), "d": st.integers(1, 5), "spread": st.floats(0.01, 3), "seed": st.integers(0, 2**32)}


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def covariance(a: np.ndarray, b: np.ndarray, divisor: int) -> float:
    """Of two dimensions, image by image."""
    return sum((x - sum(a) / len(a)) * (y - sum(b) / len(b)) for x, y in zip(a, b, strict=True)) / divisor


def vicreg_loop(z1: np.ndarray, z2: np.ndarray) -> list[float]:
    """Dimension by dimension, as the paper writes it, with the divisors of the authors' code."""
    n, d = z1.shape
    hinge = off = 0.0
    for z in (z1, z2):
        for i in range(d):
            hinge += max(0.0, 1 - math.sqrt(covariance(z[:, i], z[:, i], n - 1) + 1e-4)) / d / 2
            off += sum(covariance(z[:, i], z[:, j], n - 1) ** 2 for j in range(d) if j != i) / d
    return [sum((a - b) ** 2 for a, b in zip(z1.flat, z2.flat, strict=True)) / (n * d), hinge, off]


def barlow_loop(z1: np.ndarray, z2: np.ndarray) -> list[float]:
    """Pair of dimensions by pair of dimensions."""
    n, d = z1.shape
    on = off = 0.0
    for i in range(d):
        for j in range(d):
            scale = [math.sqrt(covariance(a, a, n) + 1e-5) for a in (z1[:, i], z2[:, j])]
            c = covariance(z1[:, i], z2[:, j], n) / scale[0] / scale[1]
            on, off = (on + (1 - c) ** 2, off) if i == j else (on, off + c * c)
    return [on, off]


@FEW
@given(**SIZES)
def test_vicreg_is_the_loop(n, d, spread, seed):
    """All three terms, with hinges that are active and hinges that are not."""
    z1, z2 = spread * normal(n, d, seed=seed), normal(n, d, seed=seed + 1)
    assert [x.item() for x in vicreg(z1, z2)] == pytest.approx(vicreg_loop(z1.numpy(), z2.numpy()))


@FEW
@given(**SIZES)
def test_barlow_twins_is_the_loop(n, d, spread, seed):
    """Both terms."""
    z1, z2 = spread * normal(n, d, seed=seed), normal(n, d, seed=seed + 1)
    assert [x.item() for x in barlow_twins(z1, z2)] == pytest.approx(barlow_loop(z1.numpy(), z2.numpy()))


def test_by_hand():
    """The documented numbers."""
    z = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])
    assert [x.item() for x in vicreg(z, torch.zeros(2, 2))] == pytest.approx([1, 0.495, 4])
    assert [x.item() for x in barlow_twins(z, z, eps=0.0)] == pytest.approx([0, 2])


def test_barlow_twins_normalises_as_torchs_batchnorm():
    """The correlation of what BatchNorm without affine parameters gives in training."""
    z1, z2 = normal(8, 5), normal(8, 5, seed=1)
    norm = nn.BatchNorm1d(5, affine=False).double()
    c = norm(z1).T @ norm(z2) / 8
    expected = [(1 - c.diagonal()).square().sum(), c.square().sum() - c.diagonal().square().sum()]
    assert [x.item() for x in barlow_twins(z1, z2)] == pytest.approx([x.item() for x in expected])


@pytest.mark.parametrize("loss", [vicreg, barlow_twins])
def test_gradients_are_finite_differences(loss):
    """Of every term, with respect to both views."""
    z1, z2 = normal(4, 3).requires_grad_(), (0.5 * normal(4, 3, seed=1)).requires_grad_()
    assert torch.autograd.gradcheck(loss, (z1, z2))


@pytest.mark.parametrize("loss", [vicreg, barlow_twins])
def test_a_constant_dimension_has_a_finite_gradient(loss):
    """Where embeddings have collapsed completely."""
    z1, z2 = torch.ones(4, 3, requires_grad=True), torch.zeros(4, 3, requires_grad=True)
    sum(loss(z1, z2)).backward()
    assert z1.grad.isfinite().all() and z2.grad.isfinite().all()


@pytest.mark.parametrize("loss", [vicreg, barlow_twins])
def test_small_correlations_survive_float32(loss):
    """What is off the diagonal is not what is left of a difference: 1e-4 in float32 as in float64."""
    z = normal(512, 64)
    z = torch.linalg.qr(z - z.mean(0))[0] * 512**0.5  # uncorrelated, of variance 1
    z[:, 1] += 1e-3 * z[:, 0]
    assert loss(z.float(), z.float())[-1].item() == pytest.approx(loss(z, z)[-1].item(), rel=1e-3)


@pytest.mark.parametrize("loss", [vicreg, barlow_twins])
def test_impossible_batches_are_refused(loss):
    """One image has no variance; what is not finite is named."""
    for n in (0, 1):
        with pytest.raises(ValueError, match=f"the batch has {n}, the least is 2"):
            loss(normal(n, 3), normal(n, 3))
    for which in (0, 1):
        given = [normal(2, 3), normal(2, 3)]
        given[which][0, 0] = float("inf")
        with pytest.raises(ValueError, match=f"`z{which + 1}` of {loss.__name__} .* not finite"):
            loss(*given)
