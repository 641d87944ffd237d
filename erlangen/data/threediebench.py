"""3DIEBench (Garrido et al. 2023, arXiv:2302.10283): 52,472 objects, 50 views of each at known latents.

A sample is an object. Which of its views are seen is drawn from (seed, epoch), as the order of the objects is, so that
they can be read ahead: there are 2.6 million, more than memory holds. Layout, latents and lists are those of the
authors' repository and read-me; the name of the unpacked folder, and that labels are whole numbers, are assumed.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from erlangen.data.base import Data, epoch_order
from erlangen.data.causal3dident import numbers
from erlangen.data.files import absent, fit, read
from erlangen.data.streamed import ahead, in_threads
from erlangen.spaces import SO3, Circle, Interval, Space
from erlangen.spaces.rotations import from_euler
from erlangen.views import Batch, Draws, View, Views, generator, mix, to_float

COLUMNS = 7  # of the files: angles about x, y, z; hue of the floor; theta, phi and hue of the light
SPACES: Mapping[str, Space] = MappingProxyType(
    {
        "pose": SO3(limit=math.pi / 2, convention="right"),
        "floor": Circle(period=1.0),  # hue in turns
        "light.theta": Interval(0.0, math.pi / 4),  # from the vertical
        "light.phi": Circle(),
        "light.hue": Circle(period=1.0),
    }
)
Begun = tuple[UInt8[Tensor, "n v 3 s s"], Float[Tensor, "n v 7"], Iterator[None]]  # whole when the last has ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Album(Batch):
    """Objects with several views each; `images` and `latents` are those of the first."""

    views: UInt8[Tensor, "n v c h w"]
    known: Mapping[str, Float[Tensor, "n v _"]]  # the latents of all


@dataclass(eq=False)
class Objects:
    """A split of objects, `views` of each at a time, decoded by several threads, `size` pixels wide.

    An index below the number of objects is that object with its first views; what `rows` gives has a draw of
    different ones in it. `ValueError` for a file that is missing or cannot be read, by the `take` that wants it.
    """

    root: Path
    folders: Sequence[str]  # of the objects, from the root
    labels: Int[Tensor, " n"]
    size: int
    count: int  # views of each object that there are
    views: int = 2
    device: torch.device = torch.device("cpu")
    channels: int = 3  # all are in colour
    _begun: dict[tuple[int, ...], Begun] = field(default_factory=dict, init=False, repr=False)  # by index

    def __len__(self) -> int:
        return len(self.folders)

    def to(self, device: torch.device | str) -> "Objects":
        return replace(self, labels=self.labels.to(device), device=torch.device(device))

    def rows(self, seed: int, epoch: int, i: int, size: int) -> Int[Tensor, " m"]:
        """Which objects batch number `i` of an epoch holds, over all ranks, and which of their views."""
        draw = 1 + mix(seed, "views of objects", epoch) % 2**31
        return epoch_order(len(self), seed, epoch)[i * size : (i + 1) * size] + draw * len(self)

    def take(self, index: Int[Tensor, " k"], then: Int[Tensor, " _"] | None = None) -> Album:
        """The objects at these places, on the device of the split; `then` will be taken next and is begun."""
        views, columns, waited = ahead(self._begun, self._begin, index, then)
        for _ in waited:
            pass
        views, columns, index = (x.to(self.device, non_blocking=True) for x in (views, columns, index % len(self)))
        parts = (from_euler(columns[..., :3]), *torch.split(columns[..., 3:], 1, dim=2))
        known = dict(zip(SPACES, parts, strict=True))
        first = {name: p[:, 0] for name, p in known.items()}
        return Album(views[:, 0], index, self.labels[index], first, views=views, known=known)

    def shown(self, index: int) -> tuple[str, Sequence[int]]:
        """The folder of an object, and which of its views are seen."""
        draw, place = divmod(index, len(self))
        if not draw:
            return self.folders[place], range(self.views)
        return self.folders[place], torch.randperm(self.count, generator=generator(draw, place))[: self.views].tolist()

    def _begin(self, rows: Sequence[int]) -> Begun:
        pin, shape = self.device.type == "cuda", (len(rows), self.views)
        views = torch.empty(*shape, 3, self.size, self.size, dtype=torch.uint8, pin_memory=pin)
        columns = torch.empty(*shape, COLUMNS, dtype=torch.float32, pin_memory=pin)
        pixels, table = views.numpy(), columns.numpy()  # torch would start threads of its own in each of these

        def decode(place: int) -> None:
            folder, which = self.shown(rows[place])
            for i, k in enumerate(which):
                file = self.root / folder / f"latent_{k}.npy"
                latents = numbers(file)
                if latents.ndim != 1 or len(latents) < COLUMNS:  # the authors' read-me speaks of nine, and lists seven
                    raise ValueError(f"{file} {latents.shape} must hold {COLUMNS} numbers")
                table[place, i] = latents[:COLUMNS]
                pixels[place, i] = fit(read(file.with_name(f"image_{k}.jpg")), self.size).transpose(2, 0, 1)

        return views, columns, in_threads(decode, len(rows))


@dataclass(frozen=True)
class ObjectViews:
    """As many views of an object as are drawn from those of `3diebench`, with their latents as parameters."""

    views: int = 2

    def __post_init__(self) -> None:
        if self.views < 1:
            raise ValueError(f"`views` (={self.views}) must be at least 1")

    def build(self, channels: int, size: int) -> Views:
        return self._views

    def _views(self, batch: Batch, draws: Draws) -> list[View]:
        if not isinstance(batch, Album):
            raise ValueError(
                f"`views` (={self.views}) of an object are not in these data, which are single images: take the data "
                f"3diebench:{self.views}, or other views"
            )
        if (found := batch.views.shape[1]) < self.views:
            raise ValueError(
                f"`views` (={self.views}) are more than the {found} of each object that are read: take the data "
                f"3diebench:{self.views}"
            )
        views = []
        for i in range(self.views):
            images = to_float(batch.views[:, i])
            params = {name: p[:, i].to(images.dtype) for name, p in batch.known.items()}
            views.append(View(images, params, dict(SPACES), batch.index, batch.labels))
        return views


def objects(name: str, root: Path, size: int) -> Data:
    """`3diebench`, or `3diebench:5` with so many views of an object at a time; tested on other objects."""
    home, views = root / "3DIEBench", name.partition(":")[2] or "2"
    if not views.isdecimal() or int(views) < 1:
        raise ValueError(f"data {name!r}: after the colon stands how many views of an object are seen, 1 or more")
    lists = [home / f"{split}_{kind}.npy" for split in ("train", "val") for kind in ("images", "labels")]
    if not all(file.is_file() for file in lists):
        raise absent(
            name,
            home,
            "https://dl.fbaipublicfiles.com/SIE/3DIEBench.tar.gz (17 GB), and the lists from the folder data/ of "
            "https://github.com/facebookresearch/SIE",
            "SYNSET/OBJECT/image_0.jpg, latent_0.npy ... image_49.jpg, latent_49.npy, and besides those folders "
            f"{', '.join(file.name for file in lists)}",
        )
    return Data(name, _split(lists[0], lists[1], size, int(views)), _split(lists[2], lists[3], size, int(views)))


def _split(images: Path, labels: Path, size: int, views: int) -> Objects:
    try:
        folders, classes = (np.load(file, allow_pickle=False) for file in (images, labels))
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"cannot read {images} or {labels}: {error}") from error
    kinds, shapes = folders.dtype.kind + classes.dtype.kind, {folders.shape, classes.shape}
    if kinds not in ("Ui", "Uu") or shapes != {(folders.size,)}:
        raise ValueError(
            f"{images} ({folders.dtype} {folders.shape}) must name the folders of objects, {labels} ({classes.dtype} "
            f"{classes.shape}) give a whole number for each"
        )
    home, paths = images.parent, [str(folder).strip("/") for folder in folders]
    count = len(list((home / paths[0]).glob("image_*.jpg"))) if paths else 0
    if count < views:
        raise ValueError(f"the object {home / paths[0] if paths else home} has {count} views, not {views}")
    return Objects(home, paths, torch.from_numpy(classes.astype(np.int64)), size, count, views)
