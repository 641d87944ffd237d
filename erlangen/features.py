"""Features of images, extracted once: in eval mode, and kept on disk under a key of all that they depend on."""

import hashlib
import json
import os
import warnings
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from erlangen.data.base import Data, Source, Split, batches
from erlangen.data.streamed import Streamed
from erlangen.encoders.frozen import represent
from erlangen.names import lookup
from erlangen.transforms.geometric import CenterCrop, Resize
from erlangen.transforms.resample import Filter
from erlangen.views import Batch, to_float

Precision = Literal["float32", "float16", "bfloat16"]
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
FORMAT = 1  # of the files: a change of what is extracted, or how, needs another number


@dataclass(frozen=True)
class Preparation:
    """What is done to test images, and to train images without other views: resized, and the middle cut out.

    The short side becomes `resize` times the side of the images that the encoder sees: 256 / 224 is ImageNet's way. Of
    images that lie in files the larger ones are read; others are enlarged.
    """

    resize: float = 1.0
    filter: Filter = "bilinear"

    def __post_init__(self) -> None:
        if not self.resize >= 1:
            raise ValueError(f"`resize` (={self.resize}) of a preparation is at least 1: the middle is cut out of it")

    def of(self, split: Source) -> Source:
        """The split, if need be with images of another size, for `__call__` to cut."""
        side = round(self.resize * split.size)
        return replace(split, size=side) if isinstance(split, Streamed) and self.filter == "bilinear" else split

    def __call__(self, batch: Batch, size: int) -> Tensor:
        """Images of `size` pixels, as bytes if nothing is computed."""
        side = round(self.resize * size)
        if side == size:
            return batch.images
        images = to_float(batch.images)
        if images.shape[-1] != side:
            images = Resize(side, filter=self.filter).apply(images, {}).clamp(0, 1)
        return CenterCrop(size).apply(images, {})


def features(
    encoder: nn.Module,
    split: Source,
    index: Int[Tensor, " k"] | None = None,
    size: int = 512,
    preparation: Preparation = Preparation(),
    digests: list[Tensor] | None = None,
) -> Float[Tensor, "k d"]:
    """What the encoder makes of a split's images, or of those at these places, `size` at a time: all need no room.

    `digests`, if given, is filled with a number for each image, by which alike ones are found. `ValueError` for
    features that are not finite, with the place of the first such image.
    """
    index = torch.arange(len(split)) if index is None else index
    source, parts = preparation.of(split), []
    for batch, places in zip(batches(source, index, size), torch.split(index, size), strict=True):
        if digests is not None:
            digests.append(digests_of(batch.images))
        parts.append(represent(encoder, preparation(batch, split.size), names=places))
    return torch.cat(parts)


def digests_of(images: Tensor) -> Int[Tensor, " n"]:
    """64 bits of a hash of each image, the same on every device: of eight bytes at a time, mixed and added.

    A cryptographic one would take as long as a small network, and images on a GPU would have to come back.
    """
    content = images.contiguous().view(torch.uint8).flatten(1)
    words = F.pad(content, (0, -content.shape[1] % 8)).view(torch.int64)
    g = torch.Generator().manual_seed(0)
    factors = torch.randint(-(2**63), 2**63 - 1, (words.shape[1],), generator=g).to(images.device) | 1
    mixed = words * factors
    return ((mixed ^ (mixed >> 31)) * factors).sum(1).cpu()


@dataclass(frozen=True)
class Extracted:
    """Features of a split, on the device of the split, and a hash of each image."""

    x: Float[Tensor, "n d"]
    digests: Int[Tensor, " n"]


def extracted(
    encoder: nn.Module,
    split: Source,
    preparation: Preparation = Preparation(),
    precision: Precision = "float32",
    folder: Path | None = None,
) -> Extracted:
    """The features of a whole split, from a file in `folder` if they were extracted before, else written there.

    The key is a hash of the encoder's weights and structure, the images, their preparation and the precision: a changed
    weight misses. Half precision is computed under autocast on a GPU, and rounded to anywhere. Splits of a kind that is
    not known here are not kept. A damaged file is made again, with a warning. `ValueError` as in `features`.
    """
    dtype, path = lookup("precision", precision, DTYPES), None
    if folder is not None and (data := identity(split)) is not None:
        about = {"format": FORMAT, "erlangen": version("erlangen"), "precision": precision, "device": split.device.type}
        key = digest(
            [json.dumps({**about, "preparation": repr(preparation), "size": split.size}), data, weights(encoder)]
        )
        path = folder / f"{key}.safetensors"
        if (found := kept(path, split.device)) is not None:
            return found
    digests: list[Tensor] = []
    with torch.autocast(split.device.type, dtype, enabled=precision != "float32" and split.device.type == "cuda"):
        x = features(encoder, split, preparation=preparation, digests=digests)
    x = x.to(dtype) if precision != "float32" else x
    if not bool(x.isfinite().all()):
        first = int((~x.isfinite()).any(1).nonzero()[0])
        raise ValueError(f"features of image {first} are not finite in {precision}: take `precision` float32")
    if path is not None:
        write(path, x, torch.cat(digests))
    return Extracted(x.to(torch.float32) if precision != "float32" else x, torch.cat(digests))


def kept(path: Path, device: torch.device) -> Extracted | None:
    """What is in the file; None, with a warning if it is damaged, if it cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.exists():
        return None
    try:
        tensors = load_file(path)
        x = tensors["features"].to(device)
        return Extracted(x.float() if x.dtype != torch.float64 else x, tensors["digests"])
    except (SafetensorError, KeyError, OSError) as error:
        warnings.warn(f"the features in {path} are damaged and are extracted again: {error}", stacklevel=3)
        return None


def write(path: Path, x: Tensor, digests: Tensor) -> None:
    """Whole or not at all, whoever else writes the same; a disk that takes nothing is told of and is no obstacle."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"features": x.cpu().contiguous(), "digests": digests}, part)
        part.replace(path)
    except (OSError, SafetensorError) as error:
        with suppress(OSError):
            part.unlink()
        warnings.warn(f"features are not kept in {path.parent}: {error}", stacklevel=3)


def cache_folder() -> Path:
    """Where features are kept: the folder that ERLANGEN_CACHE names, else ~/.cache/erlangen/features."""
    return Path(os.environ.get("ERLANGEN_CACHE") or "~/.cache/erlangen/features").expanduser()


def digest(parts: Iterable[str | bytes | memoryview]) -> str:
    """128 bits of a hash of all of them, as hexadecimal digits."""
    found = hashlib.blake2b(digest_size=16)
    for part in parts:
        content = part.encode() if isinstance(part, str) else part
        found.update(f"{len(content)}:".encode())
        found.update(content)
    return found.hexdigest()


def weights(encoder: nn.Module) -> str:
    """A hash of an encoder: its class and structure, what its modules were made with, every number of its state."""
    spec = json.dumps(dict(getattr(encoder, "spec", {})), sort_keys=True)
    made_with = [
        f"{name} {type(module).__qualname__} {key} {value!r}"
        for name, module in encoder.named_modules()
        for key, value in sorted(vars(module).items())
        if isinstance(value, bool | int | float | str | tuple) and key != "training"
    ]
    state = encoder.state_dict()
    names = [f"{name} {p.dtype} {tuple(p.shape)}" for name, p in state.items()]
    return digest([repr(encoder), spec, *made_with, *names, *map(content_of, state.values())])


def content_of(x: Tensor) -> memoryview:
    """The bytes of a tensor."""
    return x.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data


def identity(split: Source) -> str | None:
    """A hash of the images of a split; of files their paths, sizes and times. None for a kind that is not known."""
    if isinstance(split, Split):
        return digest([str(tuple(split.images.shape)), *map(content_of, torch.split(split.images, 4096))])
    if not isinstance(split, Streamed):
        return None
    stats = [(split.root / file).stat() for file in split.files]
    files = [f"{file} {s.st_size} {s.st_mtime_ns}" for file, s in zip(split.files, stats, strict=True)]
    assert is_dataclass(split)
    others = [f"{f.name} {told(getattr(split, f.name))}" for f in fields(split) if f.init and f.name not in NO_IMAGES]
    return digest([type(split).__qualname__, str(split.root.resolve()), *files, *others])


NO_IMAGES = ("root", "files", "labels", "latents", "native", "device")  # fields of splits on which no image depends


def told(value: Any) -> str:
    return digest([content_of(value)]) if isinstance(value, Tensor) else repr(value)


class Features:
    """The features of one encoder on the two halves of one data set, extracted when they are first asked for."""

    def __init__(self, encoder: nn.Module, data: Data, folder: Path | None = None) -> None:
        self.encoder, self.data, self.folder = encoder, data, folder
        self._last: tuple[Any, tuple[Extracted, Extracted]] | None = None  # one pair is enough to have in memory

    def __call__(
        self, preparation: Preparation = Preparation(), precision: Precision = "float32"
    ) -> tuple[Extracted, Extracted]:
        """Of the train and of the test images."""
        assert self.data.test is not None
        if self._last is None or self._last[0] != (preparation, precision):
            splits = (self.data.train, self.data.test)
            train, test = (extracted(self.encoder, split, preparation, precision, self.folder) for split in splits)
            self._last = (preparation, precision), (train, test)
        return self._last[1]

    def of_test(self, count: int) -> Float[Tensor, "k d"]:
        """Features of the first test images: those that are there, or of these alone."""
        assert self.data.test is not None
        if self._last is not None:
            return self._last[1][1].x[:count]
        return features(self.encoder, self.data.test, torch.arange(min(count, len(self.data.test))))
