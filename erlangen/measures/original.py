"""Synthetic invariance with the protocol of Ericsson et al. (arXiv:2111.11398), to the pixel.

The operation acts on the 8-bit image at its native size; then its short side is resized to 256 pixels, and the middle
224 are cut out. One image at a time, its k views being a batch; images are drawn by numpy's generator from seed 0, with
replacement.
"""

from dataclasses import replace

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
    progress: Progress = lambda views: None,
) -> Rows:
    """One transform with the original's grid: `similarity`, `distance` and `cosine` of every image and view.

    What needs all images at once, `cka` and `retrieval`, the original does not have. A hue of exactly 0, which is not
    in a grid of 256, changes nothing here; there it is rounded to hue, saturation and value.
    """
    found: dict[str, list[Tensor]] = {"similarity": [], "distance": [], "cosine": []}
    totals, squares = [], []
    for batch in torch.split(index, 1):
        (image,) = originals(split, batch)
        pixels = to_float(image[None])
        height, width = image.shape[1:]
        sweep = ericsson(name, k, resize, crop, height, width, seed, torch.float64)
        params = {part: rows.to(pixels.device) for part, rows in sweep.params.items()}
        views = sweep.transform.apply(pixels.expand(len(sweep), -1, -1, -1), params)
        if name != "resized_crop":  # which has the size already
            views = prepared(views, resize, crop)
        h = represent(encoder, torch.cat([prepared(pixels, resize, crop), views]), names=batch.expand(1 + len(sweep)))
        clean, moved = h[:1], h[1:]
        a, b = whiten(clean), whiten(moved)
        found["similarity"].append(F.cosine_similarity(a, b, dim=1))
        found["distance"].append((a - b).norm(dim=1))
        found["cosine"].append(F.cosine_similarity(clean.double(), moved.double(), dim=1))
        x = moved.double() - whiten.mean
        totals.append(x.sum(0))
        squares.append(x.square().sum())
        progress(len(sweep))
    columns = {key: torch.stack(rows, 1) for key, rows in found.items()}  # (k, n)
    rows = [{key: x[point] for key, x in columns.items()} for point in range(len(columns["distance"]))]
    return Rows(len(index), rows, total=torch.stack(totals), square=torch.stack(squares))
