"""Nearest neighbours by cosine similarity, exactly, at the price of the product of matrices."""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

ROWS = 1024  # queries at a time: fewer make the product slower, more need memory
BLOCK = 16  # similarities of which the largest is found first


def nearest(
    bank: Float[Tensor, "n d"], x: Float[Tensor, "m d"], k: int
) -> tuple[Float[Tensor, "m k"], Int[Tensor, "m k"]]:
    """The k largest cosine similarities of each row of x and whose they are, the largest first.

    The k largest of a row lie in the k blocks whose own largest are the largest: only those are sorted. A block is not
    what stands together but every so-manieth, so that the largest are found for all blocks side by side.
    """
    bank = F.normalize(bank, dim=1)
    products = bank.new_empty(min(ROWS, len(x)), len(bank))  # the memory of all parts, which is slow to get
    values, index = bank.new_empty(len(x), k), torch.empty(len(x), k, dtype=torch.long, device=x.device)
    blocks = len(bank) // BLOCK
    for start in range(0, len(x), ROWS):
        part = slice(start, min(start + ROWS, len(x)))
        similarity = products[: part.stop - start]
        torch.mm(F.normalize(x[part], dim=1), bank.T, out=similarity)
        if blocks < 2 * k:
            torch.topk(similarity, k, dim=1, out=(values[part], index[part]))
            continue
        cells = similarity[:, : blocks * BLOCK].view(len(similarity), BLOCK, blocks)
        best = cells.amax(1).topk(k, dim=1).indices
        inside = cells.gather(2, best[:, None].expand(-1, BLOCK, -1)).flatten(1)
        values[part], chosen = torch.cat([inside, similarity[:, blocks * BLOCK :]], 1).topk(k, dim=1)
        found = best.gather(1, chosen % k) + chosen // k * blocks
        index[part] = torch.where(chosen < k * BLOCK, found, chosen + (blocks - k) * BLOCK)  # else of those left over
    return values, index


def check_neighbours(k: int, temperature: float) -> None:
    if k < 1 or not temperature > 0:
        raise ValueError(f"nearest neighbours need `k` (={k}) >= 1 and `temperature` (={temperature}) > 0")


def knn_votes(
    bank: Float[Tensor, "n d"],
    bank_labels: Int[Tensor, " n"],
    x: Float[Tensor, "m d"],
    k: int = 20,
    temperature: float = 0.07,
) -> Float[Tensor, "m c"]:
    """For every class, weighted nearest neighbours (Wu et al. 2018, arXiv:1805.01978): cosine s votes with exp(s / T).

    Divided by the vote of the nearest, so that nothing overflows. `ValueError` unless `k` is at least 1 and
    `temperature` above 0. More neighbours than there are means all.
    """
    check_neighbours(k, temperature)
    similarity, index = nearest(bank, x, min(k, len(bank)))
    votes = torch.zeros(len(x), int(bank_labels.max()) + 1, dtype=similarity.dtype, device=x.device)
    weights = ((similarity - similarity[:, :1]) / temperature).exp()
    return votes.scatter_add_(1, bank_labels[index], weights)


def knn_predict(
    bank: Float[Tensor, "n d"],
    bank_labels: Int[Tensor, " n"],
    x: Float[Tensor, "m d"],
    k: int = 20,
    temperature: float = 0.07,
) -> Int[Tensor, " m"]:
    """The class with most of the `knn_votes`."""
    return knn_votes(bank, bank_labels, x, k, temperature).argmax(1)


def knn_accuracy(
    bank: Float[Tensor, "n d"],
    bank_labels: Int[Tensor, " n"],
    x: Float[Tensor, "m d"],
    labels: Int[Tensor, " m"],
    k: int = 20,
    temperature: float = 0.07,
) -> float:
    """How many of the labels `knn_predict` finds; `ValueError` as there."""
    return int((knn_predict(bank, bank_labels, x, k, temperature) == labels).sum()) / len(x)
