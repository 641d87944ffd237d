"""Large tables of similarities in blocks of rows, so that no more than one block is ever in memory."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from torch import Tensor
from torch.utils.checkpoint import checkpoint

T = TypeVar("T", Tensor, tuple[Tensor, ...])

LARGEST = 2**22  # entries of a table that is made as a whole; 16 MiB in float32


def blockwise(part: Callable[[slice], T], rows: int, columns: int) -> list[T]:
    """`part(rows)` of a table of this many rows and columns, for blocks of rows: one if the table is small.

    A larger table costs the memory of a block: what a block computes is thrown away and computed again in the backward,
    so `part` must have no state and draw nothing at random.
    """
    size = max(1, LARGEST // columns)
    if rows <= size:
        return [part(slice(0, rows))]
    run = partial(checkpoint, part, use_reentrant=False, preserve_rng_state=False)
    return [run(slice(start, min(start + size, rows))) for start in range(0, rows, size)]
