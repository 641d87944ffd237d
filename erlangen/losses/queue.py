"""The contrastive loss against a queue of keys (MoCo, He et al. 2020, arXiv:1911.05722)."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.losses.blocks import blockwise
from erlangen.losses.checks import check_positive, check_same
from erlangen.losses.precision import exact


@exact
def moco(
    q: Float[Tensor, "n d"], k: Float[Tensor, "n d"], queue: Float[Tensor, "d m"], temperature: float
) -> Float[Tensor, ""]:
    """InfoNCE of queries, each with its own key and m others (MoCo, eq. 1), mean over the queries:

    -log exp(q.k / t) / (exp(q.k / t) + sum over j of exp(q.queue_j / t)), q and k divided by their lengths.

    The columns of the queue are taken as they are: keys of length 1. Only q gets a gradient. A query that is its key,
    against one key orthogonal to it, at temperature 1: ln(1 + 1 / e) = 0.3133. Costs the memory of a block of rows,
    however many queries there are. `ValueError` for shapes that do not fit and for a
    temperature that is not above 0.
    """
    _check(q, k, queue, temperature)

    def part(rows: slice) -> Tensor:
        logits = _logits(q[rows], k[rows], queue, temperature)
        return F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long, device=q.device), reduction="sum")

    return torch.stack(blockwise(part, len(q), 1 + queue.shape[1])).sum() / len(q)


@exact
def queue_logits(
    q: Float[Tensor, "n d"], k: Float[Tensor, "n d"], queue: Float[Tensor, "d m"], temperature: float
) -> Float[Tensor, "n 1+m"]:
    """What `moco` compares, as a whole table: cosine / temperature, first that of the own key, then the queue's.

    A query that is its key, against one key orthogonal to it, at temperature 1/2: 2 and 0. `ValueError` as there.
    """
    _check(q, k, queue, temperature)
    return _logits(q, k, queue, temperature)


@exact
def outranked(q: Float[Tensor, "n d"], k: Float[Tensor, "n d"], queue: Float[Tensor, "d m"]) -> Int[Tensor, " n"]:
    """By how many keys of the queue a query's own key is outranked: it is among the first r where there are fewer.

    A query (1, 0) whose key is (0, 1), against (1, 0), (0, 1) and (0, -1): 1, as a tie outranks nobody. Without
    gradient, in blocks of rows as `moco`.
    """
    _check(q, k, queue, 1.0)

    def part(rows: slice) -> Tensor:
        logits = _logits(q[rows], k[rows], queue, 1.0)
        return (logits[:, 1:] > logits[:, :1]).sum(1)

    with torch.no_grad():
        return torch.cat(blockwise(part, len(q), 1 + queue.shape[1]))


def _check(q: Tensor, k: Tensor, queue: Tensor, temperature: float) -> None:
    check_same(q=q, k=k)
    check_positive(temperature=temperature)
    if queue.ndim != 2 or len(queue) != q.shape[1]:
        raise ValueError(f"`queue` {tuple(queue.shape)} must be (dimensions, keys), with {q.shape[1]} dimensions")


def _logits(q: Tensor, k: Tensor, queue: Tensor, temperature: float) -> Tensor:
    q, k = F.normalize(q, dim=1), F.normalize(k.detach(), dim=1)
    return torch.cat([(q * k).sum(1, keepdim=True), q @ queue.detach()], 1) / temperature
