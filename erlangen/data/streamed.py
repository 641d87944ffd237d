"""Images that stay in their files: they are decoded when they are taken, and the next ones while a step computes."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from erlangen.data.base import Split, batches, epoch_order
from erlangen.data.files import Pixels, fit, read
from erlangen.views import Batch

T = TypeVar("T")
Decoded = tuple[UInt8[Tensor, "k c s s"], Iterator[UInt8[Tensor, "c _ _"] | None]]  # the second when they are done


@dataclass(eq=False)
class Streamed:
    """A split of image files, decoded by several threads, `size` pixels wide; all in colour, or all `grey`.

    With `native` a batch has them at their own sizes besides. What is taken does not depend on what was prepared: a
    batch that nobody announced is read at once. `ValueError` for an image that cannot be read, with its path, by the
    `take` that wants it.
    """

    root: Path
    files: Sequence[str]  # from the root
    size: int
    labels: Int[Tensor, " n"] | None = None
    native: bool = False
    grey: bool = False
    device: torch.device = torch.device("cpu")
    _begun: dict[tuple[int, ...], Decoded] = field(default_factory=dict, init=False, repr=False)  # by index

    def __len__(self) -> int:
        return len(self.files)

    @property
    def channels(self) -> int:
        return 1 if self.grey else 3

    def to(self, device: torch.device | str) -> "Streamed":
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, labels=labels, device=torch.device(device))

    def take(self, index: Int[Tensor, " k"], then: Int[Tensor, " _"] | None = None) -> Batch:
        """The images at these places, on the device of the split; `then` will be taken next and is begun."""
        images, waited = ahead(self._begun, self._begin, index, then)
        originals = [x.to(self.device, non_blocking=True) for x in waited if x is not None]
        index = index.to(self.device, non_blocking=True)
        return Batch(
            images.to(self.device, non_blocking=True),
            index,
            None if self.labels is None else self.labels[index],
            native=tuple(originals) if self.native else None,
        )

    def rows(self, seed: int, epoch: int, i: int, size: int) -> Int[Tensor, " m"]:
        """Which images batch number `i` of an epoch holds, over all ranks: `size`, the last one what is left."""
        return epoch_order(len(self), seed, epoch)[i * size : (i + 1) * size]

    def in_memory(self) -> Split:
        """The same images, decoded once for all."""
        images = torch.empty(len(self), self.channels, self.size, self.size, dtype=torch.uint8, device=self.device)
        originals: list[Tensor] = []
        for batch in batches(self, torch.arange(len(self)), 512):
            images[batch.index] = batch.images
            originals += batch.native or ()
        return Split(images, self.labels, native=tuple(originals) if self.native else None)

    def _begin(self, rows: Sequence[int]) -> Decoded:
        shape = (len(rows), self.channels, self.size, self.size)
        images = torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
        packed = images.numpy()  # torch would start threads of its own in each of these

        def decode(place: int) -> Tensor | None:
            pixels = self._pixels(rows[place])
            packed[place] = fit(pixels, self.size).transpose(2, 0, 1)
            return torch.from_numpy(pixels).permute(2, 0, 1) if self.native else None

        return images, in_threads(decode, len(rows))

    def _pixels(self, row: int) -> Pixels:
        return read(self.root / self.files[row], self.grey)


@dataclass(eq=False)
class WithLatents(Streamed):
    """Streamed images whose latents are known."""

    latents: Mapping[str, Float[Tensor, "n _"]] = field(default_factory=dict)

    def to(self, device: torch.device | str) -> "WithLatents":
        latents = {name: p.to(device) for name, p in self.latents.items()}
        labels = None if self.labels is None else self.labels.to(device)
        return replace(self, labels=labels, device=torch.device(device), latents=latents)

    def take(self, index: Int[Tensor, " k"], then: Int[Tensor, " _"] | None = None) -> Batch:
        batch = super().take(index, then)
        return replace(batch, latents={name: p[batch.index] for name, p in self.latents.items()})

    def in_memory(self) -> Split:
        return replace(super().in_memory(), latents=self.latents)


def ahead(
    begun: dict[tuple[int, ...], T],
    begin: Callable[[Sequence[int]], T],
    index: Int[Tensor, " k"],
    then: Int[Tensor, " _"] | None,
) -> T:
    """What was begun for these places, or is begun now; what will be taken `then` is begun too, and kept."""
    rows = tuple(index.tolist())
    found = begun.pop(rows) if rows in begun else begin(rows)
    if then is not None and (later := tuple(then.tolist())) not in begun:
        begun[later] = begin(later)
    return found


def in_threads(work: Callable[[int], T], n: int) -> Iterator[T]:
    """Its results for 0 to n - 1; the threads end by themselves once all are, so that there is nothing to be closed."""
    pool = ThreadPoolExecutor(threads(), "decode")
    results = pool.map(work, range(n))
    pool.shutdown(wait=False)
    return results


def threads() -> int:
    """As many as there are cores, for all processes of this machine together."""
    return max(1, (os.cpu_count() or 1) // int(os.environ.get("LOCAL_WORLD_SIZE", "1")))
