"""Across ranks. What takes tensors is differentiable (the backward sums over ranks), the identity on one process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Shaped
from torch import Tensor


def world() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def parts(rows: int, count: int) -> tuple[int, ...]:
    """The sizes of `count` parts of so many rows, as equal as can be, the first ones larger."""
    least, more = divmod(rows, count)
    return (least + 1,) * more + (least,) * (count - more)


_rows: tuple[int, ...] = ()  # how many images of the batch each rank holds; empty: as many each


@contextmanager
def shares(rows: Sequence[int]) -> Iterator[None]:
    """Within, rank r holds `rows[r]` images of the batch: `gather` and `mean_over_ranks` count with it."""
    global _rows
    before, _rows = _rows, tuple(rows) if len(set(rows)) > 1 else ()
    try:
        yield
    finally:
        _rows = before


def held(rows: int) -> tuple[int, ...]:
    """How many images of the batch each rank holds, this one `rows`."""
    return _rows or (rows,) * world()


def weight() -> float:
    """What a mean over this rank's rows counts for in the mean over ranks: 1 where all hold as many."""
    return _rows[rank()] * len(_rows) / sum(_rows) if _rows else 1.0


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: tuple[int, ...]) -> Tensor:
        most = max(sizes)
        ctx.start, ctx.rows = sum(sizes[: rank()]), len(x)
        padded = torch.cat([x, x.new_zeros(most - len(x), *x.shape[1:])]) if len(x) < most else x.contiguous()
        received = [torch.empty_like(padded) for _ in sizes]
        dist.all_gather(received, padded)
        return torch.cat([each[:size] for each, size in zip(received, sizes, strict=True)])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        grad = grad.contiguous().clone()
        dist.all_reduce(grad)
        return grad[ctx.start :][: ctx.rows], None


def gather(x: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "m ..."]:
    """The rows of all ranks, in the order of the global batch; every rank gives one, or several, for each image."""
    if world() == 1:
        return x
    if not _rows:
        return stack_over_ranks(x).flatten(0, 1)
    times = len(x) // _rows[rank()]  # not divmod, which torch.compile cannot trace
    if len(x) % _rows[rank()]:
        raise ValueError(f"{len(x)} rows cannot be gathered from a rank that holds {_rows[rank()]} images of the batch")
    rows: Tensor = _Gather.apply(x, tuple(times * n for n in _rows))
    return rows


def stack_over_ranks(x: Shaped[Tensor, "..."]) -> Shaped[Tensor, "ranks ..."]:
    """The tensors of all ranks, of one shape, along a new first dimension."""
    if world() == 1:
        return x[None]
    stacked: Tensor = _Gather.apply(x[None], (1,) * world())
    return stacked


def mean_over_ranks(x: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """Of what is a mean over each rank's images: the mean over all images."""
    return stack_over_ranks(x * weight() if _rows else x).mean(0)


def local(x: Tensor) -> Tensor:
    """This rank's part of a tensor that FSDP2 shares out (a DTensor, whose import takes half a second); x otherwise."""
    to_local: Callable[[], Tensor] | None = getattr(x, "to_local", None)
    return to_local() if to_local else x


def from_rank_0(x: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    """Rank 0's value on every rank, for what is drawn at random and must be common; without gradient."""
    if world() == 1:
        return x
    x = x.detach().contiguous().clone()
    dist.broadcast(x, 0)
    return x


def whole(x: Tensor) -> Tensor:
    """All of a tensor that FSDP2 shares out; x otherwise. Called by all ranks."""
    full: Callable[[], Tensor] | None = getattr(x, "full_tensor", None)
    return full() if full else x


@torch.no_grad()
def assign_(x: Tensor, value: Tensor) -> None:
    """x <- value, which is whole on every rank; of a tensor that FSDP2 shares out each rank writes its part."""
    if hasattr(x, "to_local"):
        from torch.distributed.tensor import DTensor, distribute_tensor

        assert isinstance(x, DTensor)
        value = distribute_tensor(value.to(x.dtype), x.device_mesh, x.placements)
    x.copy_(value)


def on_rank_0(action: Callable[[], None]) -> None:
    """Runs it on rank 0 only; what is raised there is raised on every rank, so that all stop alike."""
    problem: list[str] = [""]
    kinds: tuple[type[Exception], ...] = (ValueError, OSError, RuntimeError)  # the last for all that are neither
    mine: Exception | None = None
    if rank() == 0:
        try:
            action()
        except Exception as error:
            mine = error
            problem = [f"{next((i for i, kind in enumerate(kinds) if isinstance(error, kind)), 2)}{error}"]
    if world() > 1:
        dist.broadcast_object_list(problem)
    if mine:
        raise mine
    if problem[0]:
        raise kinds[int(problem[0][0])](problem[0][1:])


@contextmanager
def rank_0_first() -> Iterator[None]:
    """The block runs on rank 0, then on the others, which find what it downloaded."""
    if rank() > 0:
        dist.barrier()
    try:
        yield
    finally:
        if rank() == 0 and world() > 1:
            dist.barrier()
