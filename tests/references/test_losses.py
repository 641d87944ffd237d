"""Losses against independent slow implementations in float64."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial.distance import jensenshannon

from erlangen import losses
from erlangen.losses import blocks, jensen_shannon, log_target, nt_xent, regression
from erlangen.losses.precision import unchecked

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SEEDS = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def nt_xent_loop(z1: np.ndarray, z2: np.ndarray, temperature: float) -> float:
    """SimCLR's equation 1, anchor by anchor."""
    z = [row / math.sqrt(sum(x * x for x in row)) for row in [*z1, *z2]]
    total = 0.0
    for i, anchor in enumerate(z):
        similarity = [sum(a * b for a, b in zip(anchor, other, strict=True)) / temperature for other in z]
        others = sum(math.exp(s) for k, s in enumerate(similarity) if k != i)
        total -= similarity[(i + len(z1)) % len(z)] - math.log(others)
    return total / len(z)


@FEW
@given(n=st.integers(2, 7), d=st.integers(1, 6), temperature=st.floats(0.05, 2.0), seed=SEEDS)
def test_nt_xent_is_the_loop(n, d, temperature, seed):
    """`nt_xent` equals a double loop over anchors and candidates."""
    z1, z2 = normal(n, d, seed=seed), normal(n, d, seed=seed + 1)
    assert nt_xent(z1, z2, temperature).item() == pytest.approx(nt_xent_loop(z1.numpy(), z2.numpy(), temperature))


def test_nt_xent_by_hand():
    """Two orthogonal images, equal views, temperature 1: every anchor has cosines 1 (its own), 0 and 0."""
    # -ln(e / (e + 1 + 1)) = ln(1 + 2 / e) = ln 1.735759 = 0.551445
    z = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    assert nt_xent(z, z, 1.0).item() == pytest.approx(0.551445, abs=1e-6)


@pytest.mark.parametrize("rows", [1, 3, 8])
def test_nt_xent_in_blocks_is_the_whole(rows, monkeypatch):
    """Computed some rows at a time, recomputed in the backward: the same loss and gradients to 1e-12."""
    results = []
    for largest in (2**24, rows * 14):
        monkeypatch.setattr(blocks, "LARGEST", largest)
        z1, z2 = normal(7, 4).requires_grad_(), normal(7, 4, seed=1).requires_grad_()
        loss = nt_xent(z1, z2, 0.2)
        torch.autograd.backward(loss)
        results.append(torch.cat([loss.detach()[None], z1.grad.flatten(), z2.grad.flatten()]))
    assert torch.allclose(*results, rtol=1e-12, atol=1e-14)


def test_nt_xent_of_2048_images_is_the_plain_form():
    """16.8 million similarities, made again in the backward, float32: within 1e-6 of the form that keeps them."""
    results = []
    for form in (nt_xent, plain):
        z = normal(2, 2048, 128).float().requires_grad_()
        loss = form(z[0], z[1], 0.1)
        torch.autograd.backward(loss)
        results.append((loss.detach(), z.grad))
    (loss, grad), (expected, gradient) = results
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert (grad - gradient).abs().max() < 1e-6 * gradient.abs().max() + 1e-9


def plain(z1: torch.Tensor, z2: torch.Tensor, temperature: float) -> torch.Tensor:
    z = torch.nn.functional.normalize(torch.cat([z1, z2]), dim=1)
    logits = (z @ z.T / temperature).fill_diagonal_(float("-inf"))
    return torch.nn.functional.cross_entropy(logits, torch.arange(len(z)).roll(len(z1)))


def test_only_a_block_is_in_memory(monkeypatch):
    """What autograd keeps of a table in blocks is what went in, not the table."""
    monkeypatch.setattr(blocks, "LARGEST", 2**10)
    kept: list[int] = []
    z = normal(64, 4).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        nt_xent(z, z, 0.2)
    assert max(kept) < 128 * 128 / 8


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_what_is_not_finite_is_named(bad):
    """The loss says which argument holds a number that is none, unless a training watches that itself."""
    z = normal(3, 2)
    broken = torch.where(z == z.max(), bad, z)
    with pytest.raises(ValueError, match="`z2` of nt_xent holds numbers that are not finite"):
        nt_xent(z, broken, 0.5)
    with unchecked():
        assert not nt_xent(z, broken, 0.5).isfinite()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan")])
def test_nt_xent_refuses_a_temperature_that_is_none(temperature):
    """Not above 0: named with its value."""
    with pytest.raises(ValueError, match=r"`temperature` \(=.*must be above 0"):
        nt_xent(normal(3, 2), normal(3, 2), temperature)


def test_jensen_shannon_by_hand():
    """Of (1/4, 3/4) and (3/4, 1/4), whose mean is (1/2, 1/2): 3/4 ln 3 - ln 2."""
    p = torch.tensor([[0.25, 0.75]]).log()
    assert jensen_shannon(p, p.flip(1)).item() == pytest.approx(0.130812, abs=1e-6)


def test_log_target_by_hand():
    """A Gaussian at 0 of width 0.2: beyond 0.5, 2.5 widths away, it has 0.0123 of what it has below 1."""
    tail = stats.norm.sf(2.5) / (stats.norm.cdf(5) - 0.5)
    target = log_target(torch.zeros(1, 1), 2, "ga", 0.2).exp()
    assert target[0, 1].item() == pytest.approx(0.0123, abs=5e-5) == pytest.approx(tail, abs=2e-4)


def test_nt_xent_gradient_is_the_finite_difference():
    """The gradient reaches both views and is the derivative."""
    z1, z2 = normal(3, 4).requires_grad_(), normal(3, 4, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda a, b: nt_xent(a, b, 0.5), (z1, z2))


@pytest.mark.parametrize("n", [0, 1])
def test_nt_xent_needs_two_pairs(n):
    """A single pair has no other images: an error that says how many there are, not a loss of 0."""
    with pytest.raises(ValueError, match=f"the batch has {n}, the least is 2"):
        nt_xent(normal(n, 4), normal(n, 4), 0.5)


@FEW
@given(n=st.integers(1, 7), d=st.integers(1, 6), seed=SEEDS)
def test_regression_is_the_loop(n, d, seed):
    """BYOL's loss equals the mean squared distance of the rows, each divided by its length."""
    p, z = normal(n, d, seed=seed), normal(n, d, seed=seed + 1)
    rows = zip(p.numpy(), z.numpy(), strict=True)
    squares = [((a / np.sqrt((a * a).sum()) - b / np.sqrt((b * b).sum())) ** 2).sum() for a, b in rows]
    assert regression(p, z).item() == pytest.approx(sum(squares) / n)


def test_regression_gives_its_target_no_gradient():
    """The prediction learns, the target does not."""
    p, z = normal(3, 4).requires_grad_(), normal(3, 4, seed=1).requires_grad_()
    regression(p, z).backward()
    assert z.grad is None and p.grad.abs().sum() > 0


@FEW
@given(n=st.integers(1, 6), k=st.integers(2, 9), seed=SEEDS)
def test_jensen_shannon_is_scipys(n, k, seed):
    """The divergence is the square of SciPy's distance, in nats, mean over the rows."""
    log_p, log_q = normal(n, k, seed=seed).log_softmax(1), normal(n, k, seed=seed + 1).log_softmax(1)
    expected = (jensenshannon(log_p.exp().numpy(), log_q.exp().numpy(), axis=1) ** 2).mean()
    assert jensen_shannon(log_p, log_q).item() == pytest.approx(expected)


def test_jensen_shannon_lies_between_zero_and_ln_2():
    """Equal rows have no divergence, disjoint ones ln 2."""
    p = torch.tensor([[0.0, -1000.0]])
    assert jensen_shannon(p, p).item() == 0
    assert jensen_shannon(p, p.flip(1)).item() == pytest.approx(math.log(2))


@FEW
@given(
    kind=st.sampled_from(["vm", "ga"]),
    bins=st.integers(2, 16),
    width=st.floats(0.1, 4.0),
    n=st.integers(1, 5),
    seed=SEEDS,
)
def test_log_target_is_the_formula(kind, bins, width, n, seed):
    """The target is SciPy's density on 100 points per bin, both ends included, summed per bin, normalised."""
    g = torch.rand(n, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    m = np.arange(100 * bins) / (100 * bins - 1)
    for row, centre in zip(log_target(g, bins, kind, width).exp().numpy(), g[:, 0].tolist(), strict=True):
        if kind == "vm":
            density = stats.vonmises.pdf(2 * np.pi * m, width, loc=2 * np.pi * centre)
        else:
            density = stats.norm.pdf(m, loc=centre, scale=width)
        mass = np.array([density[100 * b : 100 * (b + 1)].sum() for b in range(bins)])
        assert np.allclose(row, mass / mass.sum(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("kind, width", [("ga", 1e-4), ("vm", 1e6)])
def test_narrow_targets_stay_finite(kind, width):
    """A density much narrower than a bin has finite logarithms, peaks where it should, and the gradient is finite."""
    g = torch.tensor([[0.0], [0.3], [1.0]])
    target = log_target(g, 64, kind, width)
    logits = normal(3, 64, dtype=torch.float32).requires_grad_()
    jensen_shannon(logits.log_softmax(1), target).backward()
    assert torch.isfinite(target).all() and torch.isfinite(logits.grad).all()
    assert target[1].argmax() == 19 and torch.allclose(target.exp().sum(1), torch.ones(3))


# each loss as a function of two matrices (n, d), the second of which becomes positions in [0, 1] for a target
PAIRED = {
    "nt_xent": lambda a, b: nt_xent(a, b, 0.07),
    "regression": regression,
    "jensen_shannon": jensen_shannon,
    "log_target": lambda a, b: log_target(b[:, :1].abs() % 1, 8, "vm", 3.0),
}
every = pytest.mark.parametrize("loss", PAIRED.values(), ids=PAIRED)


@every
def test_losses_are_exact_under_autocast(loss):
    """bfloat16 inputs under autocast give float32, as exact as float32 inputs without; so does the gradient."""
    a, b = (normal(16, 32, seed=s).log_softmax(1).bfloat16() for s in (0, 1))
    wide = a.double().requires_grad_(), b.double().requires_grad_()
    narrow = a.clone().float().requires_grad_(), b.clone().float().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert loss(a, b).dtype == torch.float32
        value, mixed = loss(a, b), loss(*narrow)
    exact = loss(*wide)
    assert torch.allclose(value.double(), exact, rtol=1e-5, atol=1e-5)
    mixed.sum().backward()
    exact.sum().backward()
    for x, y in zip(narrow, wide, strict=True):
        assert (x.grad is None) == (y.grad is None)
        assert x.grad is None or torch.allclose(x.grad.double(), y.grad, rtol=1e-3, atol=1e-5)


@every
def test_float64_stays_float64(loss):
    """Double precision is not reduced, under autocast or without."""
    a, b = normal(4, 8).log_softmax(1), normal(4, 8, seed=1).log_softmax(1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss(a, b)
    assert inside.dtype == torch.float64 and torch.equal(inside, loss(a, b))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "loss, named",
    {
        "nt_xent": (lambda: losses.nt_xent(normal(6, 4), normal(8, 4), 0.5), r"`z1` \(6, 4\), `z2` \(8, 4\)"),
        "cissl": (lambda: losses.cissl(normal(6, 4), normal(8, 4), 0.5), r"`s` \(6, 4\), `t` \(8, 4\)"),
        "moco": (lambda: losses.moco(normal(6, 4), normal(1, 4), normal(4, 9), 0.5), r"`q` \(6, 4\), `k` \(1, 4\)"),
        "queue": (lambda: losses.moco(normal(6, 4), normal(6, 4), normal(9, 4), 0.5), r"`queue` \(9, 4\) must be"),
        "vicreg": (lambda: losses.vicreg(normal(8, 4), normal(8, 1)), r"`z1` \(8, 4\), `z2` \(8, 1\)"),
        "barlow": (lambda: losses.barlow_twins(normal(8, 4), normal(8, 6)), r"`z1` \(8, 4\), `z2` \(8, 6\)"),
        "relic": (lambda: relic(normal(8, 4), normal(8, 3)), r"`x` \(8, 4\), `x_prime` \(8, 3\)"),
        "reverse": (lambda: relic(*[normal(8, 4)] * 2, reverse=(normal(8, 4), normal(1, 4))), r"`v` \(1, 4\)"),
        "alpha": (lambda: relic(*[normal(8, 4)] * 2, alpha=float("nan")), r"`alpha` \(=nan\)"),
        "temperature": (lambda: losses.nt_xent(*[normal(8, 4)] * 2, math.inf), r"`temperature` \(=inf\)"),
        "one image": (lambda: losses.vicreg(normal(1, 4), normal(1, 4)), "the batch has 1, the least is 2"),
    }.values(),
)
def test_what_does_not_fit_is_named(loss, named):
    """Where broadcasting would give a number that means nothing, the arguments and their shapes are told."""
    with pytest.raises(ValueError, match=named):
        loss()


def relic(x: torch.Tensor, y: torch.Tensor, tau: float = 0.0, **how: Any) -> torch.Tensor:
    return losses.relic(x, y, torch.tensor([tau], dtype=x.dtype, requires_grad=True), x.new_zeros(1), **how)[0]


def test_a_scale_that_overflows_is_clamped():
    """exp(100) is infinite in float32: the loss is that of the largest scale, and tau gets a gradient of 0, not NaN."""
    x, y, tau = normal(4, 3).float(), normal(4, 3, seed=1).float(), torch.tensor([100.0], requires_grad=True)
    loss, _ = losses.relic(x, y, tau, torch.zeros(1))
    torch.autograd.backward(loss)
    assert tau.grad == 0 and loss.item() == pytest.approx(relic(x, y, math.log(5)).item())
