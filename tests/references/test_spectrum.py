"""Measures of collapse against loops, numpy, and spectra that are known."""

import math

import numpy as np
import pytest
import torch

from erlangen.measures.spectrum import (
    alignment,
    decay,
    health,
    lidar,
    participation,
    rankme,
    spectrum,
    stable_rank,
    uniformity,
)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_known_values():
    """Normal rows of 4096 images in 128 dimensions: what such numbers are known to be."""
    z = normal(4096, 128)
    assert float(rankme(z)) == pytest.approx(127.49, rel=1e-3)
    assert float(decay(spectrum(z))) == pytest.approx(0.172, abs=0.005)
    falling = z * torch.arange(1, 129).double().pow(-0.5)
    assert float(decay(spectrum(falling))) == pytest.approx(1.022, abs=0.02)
    assert float(uniformity(z)) == pytest.approx(-4 + 8 / 128, abs=0.01)
    assert float(stable_rank(spectrum(z))) > 80 and float(participation(spectrum(z))) > 120


def test_spectrum_is_numpys():
    """Eigenvalues of the covariance, largest first; only as many as there can be."""
    z = normal(9, 6, seed=1) + 5
    expected = np.linalg.eigvalsh(np.cov(z.numpy(), rowvar=False))[::-1]
    np.testing.assert_allclose(spectrum(z), expected, rtol=1e-10)
    assert spectrum(z.T).shape == (6,) and float(spectrum(z.T)[-1]) == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("exponent", [0.0, 0.7, 1.5])
def test_decay_of_a_power_law(exponent):
    """Exactly its exponent, over any range; nothing but rounding beyond the last one that counts."""
    values = torch.arange(1, 41, dtype=torch.float64).pow(-exponent)
    for first, last in ((1, None), (3, 20), (1, 2)):
        assert float(decay(values, first, last)) == pytest.approx(exponent, abs=1e-12)
    assert float(decay(torch.cat([values, torch.full((9,), 1e-15).double()]))) == pytest.approx(exponent, abs=1e-12)
    bent = torch.cat([values[:10], values[10:] * 2])
    assert float(decay(bent, 1, 10)) == pytest.approx(exponent) != pytest.approx(float(decay(bent)))
    assert math.isnan(float(decay(torch.tensor([1.0, 0.0, 0.0]))))
    with pytest.raises(ValueError, match=r"`first` \(=4\) and `last` \(=4\) must enclose 2 at least of the 40"):
        decay(values, 4, 4)
    with pytest.raises(ValueError, match=r"`last` \(=41\)"):
        decay(values, 1, 41)


def test_ranks_of_a_small_spectrum():
    """(2, 1, 1): 4 / 2, and 16 / 6; nothing varies: 0."""
    values = torch.tensor([2.0, 1.0, 1.0])
    assert float(stable_rank(values)) == 2 and float(participation(values)) == pytest.approx(16 / 6)
    assert float(stable_rank(0 * values)) == float(participation(0 * values)) == 0


def test_uniformity_and_alignment_are_loops_over_pairs():
    """Every pair of two images; every pair of two views of one."""
    h = normal(3, 7, 4)
    u = h / h.norm(dim=2, keepdim=True)
    n = range(7)
    apart = [math.exp(-2 * float((u[0, i] - u[0, j]).square().sum())) for i in n for j in n if i != j]
    assert float(uniformity(h[0])) == pytest.approx(math.log(sum(apart) / len(apart)))
    views = [float((u[a, i] - u[b, i]).square().sum()) for i in n for a in range(3) for b in range(a)]
    assert float(alignment(h)) == pytest.approx(sum(views) / len(views))
    with pytest.raises(ValueError, match="`h` has 1"):
        alignment(h[:1])


def test_lidar_is_its_formula():
    """By explicit matrices, with a square root of the inverse within-covariance."""
    k, n, d = 5, 6, 4
    h = normal(k, n, d) + 2 * normal(1, n, d, seed=1)
    means = h.mean(0)
    between = sum(torch.outer(m, m) for m in means - means.mean(0)) / (n - 1)
    within = sum(torch.outer(x, x) for x in (h - means).reshape(-1, d)) / (n * (k - 1)) + 1e-4 * torch.eye(d)
    values, vectors = torch.linalg.eigh(within)
    root = vectors @ torch.diag(values.rsqrt()) @ vectors.T
    found = torch.linalg.eigvalsh(root @ between @ root).clamp_min(0)
    p = found / found.sum() + 1e-8
    assert float(lidar(h)) == pytest.approx(math.exp(-float((p * p.log()).sum())), rel=1e-9)
    with pytest.raises(ValueError, match="2 views of 2 images at least, not 1 of 6"):
        lidar(h[:1])


def test_lidar_sees_what_rankme_does_not():
    """A direction in which only the views differ is none that tells images apart."""
    n, k = 400, 6
    signal = torch.cat([normal(1, n, 3).expand(k, n, 3), 30 * normal(k, n, 3, seed=1)], 2)
    assert float(lidar(signal)) == pytest.approx(3, abs=0.3)
    assert float(rankme(signal.flatten(0, 1))) < 4  # the three that are large, whatever they mean


def test_health_says_all():
    """The numbers of the functions, by name; a collapsed encoder is told by each; two images are the fewest."""
    z = normal(50, 5)
    found = health(z, 2, 4)
    assert found["rankme"] == float(rankme(z)) and found["alpha"] == float(decay(spectrum(z), 2, 4))
    assert found["uniformity"] == float(uniformity(z)) and found["participation"] == float(participation(spectrum(z)))
    dead = health(torch.ones(50, 5))
    assert dead["rankme"] == pytest.approx(1, abs=1e-4) and dead["uniformity"] == pytest.approx(0, abs=1e-9)
    assert dead["spread"] == dead["stable_rank"] == dead["participation"] == 0 and math.isnan(dead["alpha"])
    with pytest.raises(ValueError, match="health of 1 representations"):
        health(z[:1])
