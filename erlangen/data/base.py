"""What a data set is: splits, in memory or not. An epoch's order is a permutation from (seed, epoch)."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from erlangen.views import Batch, generator


@lru_cache(maxsize=2)
def epoch_order(n: int, seed: int, epoch: int) -> Int[Tensor, " {n}"]:
    """The order in which an epoch visits n images."""
    return torch.randperm(n, generator=generator(seed, "order", epoch))


@runtime_checkable
class Source(Protocol):
    """What the loop and the probes need of a split, wherever its images are: `Split` and `Streamed` have it."""

    @property
    def labels(self) -> Int[Tensor, " n"] | None: ...
    @property
    def device(self) -> torch.device:
        """Where batches are."""
        ...

    @property
    def channels(self) -> int: ...
    @property
    def size(self) -> int: ...
    def __len__(self) -> int: ...
    def to(self, device: torch.device | str) -> "Source": ...
    def take(self, index: Int[Tensor, " k"], then: Int[Tensor, " _"] | None = None) -> Batch:
        """The images at these places; `then` are those that will be taken next, to be prepared meanwhile."""
        ...

    def rows(self, seed: int, epoch: int, i: int, size: int) -> Int[Tensor, " m"]:
        """Which images batch number `i` of an epoch holds, over all ranks: `size`, the last one what is left."""
        ...


def batches(split: Source, index: Int[Tensor, " k"], size: int) -> Iterator[Batch]:
    """The images at these places, `size` at a time."""
    parts = torch.split(index, size)
    for part, then in zip(parts, [*parts[1:], None], strict=True):
        yield split.take(part, then)


@dataclass(frozen=True)
class Split:
    """Images in memory, with labels and latents where they are known."""

    images: UInt8[Tensor, "n c h w"]
    labels: Int[Tensor, " n"] | None = None
    latents: Mapping[str, Float[Tensor, "n _"]] | None = None
    native: tuple[UInt8[Tensor, "c _ _"], ...] | None = None  # the images at their own sizes, where they are kept

    def __post_init__(self) -> None:
        if self.images.dtype != torch.uint8:
            raise ValueError(f"`images` ({self.images.dtype}) of a data set are bytes: uint8, 0 to 255")

    def __len__(self) -> int:
        return len(self.images)

    @property
    def device(self) -> torch.device:
        return self.images.device

    @property
    def channels(self) -> int:
        return self.images.shape[1]

    @property
    def size(self) -> int:
        return self.images.shape[-1]

    def to(self, device: torch.device | str) -> "Split":
        return Split(
            self.images.to(device),
            None if self.labels is None else self.labels.to(device),
            None if self.latents is None else {name: p.to(device) for name, p in self.latents.items()},
            None if self.native is None else tuple(x.to(device) for x in self.native),
        )

    def take(self, index: Int[Tensor, " k"], then: Int[Tensor, " _"] | None = None) -> Batch:
        """The images at these places, on the device of the split; there is nothing to prepare."""
        index = index.to(self.images.device, non_blocking=True)
        labels = None if self.labels is None else self.labels[index]
        latents = None if self.latents is None else {name: p[index] for name, p in self.latents.items()}
        native = None if self.native is None else tuple(self.native[i] for i in index.tolist())
        return Batch(self.images[index], index, labels, latents, native=native)

    def rows(self, seed: int, epoch: int, i: int, size: int) -> Int[Tensor, " m"]:
        """Which images batch number `i` of an epoch holds, over all ranks: `size`, the last one what is left."""
        return epoch_order(len(self), seed, epoch)[i * size : (i + 1) * size]


@dataclass(frozen=True)
class Data:
    """A data set: what is trained on, and what a probe is tested on if the set has it."""

    name: str
    train: Source
    test: Source | None = None

    @property
    def channels(self) -> int:
        return self.train.channels

    @property
    def size(self) -> int:
        return self.train.size

    def to(self, device: torch.device | str) -> "Data":
        return replace(self, train=self.train.to(device), test=None if self.test is None else self.test.to(device))
