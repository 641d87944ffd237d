"""The contrastive loss against a queue: an independent slow loop in float64, blocks, memory."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from erlangen.losses import blocks, moco, outranked, queue_logits

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SEEDS = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def logits_loop(q: np.ndarray, k: np.ndarray, queue: np.ndarray, temperature: float) -> list[list[float]]:
    """Cosines with the own key and with every column, number by number."""
    rows = []
    for query, key in zip(q, k, strict=True):
        length = math.sqrt(sum(x * x for x in query))
        own = sum(a * b for a, b in zip(query, key, strict=True)) / math.sqrt(sum(x * x for x in key))
        others = [sum(a * b for a, b in zip(query, column, strict=True)) for column in queue.T]
        rows.append([x / length / temperature for x in (own, *others)])
    return rows


@FEW
@given(n=st.integers(1, 6), d=st.integers(1, 5), m=st.integers(1, 9), temperature=st.floats(0.05, 2.0), seed=SEEDS)
def test_moco_is_the_loop(n, d, m, temperature, seed):
    """Logits, loss and ranks equal loops over queries, keys and dimensions."""
    q, k, queue = normal(n, d, seed=seed), normal(n, d, seed=seed + 1), normal(d, m, seed=seed + 2)
    rows = logits_loop(q.numpy(), k.numpy(), queue.numpy(), temperature)
    losses = [math.log(sum(math.exp(x - row[0]) for x in row)) for row in rows]
    assert queue_logits(q, k, queue, temperature).numpy() == pytest.approx(np.array(rows))
    assert moco(q, k, queue, temperature).item() == pytest.approx(sum(losses) / n)
    assert outranked(q, k, queue).tolist() == [sum(x > row[0] for x in row[1:]) for row in rows]


def test_by_hand():
    """The documented numbers."""
    q, k = torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 0.0]])
    across = torch.tensor([[0.0], [1.0]])
    assert moco(q, k, across, 1.0).item() == pytest.approx(0.3133, abs=1e-4)
    assert queue_logits(q, k, across, 0.5).tolist() == [[2.0, 0.0]]
    queue = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, -1.0]])
    assert outranked(q, torch.tensor([[0.0, 1.0]]), queue).tolist() == [1]


def test_only_the_query_learns():
    """Its gradient is the finite difference; key and queue get none."""
    q, k, queue = normal(3, 4).requires_grad_(), normal(3, 4, seed=1), normal(4, 5, seed=2)
    assert torch.autograd.gradcheck(lambda x: moco(x, k, queue, 0.5), (q,))
    moco(q, k.requires_grad_(), queue.requires_grad_(), 0.5).backward()
    assert k.grad is None and queue.grad is None and q.grad.abs().sum() > 0
    assert not outranked(q, k, queue).requires_grad


@pytest.mark.parametrize("largest", [1, 17, 40])
def test_blocks_change_nothing(largest, monkeypatch):
    """In blocks of one, one and two rows, the last of them smaller: loss, gradient and ranks to 1e-12."""
    q, k, queue = normal(5, 4).requires_grad_(), normal(5, 4, seed=1), normal(4, 16, seed=2)
    whole, ranks = moco(q, k, queue, 0.2), outranked(q, k, queue)
    (expected,) = torch.autograd.grad(whole, q)
    monkeypatch.setattr(blocks, "LARGEST", largest)
    loss = moco(q, k, queue, 0.2)
    (found,) = torch.autograd.grad(loss, q)
    assert torch.allclose(loss, whole, rtol=1e-12) and torch.allclose(found, expected, rtol=1e-12, atol=1e-14)
    assert torch.equal(outranked(q, k, queue), ranks)


def test_2048_images_in_float32_are_exact_to_a_millionth():
    """A table that is made twice, against the plain form in float64, at a temperature of .07."""
    q, k, queue = normal(2048, 128), normal(2048, 128, seed=1), normal(128, 4096, seed=2)
    queue = torch.nn.functional.normalize(queue, dim=0)
    assert 2048 * 4097 > blocks.KEPT
    loss = moco(q.float(), k.float(), queue.float(), 0.07)
    logits = queue_logits(q, k, queue, 0.07)
    plain = torch.nn.functional.cross_entropy(logits, torch.zeros(2048, dtype=torch.long))
    assert loss.dtype == torch.float32 and loss.item() == pytest.approx(plain.item(), rel=1e-6)


class Largest(TorchDispatchMode):
    """The number of entries of the largest tensor that anything gives, in the backward too."""

    entries = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = func(*args, **(kwargs or {}))
        self.entries = max([self.entries, *(x.numel() for x in tree_leaves(given) if isinstance(x, torch.Tensor))])
        return given


@pytest.mark.parametrize("largest, rows", [(2**24, 64), (1000, 3)])
def test_memory_is_that_of_a_block(largest, rows, monkeypatch):
    """A table of 64 x 301 in blocks of 1,000 entries: no tensor is larger, and no block waits for the backward."""
    monkeypatch.setattr(blocks, "LARGEST", largest)
    q, k, queue = normal(64, 2).requires_grad_(), normal(64, 2, seed=1), normal(2, 300, seed=2)
    kept: list[int] = []
    with Largest() as seen, saved_tensors_hooks(lambda x: kept.append(x.numel()) or x, lambda x: x):
        moco(q, k, queue, 0.2).backward()
        outranked(q.detach(), k, queue)
    assert rows * 300 <= seen.entries <= rows * 301
    assert (max(kept) < 300) == (rows < 64)


def test_impossible_temperatures_are_refused():
    """By name and value."""
    for loss in (moco, queue_logits):
        with pytest.raises(ValueError, match=r"`temperature` \(=0.0\) must be above 0"):
            loss(normal(2, 4), normal(2, 4), normal(4, 8), 0.0)


@pytest.mark.parametrize("place, name", list(enumerate(("q", "k", "queue"))))
def test_what_is_not_finite_is_named(place, name):
    """Whichever of the three tensors it is in."""
    given = [normal(2, 4), normal(2, 4), normal(4, 8)]
    given[place][0, 0] = float("nan")
    with pytest.raises(ValueError, match=f"`{name}` of moco .* not finite"):
        moco(*given, 0.2)
