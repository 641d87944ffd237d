"""What DUET reads off a representation and logs, against slow implementations in float64."""

import cmath
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from erlangen.losses import decoded, found, jensen_shannon, log_marginal, log_target

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SEEDS = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_log_marginal_by_hand():
    """Contents (0, 2) and (0, 0): means 1 and 0, sums 2 and 0."""
    grid = torch.tensor([[[0.0, 2.0], [0.0, 0.0]]])
    assert log_marginal(grid).exp()[0, 0].item() == pytest.approx(0.7311, abs=5e-5)
    assert log_marginal(grid, "sum").exp()[0, 0].item() == pytest.approx(1 / (1 + math.exp(-2)))


@FEW
@given(n=st.integers(1, 3), k=st.integers(1, 3), bins=st.integers(2, 6), content=st.integers(1, 5), seed=SEEDS)
def test_log_marginal_is_the_loop(n, k, bins, content, seed):
    """Of every image and group: exponentials of the means, divided by what they add up to."""
    grid = normal(n, k, bins, content, seed=seed)
    made = log_marginal(grid).exp()
    for image, marginal in zip(grid.tolist(), made.tolist(), strict=True):
        for rows, p in zip(image, marginal, strict=True):
            weights = [math.exp(sum(row) / len(row)) for row in rows]
            assert p == pytest.approx([w / sum(weights) for w in weights])


def test_decoded_by_hand():
    """Half in the first of four bins and half in the last: where the circle closes, or the middle of the segment."""
    log_p = torch.tensor([[0.5, 0.0, 0.0, 0.5]]).clamp_min(1e-30).log()
    assert decoded(log_p, "ga").item() == pytest.approx(0.5)
    at = decoded(log_p, "vm").item()
    assert min(at, 1 - at) == pytest.approx(0, abs=1e-6)


@FEW
@given(kind=st.sampled_from(["vm", "ga"]), n=st.integers(1, 4), bins=st.integers(3, 16), seed=SEEDS)
def test_decoded_is_the_loop(kind, n, bins, seed):
    """The mean of the middles of the bins, of points on the complex circle where it closes."""
    log_p = (2 * normal(n, bins, seed=seed)).log_softmax(1)
    for row, at in zip(log_p.exp().tolist(), decoded(log_p, kind)[:, 0].tolist(), strict=True):
        middles = [(j + 0.5) / bins for j in range(bins)]
        if kind == "ga":
            assert at == pytest.approx(sum(p * m for p, m in zip(row, middles, strict=True)))
        else:
            point = sum(p * cmath.exp(2j * math.pi * m) for p, m in zip(row, middles, strict=True))
            assert cmath.exp(2j * math.pi * at) == pytest.approx(point / abs(point)) and 0 <= at < 1


@pytest.mark.parametrize("bins", [4, 8, 16])
def test_targets_are_decoded_where_they_are(bins):
    """A von Mises target at any g is read as g, to the unevenness of the quadrature; a Gaussian one in the middle."""
    g = torch.linspace(0, 0.95, 20, dtype=torch.float64)[:, None]
    away = decoded(log_target(g, bins, "vm", 3.0), "vm") - g
    assert (away - away.round()).abs().max() < 0.06 / bins
    middle, end = torch.full((1, 1), 0.5, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    assert decoded(log_target(middle, bins, "ga", 0.2), "ga").item() == pytest.approx(0.5, abs=1e-3)
    if bins == 8:  # which the docstring names
        assert decoded(log_target(end, bins, "ga", 0.2), "ga").item() == pytest.approx(0.16, abs=5e-3)


def test_found_by_hand():
    """e1 finds itself, e2 whose other view is -e2 prefers anything else."""
    z1 = torch.eye(2)
    percent = found(z1, z1 * torch.tensor([[1.0], [-1.0]]))
    assert {name: x.item() for name, x in percent.items()} == {"ABAA_top1": 50, "BABB_top1": 50, "total_top1": 50}


def loop(z1: list[list[float]], z2: list[list[float]], k: int) -> float:
    """Anchors of the first view: how many of all other embeddings are as near as the own one."""

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)

    hits = 0
    for i, anchor in enumerate(z1):
        others = [row for j, row in enumerate(z2) if j != i] + [row for j, row in enumerate(z1) if j != i]
        hits += sum(cosine(anchor, other) >= cosine(anchor, z2[i]) for other in others) < k
    return 100 * hits / len(z1)


@FEW
@given(n=st.integers(1, 9), d=st.integers(2, 5), seed=SEEDS)
def test_found_is_the_loop(n, d, seed):
    """Both ways and their mean; five nearest only where there are more than five images."""
    z1 = normal(n, d, seed=seed)
    z2 = z1 + normal(n, d, seed=seed + 1)
    expected = {}
    for k in (1, 5) if n > 5 else (1,):
        there, back = loop(z1.tolist(), z2.tolist(), k), loop(z2.tolist(), z1.tolist(), k)
        expected |= {f"ABAA_top{k}": there, f"BABB_top{k}": back, f"total_top{k}": (there + back) / 2}
    assert {name: x.item() for name, x in found(z1, z2).items()} == pytest.approx(expected)


def test_nobody_finds_where_all_are_equal():
    """A collapsed network has no retrieval; no gradient is asked for either."""
    z = torch.ones(7, 3, requires_grad=True)
    percent = found(z, z)
    assert len(percent) == 6 and not any(x.item() or x.requires_grad for x in percent.values())


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: log_target(torch.zeros(1, 1), 1, "ga", 0.2), r"`bins` \(=1\) of at least 2"),
        (lambda: log_target(torch.zeros(1, 1), 2, "ga", 0.0), r"`width` \(=0.0\) must be above 0"),
        (lambda: log_target(torch.zeros(1, 1), 2, "gauss", 0.2), r"`kind` \(=gauss\) must be one of vm, ga"),
        (lambda: decoded(torch.zeros(1, 2), "gauss"), r"`kind` \(=gauss\) must be one of vm, ga"),
        (lambda: log_marginal(torch.zeros(1, 2, 2), "max"), r"`over` \(=max\) must be one of mean, sum"),
        (lambda: jensen_shannon(torch.zeros(1, 2), torch.zeros(1, 3)), r"`log_p` \(1, 2\), `log_q` \(1, 3\)"),
        (lambda: found(torch.ones(2, 2), torch.ones(3, 2)), r"`z1` \(2, 2\), `z2` \(3, 2\)"),
    ],
)
def test_arguments_that_are_refused(call, message, unchecked):
    """Each by its name, with its value."""
    with pytest.raises(ValueError, match=message):
        call()
