"""SIE's loss against an independent slow loop in float64, and its limits."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from erlangen.losses import sie, vicreg

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SIZES = {"n": st.integers(2, 5), "a": st.integers(1, 3), "b": st.integers(1, 4), "seed": st.integers(0, 2**32)}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def parts(n: int, a: int, b: int, seed: int = 0) -> tuple[Tensor, ...]:
    """Of two views, and the prediction; of many spreads, so that some hinges are active."""
    widths = (a, a, b, b, b)
    return tuple((0.4 + 0.4 * i) * normal(n, d, seed=seed + i) for i, d in enumerate(widths))


def covariance(x: np.ndarray, y: np.ndarray) -> float:
    mx, my = sum(x) / len(x), sum(y) / len(y)
    return sum((p - mx) * (q - my) for p, q in zip(x, y, strict=True)) / (len(x) - 1)


def hinge(z: np.ndarray) -> float:
    d = z.shape[1]
    return sum(max(0.0, 1 - math.sqrt(covariance(z[:, j], z[:, j]) + 1e-4)) for j in range(d)) / d


def redundancy(z: np.ndarray) -> float:
    d = z.shape[1]
    return sum(covariance(z[:, i], z[:, j]) ** 2 for i in range(d) for j in range(d) if i != j) / d


def loop(inv1, inv2, eq1, eq2, predicted) -> list[float]:
    """Entry by entry and pair of dimensions by pair; both parts of a view side by side."""

    def distance(x: np.ndarray, y: np.ndarray) -> float:
        return sum((p - q) ** 2 for p, q in zip(x.flat, y.flat, strict=True)) / x.size

    views = [np.array([[*a, *b] for a, b in zip(*part, strict=True)]) for part in ((inv1, eq1), (inv2, eq2))]
    variance = sum(hinge(z) / 2 for z in (*views, predicted))
    return [distance(inv1, inv2), distance(predicted, eq2), variance, sum(map(redundancy, views))]


@FEW
@given(**SIZES)
def test_sie_is_the_loop(n, a, b, seed):
    """All four terms."""
    given_ = parts(n, a, b, seed)
    assert [x.item() for x in sie(*given_)] == pytest.approx(loop(*(x.numpy() for x in given_)))


def test_by_hand():
    """The documented numbers."""
    one, zero = torch.tensor([[1.0], [-1.0]]), torch.zeros(2, 1)
    assert [x.item() for x in sie(one, zero, one, zero, one)] == pytest.approx([1, 1, 0.495, 4])


def test_gradients_are_finite_differences():
    """Of every term, with respect to every part."""
    assert torch.autograd.gradcheck(sie, tuple(x.requires_grad_() for x in parts(4, 2, 3)))


def test_an_exact_prediction_costs_nothing():
    """Equal equivariant parts and the identity as operator: no equivariance loss; the rest is VICReg's, and half a
    hinge more."""
    inv1, inv2, eq, _, _ = parts(5, 2, 3)
    invariance, equivariance, variance, covariances = sie(inv1, inv2, eq, eq, eq)
    _, expected, redundant = vicreg(torch.cat([inv1, eq], 1), torch.cat([inv2, eq], 1))
    assert equivariance == 0 and invariance.item() == pytest.approx(vicreg(inv1, inv2)[0].item())
    assert variance.item() == pytest.approx(expected.item() + hinge(eq.numpy()) / 2)
    assert covariances.item() == pytest.approx(redundant.item())


def test_what_the_parts_have_in_common_counts():
    """An equivariant part that repeats the invariant one is redundant, though each is not."""
    inv = normal(6, 1)
    assert sie(inv, inv, inv, inv, inv)[3].item() == pytest.approx(2 * inv.var().item() ** 2)
    assert redundancy(inv.numpy()) == 0


def test_the_order_of_images_does_not_matter():
    """Permuting the batch changes nothing."""
    given_, order = parts(6, 2, 3), torch.tensor([3, 1, 5, 0, 2, 4])
    torch.testing.assert_close(sie(*(x[order] for x in given_)), sie(*given_))


def test_impossible_batches_are_refused(unchecked):
    """Views of different shapes, parts of different batches, one image, what is not finite."""
    inv1, inv2, eq1, eq2, predicted = parts(4, 2, 3)
    with pytest.raises(ValueError, match=r"`eq1` \(4, 3\), `eq2` \(4, 3\), `predicted` \(4, 2\) must be of one shape"):
        sie(inv1, inv2, eq1, eq2, predicted[:, :2])
    with pytest.raises(ValueError, match="`inv1` is of 4 images, `eq1` of 3"):
        sie(inv1, inv2, eq1[:3], eq2[:3], predicted[:3])
    with pytest.raises(ValueError, match="the batch has 1, the least is 2"):
        sie(*(x[:1] for x in (inv1, inv2, eq1, eq2, predicted)))
    predicted[0, 0] = math.nan
    with pytest.raises(ValueError, match="`predicted` of sie .* not finite"):
        sie(inv1, inv2, eq1, eq2, predicted)
