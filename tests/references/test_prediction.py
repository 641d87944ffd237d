"""Scores of predicted views against slow loops in float64, scipy and numbers worked out by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from erlangen.measures.prediction import agreement, between, chance, explained, retrieval, rotation_error


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def tensor(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / math.sqrt(float(a @ a) * float(b @ b)))


def slow_ranks(prediction: torch.Tensor, candidates: torch.Tensor) -> np.ndarray:
    """The rank of every view, image by image."""
    n, k, _ = candidates.shape
    ranks = np.zeros((n, k))
    for i, j in itertools.product(range(n), range(k)):
        similar = [cosine(prediction[i, j].numpy(), other) for other in candidates[i].numpy()]
        ranks[i, j] = 1 + sum(s > similar[j] for s in similar)
    return ranks


def test_retrieval_is_the_loop():
    """Ranks by cosine, whatever the lengths, one image after the other."""
    candidates = normal(7, 12, 4) * normal(7, 12, 1, seed=2).exp()
    prediction = (candidates + 2 * normal(7, 12, 4, seed=1)) * 3
    ranks = slow_ranks(prediction, candidates)
    assert 1 < ranks.mean() < 6
    found = retrieval(prediction, candidates)
    np.testing.assert_allclose(found["mrr"], (1 / ranks).mean(1), atol=1e-12)
    for m in (1, 2, 5, 10):
        np.testing.assert_allclose(found[f"h@{m}"], (ranks <= m).mean(1), atol=1e-12)


def test_retrieval_by_hand():
    """Views (1, 0), (0, 1), both predicted as (1, 0): ranks 1 and 2."""
    found = retrieval(tensor((1, 0), (1, 0))[None], tensor((1, 0), (0, 1))[None], [1, 2])
    assert {name: float(value) for name, value in found.items()} == pytest.approx({"mrr": 0.75, "h@1": 0.5, "h@2": 1})


def test_retrieval_of_equal_views_takes_every_order():
    """The mean over all orders in which candidates that are equally near could come."""
    candidates = tensor((1, 0), (1, 0), (0, 1), (0, 1), (0, 1))[None]
    prediction = tensor((1, 0.1), (1, 0.1), (1, 0.1), (0.1, 1), (0.1, 1))[None]
    reciprocal, first = [], []
    for order in itertools.permutations(range(5)):
        for j in range(5):
            similar = [cosine(prediction[0, j].numpy(), other) for other in candidates[0].numpy()]
            place = sorted(range(5), key=lambda c, s=similar, o=order: (-round(s[c], 9), o[c])).index(j)
            reciprocal.append(1 / (place + 1))
            first.append(place < 2)
    found = retrieval(prediction, candidates, [2])
    assert float(found["mrr"]) == pytest.approx(np.mean(reciprocal)) and float(found["h@2"]) == pytest.approx(
        np.mean(first)
    )


def test_chance_is_that_of_a_guess():
    """3DIEBench's 50 views: .0900, .02, .10; and what equal candidates and random ones come to."""
    found = chance(50)
    assert found == pytest.approx({"mrr": 0.0900, "h@1": 0.02, "h@2": 0.04, "h@5": 0.1, "h@10": 0.2}, abs=5e-5)
    one = retrieval(normal(3, 8, 5), normal(3, 1, 5, seed=1).expand(3, 8, 5), [1, 5])
    for name, value in chance(8, [1, 5]).items():
        torch.testing.assert_close(one[name], torch.full((3,), value, dtype=torch.float64))
    guess = retrieval(normal(4000, 8, 5), normal(4000, 8, 5, seed=1), [1, 5])
    assert {name: float(value.mean()) for name, value in guess.items()} == pytest.approx(chance(8, [1, 5]), abs=0.01)


@pytest.mark.parametrize(("k", "hits"), [(1, [1]), (4, [5]), (4, [0])])
def test_retrieval_refuses_hits_that_cannot_be(k, hits):
    """The error has the hits, and how many views there are."""
    with pytest.raises(ValueError, match=rf"{k} views .* `hits` \(=\({hits[0]},\)\)"):
        retrieval(normal(2, k, 3), normal(2, k, 3), hits)


def test_rotation_error_is_scipys_angle():
    """sin^2 of half the angle to the nearest candidate of all images, whatever the signs of the quaternions."""
    n, k = 5, 4
    q = Rotation.random(n * k, random_state=0).as_quat().reshape(n, k, 4)
    candidates, prediction = normal(n, k, 3), normal(n, k, 3, seed=1)
    signs = np.where(np.arange(n * k).reshape(n, k, 1) % 2, 1, -1)
    errors, everything = np.zeros((n, k)), []
    for i, j in itertools.product(range(n), range(k)):
        similar = [cosine(prediction[i, j].numpy(), c) for c in candidates.flatten(0, 1).numpy()]
        turned = [Rotation.from_quat(q[i, j]).inv() * Rotation.from_quat(other) for other in q.reshape(-1, 4)]
        angles = np.array([r.magnitude() for r in turned])
        errors[i, j] = math.sin(angles[int(np.argmax(similar))] / 2) ** 2
        everything += (np.sin(angles / 2) ** 2).tolist()
    found, at_random = rotation_error(prediction, candidates, torch.from_numpy(q * signs))
    np.testing.assert_allclose(found, errors.mean(1), atol=1e-6)
    assert at_random == pytest.approx(np.mean(everything), abs=1e-7)


def test_rotation_error_of_a_right_angle():
    """Always the other of two views, a right angle away: 1/2; equal candidates: the mean of 0 and 1/2."""
    half = math.sqrt(0.5)
    q = tensor((0, 0, 0, 1), (half, 0, 0, half))[None]
    views = tensor((1, 0), (0, 1))[None]
    assert float(rotation_error(views.flip(1), views, q)[0]) == pytest.approx(0.5)
    assert float(rotation_error(views, torch.ones(1, 2, 2).double(), q)[0]) == pytest.approx(0.25)


def slow_explained(prediction: np.ndarray, target: np.ndarray, source: np.ndarray, images: list[int]) -> dict:
    """Over a list of images, of which one may be there several times and is then no other image."""
    k = len(target)
    error, moved, others, predicted, stayed = [], [], [], [], []
    for i, j in itertools.product(images, range(k)):
        error.append(((target[j, i] - prediction[j, i]) ** 2).sum())
        moved.append(((target[j, i] - source[i]) ** 2).sum())
        others += [((target[j, i] - source[o]) ** 2).sum() for o in images if o != i]
        predicted.append(cosine(target[j, i], prediction[j, i]))
        stayed.append(cosine(target[j, i], source[i]))
    return {
        "explained": 1 - np.mean(error) / np.mean(moved),
        "control": 1 - np.mean(error) / np.mean(others),
        "gain": np.mean(np.array(predicted) - np.array(stayed)),
        "ratio": np.mean(1 - np.array(stayed)) / np.mean(1 - np.array(predicted)),
    }


def test_explained_is_the_loop():
    """All pairs of images for the control; weights are images there several times, which are not others of themselves.

    Far from the origin, where sums of squares would cancel, too.
    """
    source = normal(6, 4) + 3
    target = source + normal(3, 6, 4, seed=1)
    prediction = target + 0.5 * normal(3, 6, 4, seed=2)
    found = explained(prediction, target, source, tensor((1, 1, 1, 1, 1, 1), (2, 0, 1, 3, 0, 0)))
    for row, images in enumerate(([0, 1, 2, 3, 4, 5], [0, 0, 2, 3, 3, 3])):
        expected = slow_explained(prediction.numpy(), target.numpy(), source.numpy(), images)
        assert {name: float(value[row]) for name, value in found.items()} == pytest.approx(expected, rel=1e-6)
    plain = explained(prediction, target, source)
    assert all(float(plain[name]) == pytest.approx(float(found[name][0])) for name in plain)
    far = explained(prediction + 1e7, target + 1e7, source + 1e7)
    assert float(far["control"]) == pytest.approx(float(plain["control"]), abs=1e-5)


def test_explained_by_hand():
    """Source (1, 0), target (0, 1), prediction (0.5, 0.5): 0.75, gain cos 45°, ratio 1 / (1 - cos 45°)."""
    found = explained(tensor((0.5, 0.5))[None], tensor((0, 1))[None], tensor((1, 0)))
    half = math.sqrt(0.5)
    assert float(found["explained"]) == pytest.approx(0.75) and float(found["gain"]) == pytest.approx(half)
    assert float(found["ratio"]) == pytest.approx(1 / (1 - half))
    # two images at (0, 0) and (0, 4) that move by (3, 0): to the other source 3^2 + 4^2
    source = tensor((0, 0), (0, 4))
    assert float(between((source + tensor((3, 0)))[None], source)) == pytest.approx(25)


def test_explained_where_nothing_moves():
    """Rounding is no motion: 0 is explained and gained, however near the predictions; nothing is infinite."""
    source = normal(6, 4)
    target = source + 1e-9 * normal(2, 6, 4, seed=1)
    found = explained(target, target, source)
    assert float(found["explained"]) == 0 and float(found["control"]) == 1
    assert float(found["gain"]) == pytest.approx(0, abs=1e-12) and float(found["ratio"]) == pytest.approx(1)


def test_agreement_is_the_loop():
    """Mean cosines over all pairs of views of one image, and of two; weights as repetitions."""
    h = normal(3, 6, 4) + 0.5
    found = agreement(h, tensor((1, 1, 1, 1, 1, 1), (2, 0, 1, 3, 0, 0)))
    for row, images in enumerate(([0, 1, 2, 3, 4, 5], [0, 0, 2, 3, 3, 3])):
        pairs = list(itertools.product(range(3), range(3)))
        same = np.mean([cosine(h[a, i].numpy(), h[b, i].numpy()) for i in images for a, b in pairs if a != b])
        mixed = [(i, j) for i in images for j in images if i != j]
        other = np.mean([cosine(h[a, i].numpy(), h[b, j].numpy()) for i, j in mixed for a, b in pairs])
        expected = {"same": same, "other": other, "difference": same - other}
        assert {name: float(value[row]) for name, value in found.items()} == pytest.approx(expected)
    hand = agreement(torch.stack([torch.eye(2), 3 * torch.eye(2)]))
    assert {name: float(value) for name, value in hand.items()} == {"same": 1, "other": 0, "difference": 1}
