"""Across ranks. What takes tensors is differentiable (the backward sums over ranks), the identity on one process."""

from collections.abc import Callable, Iterator
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


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.rows = len(x)
        parts = [torch.empty_like(x, memory_format=torch.contiguous_format) for _ in range(world())]
        dist.all_gather(parts, x.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        grad = grad.contiguous().clone()
        dist.all_reduce(grad)
        return grad[rank() * ctx.rows :][: ctx.rows]


def gather(x: Shaped[Tensor, "n ..."]) -> Shaped[Tensor, "m ..."]:
    """The rows of all ranks, in the order of the global batch; every rank must give as many."""
    if world() == 1:
        return x
    rows: Tensor = _Gather.apply(x)
    return rows


def mean_over_ranks(x: Shaped[Tensor, "..."]) -> Shaped[Tensor, "..."]:
    return gather(x[None]).mean(0)


def on_rank_0(action: Callable[[], None]) -> None:
    """Runs it on rank 0 only; a `ValueError` there is raised on every rank, so that all stop alike."""
    problem = [""]
    if rank() == 0:
        try:
            action()
        except ValueError as error:
            problem = [str(error)]
    if world() > 1:
        dist.broadcast_object_list(problem)
    if problem[0]:
        raise ValueError(problem[0])


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
