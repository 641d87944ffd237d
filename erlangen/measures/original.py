"""Synthetic invariance with the protocol of Ericsson et al. (arXiv:2111.11398), to the pixel.

The operation acts on the 8-bit image at its native size; then its short side is resized to 256 pixels, and the middle
224 are cut out. One image at a time, its k views being a batch; images are drawn by numpy's generator from seed 0, with
replacement.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from erlangen.data.base import Source, Split
from erlangen.data.streamed import Streamed
from erlangen.encoders.frozen import represent
from erlangen.measures.synthetic import Progress, Rows
from erlangen.measures.whitening import Whitening
from erlangen.transforms.geometric import CenterCrop, Resize
from erlangen.transforms.sweeps import CROP, RESIZE, ericsson
from erlangen.views import to_float


def indices(n: int, images: int) -> Int[Tensor, " {images}"]:
    """The original's draw of images out of n: some more than once."""
    drawn = np.random.RandomState(0).choice(np.arange(n), images)
    return torch.from_numpy(drawn.astype(np.int64))


def native(split: Source) -> Source:
    """The split with its images at their own sizes besides."""
    return replace(split, native=True) if isinstance(split, Streamed) else split


def originals(split: Source, index: Int[Tensor, " k"]) -> list[UInt8[Tensor, "c _ _"]]:
    """The images at these places, at their own sizes."""
    batch = native(split).take(index)
    if batch.native is not None:
        return list(batch.native)
    if isinstance(split, Split):
        return list(batch.images)
    raise ValueError(
        f"a {type(split).__name__} does not give its images at their own sizes, on which this protocol works: take "
        "images that lie in files, or in memory"
    )


def prepared(
    images: Float[Tensor, "n c h w"], resize: int = RESIZE, crop: int = CROP
) -> Float[Tensor, "n c {crop} {crop}"]:
    """Resized and cut out as Pillow does it, on whole levels."""
    return CenterCrop(crop).apply(Resize(resize, eight_bit=True).apply(images, {}), {})


def reference(
    encoder: nn.Module, split: Source, resize: int = RESIZE, crop: int = CROP, progress: Progress = lambda views: None
) -> Float[Tensor, "n d"]:
    """Representations of all images of a split, as they are but for the preparation."""
    parts = []
    for rows in torch.split(torch.arange(len(split)), 64):
        images = [prepared(to_float(x[None]), resize, crop) for x in originals(split, rows)]
        parts.append(represent(encoder, torch.cat(images), names=rows))
        progress(len(rows))
    return torch.cat(parts)


@dataclass
class Images:
    """What was found so far, image by image: of each the numbers at all points, and what the variance needs."""

    numbers: dict[str, list[Float[Tensor, " k"]]] = field(default_factory=dict)
    totals: list[Float[Tensor, " d"]] = field(default_factory=list)
    squares: list[Float[Tensor, ""]] = field(default_factory=list)

    def add(self, clean: Float[Tensor, "1 d"], moved: Float[Tensor, "k d"], whiten: Whitening) -> None:
        a, b = whiten(clean), whiten(moved)
        found = {
            "similarity": F.cosine_similarity(a, b, dim=1),
            "distance": (a - b).norm(dim=1),
            "cosine": F.cosine_similarity(clean.double(), moved.double(), dim=1),
        }
        for name, row in found.items():
            self.numbers.setdefault(name, []).append(row)
        x = moved.double() - whiten.mean
        self.totals.append(x.sum(0))
        self.squares.append(x.square().sum())

    @property
    def done(self) -> int:
        """How many images are, whole."""
        return len(self.squares)

    @property
    def views(self) -> int:
        return sum(map(len, self.numbers.get("distance", [])))

    @property
    def whole(self) -> bool:
        """There is something; an image that was interrupted is left out of `state`."""
        return self.done > 0

    def state(self) -> dict[str, Tensor]:
        """As tensors, to be written."""
        rows = {f"numbers.{name}": torch.stack(rows[: self.done]) for name, rows in self.numbers.items()}
        return {**rows, "totals": torch.stack(self.totals[: self.done]), "squares": torch.stack(self.squares)}

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> "Images":
        """Those whose `state` this is."""
        names = [name.removeprefix("numbers.") for name in state if name.startswith("numbers.")]
        return cls(
            {name: list(state[f"numbers.{name}"]) for name in names}, list(state["totals"]), list(state["squares"])
        )

    def rows(self) -> Rows:
        """The same by point."""
        columns = {name: torch.stack(rows, 1) for name, rows in self.numbers.items()}  # (k, n)
        rows = [{name: x[point] for name, x in columns.items()} for point in range(len(columns["distance"]))]
        once = [1.0] * len(rows)
        return Rows(self.done, rows, [], torch.stack(self.totals), torch.stack(self.squares), once)


def along(
    encoder: nn.Module,
    split: Source,
    index: Int[Tensor, " n"],
    name: str,
    whiten: Whitening,
    k: int | None = None,
    resize: int = RESIZE,
    crop: int = CROP,
    seed: int = 0,
    begun: Images | None = None,
    progress: Progress = lambda views: None,
) -> Rows:
    """One transform with the original's grid: `similarity`, `distance` and `cosine` of every image and view.

    `begun`, what a stopped measure has found already, is added to. What needs all images at once, `cka` and
    `retrieval`, the original does not have. A hue of exactly 0, which is not in a grid of 256, changes nothing here;
    there it is rounded to hue, saturation and value.
    """
    found = Images() if begun is None else begun
    for batch in torch.split(index[found.done :], 1):
        (image,) = originals(split, batch)
        pixels = to_float(image[None])
        height, width = image.shape[1:]
        sweep = ericsson(name, k, resize, crop, height, width, seed, torch.float64)
        params = {part: rows.to(pixels.device) for part, rows in sweep.params.items()}
        views = sweep.transform.apply(pixels.expand(len(sweep), -1, -1, -1), params)
        if name != "resized_crop":  # which has the size already
            views = prepared(views, resize, crop)
        h = represent(encoder, torch.cat([prepared(pixels, resize, crop), views]), names=batch.expand(1 + len(sweep)))
        found.add(h[:1], h[1:], whiten)
        progress(len(sweep))
    return found.rows()
