"""Processes, devices, precision, and the mechanics of a step: torch.distributed only, started by torchrun."""

import gc
import inspect
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim import Optimizer

from erlangen.accumulation import in_parts, joined
from erlangen.chunks import compiler_exists
from erlangen.dist import held, parts, rank, shares, world
from erlangen.methods.base import Learner, Output, Precision
from erlangen.nets import Encoder, convert
from erlangen.views import View

LEAST_SCALE = 2.0**-14  # of a loss in float16; it begins at 2 ** 16


@contextmanager
def process_group(device: str | None = None) -> Iterator[torch.device]:
    """Joins the group that torchrun announces in the environment, if any, and gives this process its device.

    Inside a group that has been joined already it joins no other. `device` is a GPU if there is one, unless named.
    """
    place = _device(device)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    joins = "WORLD_SIZE" in os.environ and not dist.is_initialized()
    if joins:
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
    try:
        yield place
        if joins:
            dist.barrier()  # all leave together: gloo aborts now and then where one rank leaves first
    finally:
        if joins:
            gc.collect()  # DDP is in a reference cycle, holds the group, and gloo's threads must not outlive Python
            dist.destroy_process_group()


def _device(name: str | None) -> torch.device:
    kind, _, number = (name or ("cuda" if torch.cuda.is_available() else "cpu")).partition(":")
    if number and kind == "cuda" and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ValueError(
            f"`device` (={name}) is one GPU, and there are several processes: name cuda, each takes its own"
        )
    number = number or (os.environ.get("LOCAL_RANK", "0") if kind == "cuda" else "0")
    count = {"cpu": 1, "cuda": torch.cuda.device_count()}.get(kind, 0)
    if not number.isdecimal() or int(number) >= count:
        here = ", ".join(["cpu", *(f"cuda:{i}" for i in range(torch.cuda.device_count()))])
        raise ValueError(f"no `device` {name or f'cuda:{number}'!r} here; there are: {here}")
    return torch.device("cpu") if kind == "cpu" else torch.device("cuda", int(number))


@dataclass(frozen=True)
class Mechanics:
    """How a step is computed. But for clipping and `within` it is the same step, to rounding.

    Parts of a batch, exact or within, are statistics of their own to a BatchNorm in the encoder.
    """

    precision: Precision = "fp32"
    compile: bool = False
    compile_mode: Literal["default", "reduce-overhead"] = "default"
    channels_last: bool = False
    shard: bool = False
    accumulate: int = 1
    accumulation: Literal["exact", "within"] = "within"
    clip_norm: float | None = None
    clip_value: float | None = None

    def check(self, device: torch.device) -> None:
        """`ValueError` for what this device, or these options together, cannot do."""
        if self.precision == "fp16" and device.type == "cpu":
            raise ValueError("`precision` (=fp16) needs a GPU: on a CPU take bf16 or fp32")
        if self.precision == "fp16" and self.shard:
            raise ValueError("`precision` (=fp16) scales losses, which `shard` cannot follow: take bf16")
        if self.precision != "fp32" and torch.get_default_dtype() == torch.float64:
            raise ValueError(f"`precision` (={self.precision}) under a default of float64: take fp32, which leaves it")
        if self.compile and not compiler_exists():
            raise ValueError("`compile` needs a C++ compiler, and none is here: install g++, or leave it out")
        if self.compile and self.accumulate > 1 and self.accumulation == "exact":
            raise ValueError("`accumulation` (=exact) runs encoders twice, which `compile` cannot fuse: choose one")
        if self.shard and world() == 1:
            raise ValueError("`shard` shares networks out among ranks, and there is one: start several with torchrun")
        if self.compile_mode != "default" and not self.compile:
            raise ValueError(f"`compile_mode` (={self.compile_mode}) is of `compile`, which is off: ask for both")
        if self.compile_mode == "reduce-overhead" and self.accumulate > 1:
            raise ValueError(
                "`compile_mode` (=reduce-overhead) reuses the gradients that `accumulate` adds up: choose one"
            )
        if self.shard and self.channels_last:
            raise ValueError("`shard` needs contiguous parameters, which `channels_last` are not: choose one")
        if self.shard and self.compile:
            raise ValueError("`shard` changes networks as they run, which `compile` would undo: choose one")


class Stepper:
    """One optimiser step: forward and backward of all micro-batches, loss scaling, clipping."""

    def __init__(self, learner: Learner[Any], how: Mechanics, device: torch.device) -> None:
        self.how = how
        self.scaler = torch.amp.GradScaler(device.type, enabled=how.precision == "fp16")
        self.gradient_norm: Tensor | None = None
        exact = how.accumulate > 1 and how.accumulation == "exact"
        self.micro = 1 if exact else how.accumulate
        self.in_parts = [net for net in learner.modules() if isinstance(net, Encoder)] if exact else []
        for net in self.in_parts:
            net.forward = partial(in_parts, net, net.forward, how.accumulate)
        self.model = parallel(learner, how).train()

    def gradients(self, views: Sequence[View]) -> Output:
        """Adds the gradients of the mean loss over all micro-batches; their output is joined."""
        n, start, outputs = len(views[0].images), 0, []
        self.gradient_norm = None
        for i in range(self.micro):
            rows = [parts(of_rank, self.micro)[i] for of_rank in held(n)]
            some = slice(start, start + rows[rank()])
            start, share = some.stop, sum(rows) / sum(held(n))
            with shares(rows), nullcontext() if start == n else unsynchronised(self.model):
                if self.how.compile_mode == "reduce-overhead":
                    torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
                output: Output = self.model(views if self.micro == 1 else [view.rows(some) for view in views])
                torch.autograd.backward(self.scaler.scale(output.loss * share))
            outputs.append((output, share))
        return outputs[0][0] if self.micro == 1 else joined(outputs)

    def step(self, optimizer: Optimizer) -> bool:
        """Whether the step was taken: with float16 one whose gradient overflows is not."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        if self.how.clip_value is not None or self.how.clip_norm is not None:
            self.scaler.unscale_(optimizer)
        if self.how.clip_value is not None:
            nn.utils.clip_grad_value_(parameters, self.how.clip_value)
        if self.how.clip_norm is not None:
            self.gradient_norm = nn.utils.clip_grad_norm_(parameters, self.how.clip_norm)
        before = self.scaler.get_scale()
        self.scaler.step(optimizer)
        self.scaler.update()
        after = self.scaler.get_scale()
        if after < LEAST_SCALE:
            raise ValueError(f"the gradient overflows float16 however small the loss scale ({after:.0e}): take bf16")
        return after >= before

    def close(self) -> None:
        """Leaves encoders as they were."""
        for net in self.in_parts:
            del net.forward

    def values(self) -> dict[str, float]:
        """What there is to log."""
        norm = {} if self.gradient_norm is None else {"gradient_norm": float(self.gradient_norm)}
        return {**norm, **({"loss_scale": self.scaler.get_scale()} if self.scaler.is_enabled() else {})}


def parallel(learner: Learner[Any], how: Mechanics) -> nn.Module:
    """The learner in its memory format, compiled, and on several ranks wrapped: by DDP, or by FSDP2.

    Buffers are equal through synchronised statistics, never through rank 0's broadcast.
    """
    if how.channels_last:
        learner.to(memory_format=torch.channels_last)
    if world() > 1:
        convert(learner)
    if how.compile:
        learner.compile(mode=None if how.compile_mode == "default" else how.compile_mode)
    if how.shard:
        from erlangen.sharding import sharded

        return sharded(learner)
    if world() == 1:
        return learner
    known = inspect.signature(DistributedDataParallel.__init__).parameters
    name = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # as it was called before
    option: dict[str, Any] = {name: False}
    return DistributedDataParallel(learner, **option)


@contextmanager
def unsynchronised(model: nn.Module) -> Iterator[None]:
    """Within, gradients stay with their rank: all but the last micro-batch of a step."""
    if isinstance(model, DistributedDataParallel):
        with model.no_sync():
            yield
    else:  # FSDP2 reduces what each adds, which is as right
        yield
