"""CARE's loss, method and views against a slow loop, its known limits, and what its paper says of orthogonal maps."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_losses import nt_xent_loop

from erlangen import dist
from erlangen.encoders import build_encoder
from erlangen.losses import gram
from erlangen.methods.care import CARE
from erlangen.recipes import recipe
from erlangen.transforms.presets import CAREViews, SimCLRViews, chunks
from erlangen.transforms.presets.chunks import SharedDraws
from erlangen.views import Batch, Draws, generator

FEW = settings(deadline=None, max_examples=20, derandomize=True)
SEEDS = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def orthogonal(d: int, seed: int = 0) -> torch.Tensor:
    return torch.linalg.qr(normal(d, d, seed=seed)).Q


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def within(z1: np.ndarray, z2: np.ndarray) -> float:
    """Over ordered pairs of different images of a chunk: how far their cosines are apart, squared."""
    pairs = [(i, j) for i in range(len(z1)) for j in range(len(z1)) if i != j]
    return sum((cosine(z1[i], z1[j]) - cosine(z2[i], z2[j])) ** 2 for i, j in pairs)


def care_loop(z1: np.ndarray, z2: np.ndarray, chunk: int) -> float:
    """Chunk by chunk as the authors have it: 2/n of a chunk's sum, mean over the S chunks."""
    starts = range(0, len(z1), chunk)
    return sum(2 / chunk * within(z1[i : i + chunk], z2[i : i + chunk]) for i in starts) / len(starts)


@FEW
@given(chunks=st.integers(1, 4), chunk=st.integers(1, 5), d=st.integers(1, 6), seed=SEEDS)
def test_gram_is_the_loop(chunks, chunk, d, seed):
    """Batches of whole chunks: the authors' normalisation."""
    z1, z2 = normal(2, chunks * chunk, d, seed=seed)
    assert gram(z1, z2, chunk).item() == pytest.approx(care_loop(z1.numpy(), z2.numpy(), chunk), abs=1e-12)


@FEW
@given(n=st.integers(1, 11), chunk=st.integers(1, 14), seed=SEEDS)
def test_a_smaller_last_chunk_counts_by_its_images(n, chunk, seed):
    """Any batch: 2 / n times the sum over all pairs that share a chunk."""
    z1, z2 = normal(2, n, 3, seed=seed)
    parts = [slice(i, i + chunk) for i in range(0, n, chunk)]
    expected = 2 / n * sum(within(z1[part].numpy(), z2[part].numpy()) for part in parts)
    assert gram(z1, z2, chunk).item() == pytest.approx(expected, abs=1e-12)


def test_gram_by_hand():
    """Orthogonal in one view, equal in the other: cosines 0 and 1, twice, so 2/2 * 2 * 1 = 2; lengths do not matter."""
    z1, z2 = torch.tensor([[3.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [2.0, 2.0]])
    assert gram(z1, z2, 2).item() == pytest.approx(2.0)
    assert gram(z1, z2, 1).item() == pytest.approx(0.0, abs=1e-6)


@FEW
@given(chunk=st.integers(2, 6), d=st.integers(2, 6), seed=SEEDS)
def test_an_orthogonal_map_of_each_chunk_costs_nothing(chunk, d, seed):
    """A' = A R with one R for each chunk: 0 to rounding; two maps within a chunk cost something."""
    z = normal(3 * chunk, d, seed=seed)
    turned = torch.cat([part @ orthogonal(d, seed + i) for i, part in enumerate(z.split(chunk))])
    assert gram(z, turned, chunk).item() < 1e-24
    assert gram(z, turned, 2 * chunk).item() > 1e-6
    assert gram(z, z, chunk).item() == 0


@FEW
@given(seed=SEEDS)
def test_whole_chunks_may_change_places(seed):
    """And the images of a chunk among themselves; an image in another chunk is another loss."""
    z1, z2 = normal(2, 12, 4, seed=seed)
    order = torch.tensor([8, 9, 10, 11, 3, 1, 0, 2, 4, 5, 6, 7])
    assert gram(z1[order], z2[order], 4).item() == pytest.approx(gram(z1, z2, 4).item(), rel=1e-12)
    other = order.roll(1)
    assert abs(gram(z1[other], z2[other], 4).item() - gram(z1, z2, 4).item()) > 1e-6


def test_the_gradient_is_that_of_the_definition():
    """By central differences, for a chunk that does not divide the batch."""
    z1, z2 = normal(2, 5, 3).requires_grad_().unbind()
    assert torch.autograd.gradcheck(lambda a, b: gram(a, b, 2), (z1, z2))


def test_bad_input_is_refused(unchecked):
    """Chunks below 1, shapes that differ, a chunk of one image for the method, numbers that mean nothing."""
    z = normal(4, 3)
    with pytest.raises(ValueError, match=r"`chunk` \(=0\)"):
        gram(z, z, 0)
    with pytest.raises(ValueError, match="must be of one shape"):
        gram(z, z[:2], 2)
    for wrong, message in (
        ({"chunk": 1}, r"`chunk` \(=1\)"),
        ({"weight": -1.0}, "`weight`"),
        ({"temperature": 0.0}, "`t"),
    ):
        with pytest.raises(ValueError, match=message):
            CARE(**wrong)
    with pytest.raises(ValueError, match=r"`chunk` \(=0\)"):
        CAREViews(chunk=0)


def batch(n: int) -> Batch:
    images = torch.randint(0, 256, (n, 3, 16, 16), dtype=torch.uint8, generator=generator("care"))
    return Batch(images, torch.arange(n))


def test_the_method_is_its_two_losses():
    """NT-Xent of the first two views and weight times the Gram loss of the others, both by their loops."""
    method, views = CARE(chunk=4, weight=0.7, hidden=(8,), out=6), CAREViews(chunk=4).build(3, 16)
    nets = method.build(build_encoder("small", 3, 16)).double()
    given = views(batch(10), Draws(generator(0)))
    given = [replace(view, images=view.images.double()) for view in given]
    output = method.loss(nets, given)
    z1, z2, z3, z4 = (nets.projector(nets.encoder(view.images)).detach().numpy() for view in given)
    parts = [slice(i, i + 4) for i in (0, 4, 8)]
    equivariance = 2 / 10 * sum(within(z3[part], z4[part]) for part in parts)
    contrast = nt_xent_loop(z1, z2, 0.5)
    assert output.loss.item() == pytest.approx(contrast + 0.7 * equivariance, rel=1e-10)
    assert output.logs["contrast"].item() == pytest.approx(contrast, rel=1e-10)
    assert output.logs["equivariance"].item() == pytest.approx(equivariance, rel=1e-10)


def test_the_views_share_what_they_shall():
    """Views 1 and 2 have parameters of every image's own; 3 and 4 have those of a chunk, each view others."""
    views = CAREViews(SimCLRViews(rotation=1.0), chunk=4).build(3, 16)(batch(10), Draws(generator(0)))
    rows = [torch.cat([p for p in view.params.values()], 1) for view in views]
    assert [len(row.unique(dim=0)) for row in rows] == [10, 10, 3, 3]
    for row in rows[2:]:
        assert all(bool((part == part[0]).all()) for part in row.split(4))
    assert not any(torch.equal(a, b) for i, a in enumerate(rows) for b in rows[:i])


def test_chunks_are_those_of_the_global_batch(monkeypatch):
    """Ranks of 5 and 4 images hold the rows of one process's draw, though a chunk of 3 lies across both."""
    whole = SharedDraws(generator(0), 3)(9, 2)
    with dist.shares((5, 4)):
        first = SharedDraws(generator(0), 3)(5, 2)
        monkeypatch.setattr(chunks, "rank", lambda: 1)
        second = SharedDraws(generator(0), 3)(4, 2)
    assert torch.equal(torch.cat([first, second]), whole)
    assert len(whole.unique(dim=0)) == 3 and torch.equal(whole[3], whole[5])


def test_method_and_views_must_agree_on_chunks():
    """A recipe whose two chunks differ names both."""
    with pytest.raises(ValueError, match=r"`method.chunk` \(=8\) and `views.chunk` \(=16\): .* agree"):
        recipe("care-cifar10", **{"method.chunk": 8})
