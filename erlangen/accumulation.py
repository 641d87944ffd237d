"""Batches in parts: what micro-batches give together, and the exact form for losses that couple images."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from erlangen.methods.base import Output


def joined(outputs: Sequence[tuple[Output, float]]) -> Output:
    """The output of a step from those of its micro-batches and the share of the images that each holds."""
    first, shares_ = outputs[0][0], [share for _, share in outputs]
    every = [output for output, _ in outputs]

    def mean(values: Sequence[Tensor]) -> Tensor:
        return torch.stack([value.detach() * share for value, share in zip(values, shares_, strict=True)]).sum(0)

    return replace(
        first,
        loss=mean([o.loss for o in every]),
        features=[torch.cat(views) for views in zip(*(o.features for o in every), strict=True)],
        embeddings=[torch.cat(views) for views in zip(*(o.embeddings for o in every), strict=True)],
        logs={name: mean([o.logs[name] for o in every]) for name in first.logs},
        carry={name: torch.cat([o.carry[name] for o in every]) for name in first.carry},
    )


def in_parts(net: nn.Module, forward: Callable[[Tensor], Tensor], count: int, images: Tensor) -> Tensor:
    """An encoder's forward over `count` parts of the batch, one after the other, each run again in the backward.

    The representations, and so the loss and its gradient, are those of the whole batch; only one part's activations
    are held at a time. A BatchNorm in the encoder sees each part for itself.
    """
    if not net.training:
        return forward(images)
    pieces = images.tensor_split(count)
    if not torch.is_grad_enabled():
        return torch.cat([forward(piece) for piece in pieces])
    run = partial(checkpoint, forward, use_reentrant=False, context_fn=lambda: (nullcontext(), statistics_kept(net)))
    return torch.cat([run(piece) for piece in pieces])


@contextmanager
def statistics_kept(net: nn.Module) -> Iterator[None]:
    """BatchNorm's running statistics see every image once, not again when the backward runs a part again."""
    kept = [(buffer, buffer.clone()) for buffer in net.buffers()]
    try:
        yield
    finally:
        for buffer, value in kept:
            buffer.copy_(value)
