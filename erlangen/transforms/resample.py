"""Resampling, batched and the same on any device: boxes by separable filters, affine maps by one look-up per pixel."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.chunks import may_look, settled
from erlangen.views import check_float

Filter = Literal["bilinear", "bicubic"]
Fill = Literal["zeros", "border", "reflection"]
Taps = tuple[Int[Tensor, "n _ _"], Float[Tensor, "n _ _"]]  # (image, pixel made, pixel used)
Tap = tuple[Int[Tensor, "_ _"], Float[Tensor, "_ _"]]  # of one image
Inverse = Float[Tensor, "n 3 3"]  # from output to input, in pixels (x, y) from the centre, y down
SUPPORT = {"bilinear": 1.0, "bicubic": 2.0}  # pixels to each side
LARGE = 64  # pixels: from here on whole rows are copied image by image where code may look at values


def taps(
    start: Float[Tensor, " n"],
    length: Float[Tensor, " n"],
    source: int,
    size: int,
    filter: Filter = "bilinear",
    antialias: bool = True,
    align_corners: bool = False,
    longest: float | None = None,
    dtype: torch.dtype = torch.float32,
) -> Taps:
    """Which `k` pixels of `source`, and with which weights, make each of `size` pixels of [start, start + length].

    Units are pixels. The edges of the segment are edges: what lies outside has no weight, as when it is cut out first;
    but where segments may reach out of the image, the longest being `longest` images long, it is black there. With
    `antialias` the filter is widened where the image shrinks; `align_corners` puts the first and the last pixel's
    centres onto those of the segment.
    """
    start, length = start[:, None], length[:, None]
    place = torch.arange(size, device=start.device, dtype=start.dtype)
    if align_corners:
        centre = start + 0.5 + place * ((length - 1) / max(size - 1, 1))
    else:
        centre = start + (place + 0.5) * (length / size)
    reach = SUPPORT[filter]
    stretch = (length / size).clamp_min(1) if antialias else torch.ones_like(length)
    widest = max((longest or 1.0) * source / size, 1.0) if antialias else 1.0
    count = math.ceil(2 * reach * widest - 1e-6)
    first = (centre - reach * stretch - 0.5).floor() + 1
    pixel = first[:, :, None] + torch.arange(count, device=start.device, dtype=start.dtype)
    distance = ((pixel + 0.5 - centre[:, :, None]) / stretch[:, :, None]).abs()
    weight = (1 - distance).clamp_min(0) if filter == "bilinear" else _keys(distance)
    # a whole-pixel segment may come out of fractions with a rounding error: an overlap of 1e-3 pixels is none
    slack = (length / 4).clamp_max(1e-3)[:, :, None]
    left, right = start[:, :, None], (start + length)[:, :, None]
    weight = weight * ((pixel + 1 > left + slack) & (pixel < right - slack))
    weight = weight / weight.sum(-1, keepdim=True)
    if longest is not None:
        weight = weight * ((pixel >= 0) & (pixel < source))
    return settled(pixel.clamp(0, source - 1).long()), settled(weight.to(dtype))


def _keys(x: Tensor) -> Tensor:
    """Keys' cubic kernel with a = -1/2, for distances x >= 0: that of Pillow, and of torch where it antialiases."""
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return torch.where(x < 1, near, torch.where(x < 2, far, 0.0))


def resample(images: Float[Tensor, "n c h w"], rows: Taps, columns: Taps) -> Float[Tensor, "n c h2 w2"]:
    """Weighted rows, then weighted columns."""
    check_float(images)
    if min(images.shape[-2:]) >= LARGE and may_look(images):
        each = zip(images, *rows, *columns, strict=True)
        return torch.stack([_one(x, (i, wi), (j, wj)) for x, i, wi, j, wj in each])
    (i, wi), (j, wj) = rows, columns
    n, channels = images.shape[:2]
    image = torch.arange(n, device=images.device)[:, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None]
    middle: Tensor = sum(  # type: ignore[assignment]
        images[image, channel, i[:, None, :, k]] * wi[:, None, :, k, None] for k in range(i.shape[2])
    )
    shape = (n, channels, i.shape[1], j.shape[1])
    out: Tensor = sum(  # type: ignore[assignment]
        torch.gather(middle, 3, j[:, None, None, :, k].expand(shape)) * wj[:, None, None, :, k]
        for k in range(j.shape[2])
    )
    return out


def _one(image: Float[Tensor, "c h w"], rows: Tap, columns: Tap) -> Float[Tensor, "c h2 w2"]:
    """The same for one image, copying whole rows: several times faster where nothing fuses."""
    for index, weight in (rows, columns):
        first, *others = zip(index.unbind(1), weight.unbind(1), strict=True)
        picked = image.index_select(1, first[0]) * first[1][:, None]
        for i, w in others:
            picked.addcmul_(image.index_select(1, i), w[:, None])
        image = picked.transpose(1, 2).contiguous()
    return image


def matrix(*entries: Float[Tensor, " n"] | float) -> Inverse:
    """The six numbers of x' = a x + b y + c, y' = d x + e y + f as matrices, one for each image."""
    like = next(entry for entry in entries if isinstance(entry, Tensor))
    full = [x if isinstance(x, Tensor) else like.new_full(like.shape, x) for x in (*entries, 0.0, 0.0, 1.0)]
    return torch.stack(full, -1).view(-1, 3, 3)


def warp(
    images: Float[Tensor, "n c h w"],
    inverse: Inverse,
    fill: Fill = "zeros",
    nearest: bool = False,
) -> Float[Tensor, "n c h w"]:
    """Every pixel looked up where `inverse` says, from output to input, in pixels (x, y) from the centre, y down.

    Bilinear, or the nearest pixel, found as Pillow finds it: in fixed point, 16 bits behind the point.
    """
    check_float(images)
    return _nearest(images, inverse) if nearest else _bilinear(images, inverse, fill)


def _bilinear(images: Tensor, inverse: Tensor, fill: Fill) -> Tensor:
    height, width = images.shape[-2:]
    half = torch.tensor([width / 2, height / 2, 1.0], dtype=inverse.dtype, device=inverse.device)
    theta = (inverse * half / half[:, None])[:, :2].to(images.dtype)  # grid_sample's coordinates run from -1 to 1
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=fill, align_corners=False)


def _nearest(images: Tensor, inverse: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    centre = inverse.new_tensor([width / 2, height / 2, 1.0])
    a = inverse.double()
    offset = centre[:2] + (a[:, :2, 2] - (a[:, :2, :2] * centre[:2]).sum(-1))  # of the corner, as Pillow has it
    step = (a[:, :2, :2] * 2**16 + 0.5).floor().long()
    first = ((offset + a[:, :2, 0] / 2 + a[:, :2, 1] / 2) * 2**16 + 0.5).floor().long()
    x = torch.arange(width, device=images.device)[None, None, None, :]
    y = torch.arange(height, device=images.device)[None, None, :, None]
    place = (first[:, :, None, None] + step[:, :, 0, None, None] * x + step[:, :, 1, None, None] * y) >> 16
    column, row = place.unbind(1)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    flat = (row.clamp(0, height - 1) * width + column.clamp(0, width - 1))[:, None].flatten(2)
    found = torch.gather(images.flatten(2), 2, flat.expand(-1, images.shape[1], -1)).view(images.shape)
    return torch.where(inside[:, None], found, 0.0)
