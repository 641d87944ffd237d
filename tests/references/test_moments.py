"""What is found from sums over the points of a grid is what the representations themselves give."""

import pytest
import torch

from erlangen.measures.moments import WEAK, Moments, parts
from erlangen.measures.spectrum import lidar
from erlangen.solvers import r2, ridge


def moved(n=60, k=5, d=4, seed=0):
    """Representations of n images at k points of a grid, in part a function of the point; and its targets."""
    g = torch.Generator().manual_seed(seed)
    target = torch.randn(k, 2, generator=g)
    own = torch.randn(n, d, generator=g)
    follows = target @ torch.randn(2, d, generator=g)
    return 3 + own + 0.5 * follows[:, None] + 0.3 * torch.randn(k, n, d, generator=g), target


def gathered(h, target):
    found = Moments.none(h.shape[1], h.shape[2], target.shape[1], h)
    for x, t in zip(h, target, strict=True):
        found.add(x, t)
    return found


def test_lidar_of_sums_is_lidar():
    """The same number as of all representations at once, whatever the parameter is."""
    h, target = moved()
    assert gathered(h, target).lidar() == pytest.approx(float(lidar(h)), rel=1e-8)


def test_decodability_of_sums_is_a_ridge_regression():
    """Fitted to half of the images, its penalty chosen by a fifth, fitted again to both, tested on the rest."""
    h, target = moved()
    of = parts(h.shape[1])
    assert of.bincount().tolist() == [30, 12, 18]

    def rows(part):
        x = h[:, part].double()
        return x.flatten(0, 1), target.double().repeat_interleave(x.shape[1], 0)

    candidates = ridge(*rows(of == 0), WEAK)
    x, y = rows(of == 1)
    best = min(candidates, key=lambda model: float((model(x) - y).square().mean())).penalty
    (model,) = ridge(*rows(of < 2), [best])
    x, y = rows(of == 2)
    assert gathered(h, target).decodability() == pytest.approx(r2(model(x), y), abs=1e-8)


def test_what_is_not_told_is_not_decoded():
    """0, or a little below, where representations do not depend on the point; near 1 where they hold it."""
    h, target = moved()
    assert -0.02 < gathered(h[:1].expand(5, -1, -1), target).decodability() <= 1e-9
    beside = torch.cat([h, target[:, None].expand(-1, 60, -1)], 2)
    assert gathered(beside, target).decodability() > 0.999
    assert gathered(h[:, :19], target).decodability() is None
    assert gathered(h, target[:1].expand(5, -1)).decodability() is None


def test_components_that_do_not_vary_tell_nothing():
    """A constant and a copy change nothing and break nothing."""
    h, target = moved()
    more = torch.cat([h, torch.full_like(h[..., :1], 7.0), h[..., :1]], 2)
    assert gathered(more, target).decodability() == pytest.approx(gathered(h, target).decodability(), abs=1e-3)


def test_sums_are_kept():
    """What a stopped measure wrote goes on."""
    h, target = moved()
    first = gathered(h[:2], target[:2])
    again = Moments.of({name: x.clone() for name, x in first.state().items()})
    for x, t in zip(h[2:], target[2:], strict=True):
        again.add(x, t)
    assert again.decodability() == gathered(h, target).decodability() and again.points == 5
