"""Large tables of similarities in blocks of rows, so that no more than one block is ever in memory."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from torch import Tensor
from torch.utils.checkpoint import checkpoint

T = TypeVar("T", Tensor, tuple[Tensor, ...])

# Entries of a block: 64 MiB in float32. Blocks below 32 MiB would stay in malloc's heap and scatter there, so that all
# together cost what the table does.
LARGEST = 2**24
KEPT = 2**22  # entries of a table that is kept for the backward


def blockwise(part: Callable[[slice], T], rows: int, columns: int) -> list[T]:
    """`part(rows)` of a table of this many rows and columns, for blocks of rows: one if the table is small.

    What a block computes is thrown away and computed again in the backward unless the whole table is small, so `part`
    must have no state and draw nothing at random; the memory is that of a block.
    """
    if rows * columns <= min(KEPT, LARGEST):
        return [part(slice(0, rows))]
    size = max(1, LARGEST // columns)
    run = partial(checkpoint, part, use_reentrant=False, preserve_rng_state=False)
    return [run(slice(start, min(start + size, rows))) for start in range(0, rows, size)]
