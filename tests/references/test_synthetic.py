"""Measures along a sweep against loops and scikit-learn, and on encoders whose invariance is known beforehand."""

import math

import numpy as np
import pytest
import torch
from sklearn.covariance import ledoit_wolf as sklearns
from torch import nn

from erlangen.encoders.frozen import Pixels, represent
from erlangen.measures import cka
from erlangen.measures.groups import over_groups
from erlangen.measures.synthetic import Clean, Rows, compare, follow, summary
from erlangen.measures.whitening import ledoit_wolf, whitening
from erlangen.solvers import Linear
from erlangen.solvers.intervals import bands
from erlangen.transforms.sweeps import sweep


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def photos(n: int, size: int = 12) -> torch.Tensor:
    """Bytes that are smooth, so that neighbouring pixels are alike as in photographs."""
    noise = normal(n, 3, size, size).float()
    smooth = nn.functional.avg_pool2d(noise, 3, 1, 1)
    return (127 + 200 * smooth).clamp(0, 255).to(torch.uint8)


def measured(encoder: nn.Module, images: torch.Tensor, name: str, k: int | None = None) -> dict:
    h = represent(encoder, images)
    return summary(follow(encoder, images, sweep(name, images.shape[-1], k), Clean(h, whitening(h))))


class Brightness(nn.Module):
    """The mean of each channel, and of its square: neither flips nor quarter turns change them."""

    def forward(self, images):
        return torch.cat([images.mean((2, 3)), images.square().mean((2, 3))], 1)


class Random(nn.Module):
    """Another code each time."""

    def forward(self, images):
        return torch.randn(len(images), 8)


@pytest.mark.parametrize("name", ["h_flip", "v_flip", "quarter_turn"])
def test_an_invariant_encoder_scores_one(name):
    """In every number; nothing is far from itself."""
    found = measured(Brightness(), photos(40), name)
    for key in ("similarity", "cosine", "variance", "retrieval", "cka"):
        assert found[key] == pytest.approx(1, abs=1e-5), key
    assert found["distance"] == pytest.approx(0, abs=1e-3)


def test_a_random_code_scores_at_chance():
    """A cosine of 0, one in n images found, no variance explained but by chance, no CKA."""
    torch.manual_seed(0)
    n, k = 200, 16
    found = measured(Random(), photos(n), "rotation", k)
    assert found["similarity"] == pytest.approx(0, abs=0.05) and found["cosine"] == pytest.approx(0, abs=0.05)
    assert found["retrieval"] == pytest.approx(1 / n, abs=0.01) and found["cka"] == pytest.approx(0, abs=0.02)
    assert found["variance"] == pytest.approx(1 / k, abs=0.01)
    assert found["distance"] == pytest.approx(math.sqrt(2 * 8), abs=0.3)


def test_pixels_follow_but_do_not_stay():
    """Flipped pixels are a rotation of pixels: CKA 1 where the cosine is not."""
    found = measured(Pixels(3, 12), photos(60), "h_flip")
    curves = found["curves"]
    assert curves["similarity"]["mean"][0] == pytest.approx(1, abs=1e-6) and curves["distance"]["mean"][0] < 1e-3
    assert curves["cka"]["mean"] == pytest.approx([1, 1], abs=1e-5) and curves["similarity"]["mean"][1] < 0.5


def test_whitened_numbers_do_not_know_the_basis():
    """Any invertible affine map of the features leaves similarity and distance as they are; the plain cosine not."""
    h, moved = normal(60, 5), normal(60, 5) + 0.3 * normal(60, 5, seed=1)
    skewed, shift = normal(5, 5, seed=2) + 3 * torch.eye(5), 10 * normal(5, seed=3)
    one = compare(Clean(h, whitening(h)), moved)
    other = compare(Clean(h @ skewed + shift, whitening(h @ skewed + shift)), moved @ skewed + shift)
    torch.testing.assert_close(one["similarity"], other["similarity"])
    torch.testing.assert_close(one["distance"], other["distance"])
    assert not torch.allclose(one["cosine"], other["cosine"], atol=0.1)


def test_compare_is_a_loop_over_images():
    """Mahalanobis distance, cosine, the nearest of all originals, the answers of a classifier."""
    h, moved = normal(30, 4), normal(30, 4) + 0.7 * normal(30, 4, seed=1)
    head = Linear(torch.zeros(4).double(), torch.ones(4).double(), normal(4, 3, seed=2), normal(3, seed=3), 0.0)
    found = compare(Clean(h, whitening(h), head), moved)
    inverse, middle = np.linalg.inv(np.cov(h.numpy(), rowvar=False)), h.mean(0).numpy()
    for i in range(30):
        a, b = h[i].numpy(), moved[i].numpy()
        assert float(found["distance"][i]) == pytest.approx(math.sqrt((a - b) @ inverse @ (a - b)))
        u, v = a - middle, b - middle
        expected = (u @ inverse @ v) / math.sqrt((u @ inverse @ u) * (v @ inverse @ v))
        assert float(found["similarity"][i]) == pytest.approx(expected)
        near = [float(h[j] @ moved[i] / h[j].norm()) for j in range(30)]
        assert float(found["retrieval"][i]) == float(np.argmax(near) == i)
        assert float(found["consistency"][i]) == float(head(h[i : i + 1]).argmax() == head(moved[i : i + 1]).argmax())
    assert 0 < float(found["retrieval"].mean()) < 1 and 0 < float(found["consistency"].mean()) < 1


def test_equally_near_ones_are_chance():
    """An encoder that says the same of all images finds the original as often as a guess."""
    h = torch.ones(10, 3) + torch.tensor([0.0, 0.0, 0.0])
    varied = normal(10, 3)
    found = compare(Clean(h, whitening(varied)), h)
    assert found["retrieval"].tolist() == pytest.approx([0.1] * 10)


def test_variance_is_its_definition():
    """1 - mean over images of the variance over views / the variance over both, by numpy."""
    h, moved = normal(20, 3) + 4, [normal(20, 3) + 0.5 * normal(20, 3, seed=s) + 4 for s in range(1, 6)]
    rows = Rows(20)
    for each in moved:
        rows.add(Clean(h, whitening(h)), each, None)
    every = np.stack([each.numpy() for each in moved])
    expected = 1 - every.var(0).sum(1).mean() / every.reshape(-1, 3).var(0).sum()
    found = summary(rows)
    assert found["variance"] == pytest.approx(expected)
    low, high = found["intervals"]["variance"]
    assert low < expected < high
    assert "cka" not in found and "consistency" not in found


def test_a_stopped_measure_goes_on():
    """From its tensors: the same rows as in one go, bitwise; what is done is not done again."""
    images = photos(24)
    encoder, s = Pixels(3, 12), sweep("rotation", 12, 5)
    h = represent(encoder, images)
    clean = Clean(h, whitening(h))
    whole, told = follow(encoder, images, s, clean), []
    stopped = Rows(24)

    def stop(views: int) -> None:
        if len(stopped.rows) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        follow(encoder, images, s, clean, stopped, stop)
    again = follow(encoder, images, s, clean, Rows.of(24, stopped.state()), told.append)
    assert told == [24] * 3 and len(again.rows) == 5
    assert all(torch.equal(again.state()[key], x) for key, x in whole.state().items())
    assert summary(again) == summary(whole)


def test_shrinkage_is_ledoit_and_wolfs():
    """scikit-learn's number, where the covariance is singular; none where it is not; what is given counts."""
    x = normal(20, 30) * torch.linspace(0.2, 3, 30)
    expected = sklearns(x.numpy())[1]
    assert ledoit_wolf(x - x.mean(0)) == pytest.approx(expected) == pytest.approx(whitening(x).shrinkage)
    assert whitening(x[:, :5]).shrinkage == 0 and whitening(x[:, :5], 0.3).shrinkage == 0.3
    shrunk = 0.7 * np.cov(x[:, :5].numpy(), rowvar=False)
    shrunk += 0.3 * np.trace(shrunk) / 0.7 / 5 * np.eye(5)
    axes = whitening(x[:, :5], 0.3).axes.numpy()
    np.testing.assert_allclose(axes.T @ shrunk @ axes, np.eye(5), atol=1e-10)
    ridged = whitening(x[:, :5], 0.0, ridge=2.0).axes.numpy()
    np.testing.assert_allclose(
        ridged @ ridged.T, np.linalg.inv(np.cov(x[:, :5].numpy(), rowvar=False) + 2 * np.eye(5)), rtol=1e-9
    )


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"x": torch.ones(9, 3)}, "all 9 reference images have the same representation"),
        ({"x": normal(1, 3)}, "needs 2 reference images at least, not 1"),
        ({"x": normal(5, 9), "shrinkage": 0.0}, r"singular: `shrinkage` \(=0\) must be larger"),
        ({"x": normal(5, 2), "shrinkage": 1.5}, r"`shrinkage` \(=1.5\)"),
        ({"x": normal(5, 2), "ridge": -1.0}, r"`ridge` \(=-1.0\)"),
    ],
)
def test_what_cannot_be_whitened(given, words):
    """Is refused in words."""
    with pytest.raises(ValueError, match=words):
        whitening(**given)


def test_cka_is_its_formula():
    """The estimate without bias by loops over pairs, triples and quadruples of different images."""
    n = 6
    a, b = normal(n, 3), normal(n, 3) + 0.5 * normal(n, 3, seed=1)
    k, l = ((x - x.mean(0)) @ (x - x.mean(0)).T for x in (a, b))  # noqa: E741
    pick = range(n)

    def hsic(k, l):  # noqa: E741
        two = [k[i, j] * l[i, j] for i in pick for j in pick if i != j]
        three = [k[i, j] * l[i, m] for i in pick for j in pick for m in pick if len({i, j, m}) == 3]
        four = [k[i, j] * l[m, q] for i in pick for j in pick for m in pick for q in pick if len({i, j, m, q}) == 4]
        return float(sum(two) / len(two) + sum(four) / len(four) - 2 * sum(three) / len(three))

    expected = hsic(k, l) / math.sqrt(hsic(k, k) * hsic(l, l))
    assert float(cka.cka(a, b)) == pytest.approx(expected)
    kept = [0, 1, 2, 3]  # without the last of three parts
    assert float(cka.without_each(k.fill_diagonal_(0), l.fill_diagonal_(0), 3)[2]) == pytest.approx(
        float(cka.of_grams(k[kept][:, kept], l[kept][:, kept]))
    )


def test_cka_knows_no_rotation_and_no_scale():
    """1 for a rotated, scaled and shifted copy; 0 for others in the mean; 0 where nothing varies; 4 images at least."""
    a = normal(300, 6)
    turn = torch.linalg.qr(normal(6, 6, seed=1))[0]
    assert float(cka.cka(a, 3 * a @ turn + 7)) == pytest.approx(1)
    chance = [float(cka.cka(a, normal(300, 6, seed=s))) for s in range(2, 12)]
    assert abs(np.mean(chance)) < 0.02
    assert float(cka.cka(a, torch.ones(300, 6))) == 0
    with pytest.raises(ValueError, match="4 images at least, not 3"):
        cka.cka(a[:3], a[:3])


def test_groups_are_loops():
    """Cosines of all pairs, with and without each view and itself; distances; the nearest of all other images."""
    groups = [normal(v, 4, seed=v) + 2 * normal(1, 4, seed=10 + v) for v in (2, 3, 5)]
    whiten = whitening(normal(50, 4, seed=30) * 2)
    found = over_groups(groups, whiten)
    inverse = (whiten.axes @ whiten.axes.T).numpy()

    def cosine(a, b, m):
        return (a @ m @ b) / math.sqrt((a @ m @ a) * (b @ m @ b))

    similar, pairs, apart, plain, hits = [], [], [], [], []
    every = [(i, x.numpy()) for i, group in enumerate(groups) for x in group]
    for i, group in enumerate(groups):
        views = [(x - whiten.mean).numpy() for x in group]
        v = range(len(views))
        similar.append(np.mean([cosine(views[a], views[b], inverse) for a in v for b in v]))
        pairs.append(np.mean([cosine(views[a], views[b], inverse) for a in v for b in v if a != b]))
        gaps = [views[a] - views[b] for a in v for b in range(a)]
        apart.append(np.mean([math.sqrt(gap @ inverse @ gap) for gap in gaps]))
        raw = group.numpy()
        plain.append(np.mean([cosine(raw[a], raw[b], np.eye(4)) for a in v for b in range(a)]))
        nearest = []
        for x in raw:
            others = [(cosine(x, y, np.eye(4)), owner) for owner, y in every if y is not x and not np.array_equal(x, y)]
            nearest.append(max(others)[1] == i)
        hits.append(np.mean(nearest))
    assert found["similarities"] == pytest.approx(similar) and found["similarity"] == pytest.approx(np.mean(similar))
    assert found["distances"] == pytest.approx(apart) and found["distance"] == pytest.approx(np.mean(apart))
    assert found["pairs"] == pytest.approx(np.mean(pairs)) and found["cosine"] == pytest.approx(np.mean(plain))
    assert found["retrieval"] == pytest.approx(np.mean(hits))
    stacked = np.concatenate([group.numpy() for group in groups])
    within = sum(group.numpy().var(0).sum() * len(group) for group in groups) / len(stacked)
    assert found["variance"] == pytest.approx(1 - within / stacked.var(0).sum())
    assert set(found["intervals"]) == {"similarity", "distance", "pairs", "cosine", "retrieval", "variance"}
    for wrong, words in (([normal(2, 4), normal(1, 4)], "group 1 has fewer than 2 views"), ([], "no groups")):
        with pytest.raises(ValueError, match=words):
            over_groups(wrong, whiten)


def test_bands_are_intervals_of_means():
    """Of normal numbers: 1.96 standard errors to either side, for each row its own."""
    rows = torch.stack([normal(400), 5 + 3 * normal(400, seed=1)])
    low, high = bands(rows, 0)
    error = rows.std(1) / 20
    torch.testing.assert_close(high - low, 2 * 1.96 * error, rtol=0.1, atol=0)
    torch.testing.assert_close((high + low) / 2, rows.mean(1), rtol=0, atol=0.05)
