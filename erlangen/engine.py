"""Processes and devices: torch.distributed only, started by torchrun; one process needs nothing."""

import inspect
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from erlangen.dist import world
from erlangen.nets import convert


@contextmanager
def process_group() -> Iterator[torch.device]:
    """Joins the group that torchrun announces in the environment, if any, and gives this process its device.

    Inside a group that has been joined already it joins no other.
    """
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", 0)))
        torch.cuda.set_device(device)
    joins = "WORLD_SIZE" in os.environ and not dist.is_initialized()
    if joins:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield device
        if joins:
            dist.barrier()  # all leave together: gloo aborts now and then where one rank leaves first
    finally:
        if joins:
            dist.destroy_process_group()


def parallel(learner: nn.Module) -> nn.Module:
    """DDP. Buffers are equal through synchronised statistics, never through rank 0's broadcast."""
    if world() == 1:
        return learner
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # as it was called before
    option: dict[str, Any] = {name: False}
    return DistributedDataParallel(convert(learner), **option)
