"""Pillow's arithmetic on whole levels 0 to 255: what originals that work on 8-bit images compute, to the last level.

Images hold levels as floats. Truncation and rounding are where Pillow has them.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.transforms.resample import Taps
from erlangen.views import check_float

Levels = Float[Tensor, "n c h w"]
PRECISION = 22  # bits behind the point of a resampling weight


def to_levels(images: Float[Tensor, "n c h w"]) -> Levels:
    """[0, 1] to the nearest whole levels, float32."""
    check_float(images)
    return (images * 255).round().clamp(0, 255).float()


def grey(levels: Levels) -> Float[Tensor, "n 1 h w"]:
    """Luma in fixed point, 16 bits behind the point, rounded."""
    if levels.shape[1] == 1:
        return levels
    if levels.shape[1] != 3:
        raise ValueError(f"colour needs images of 3 channels (or 1), these have {levels.shape[1]}")
    red, green, blue = levels.long().unbind(1)
    return ((19595 * red + 38470 * green + 7471 * blue + 2**15) >> 16)[:, None].float()


def blend(degenerate: Float[Tensor, "n _ _ _"], levels: Levels, factor: Float[Tensor, "n 1"]) -> Levels:
    """From `degenerate` (factor 0) over the image (factor 1) on: clipped, then truncated."""
    factor = factor[:, :, None, None].float()
    mixed = (degenerate + factor * (levels - degenerate)).clamp(0, 255).trunc()
    return torch.where(factor == 1, levels, mixed)


def mean_grey(levels: Levels) -> Float[Tensor, "n 1 1 1"]:
    """The mean luma, rounded."""
    return (grey(levels).double().mean((1, 2, 3), keepdim=True) + 0.5).floor().float()


def smooth(levels: Levels) -> Levels:
    """The mean of 3 x 3 pixels, the middle one counted five times, rounded; the border stays as it is."""
    height, width = levels.shape[-2:]
    if min(height, width) < 3:
        return levels
    around = sum(levels[..., i : height - 2 + i, j : width - 2 + j] for i in range(3) for j in range(3))
    out = levels.clone()
    out[..., 1:-1, 1:-1] = ((around + 4 * levels[..., 1:-1, 1:-1]) / 13 + 0.5).floor()
    return out


def equalize(levels: Levels) -> Levels:
    """Spread the histogram of each channel evenly over the levels."""
    flat = levels.long().flatten(2)  # (n, c, h w)
    histogram = flat.new_zeros(*flat.shape[:2], 256).scatter_add_(2, flat, torch.ones_like(flat))
    top = histogram.gather(2, flat.amax(2, keepdim=True))
    step = (histogram.sum(2, keepdim=True) - top) // 255
    below = histogram.cumsum(2) - histogram
    table = (below + step // 2) // step.clamp_min(1)
    table = torch.where(step == 0, torch.arange(256, device=levels.device), table.clamp(0, 255))
    return table.gather(2, flat).view(levels.shape).to(levels.dtype)


def resample(levels: Levels, rows: Taps, columns: Taps) -> Float[Tensor, "n c h2 w2"]:
    """Weighted columns, then weighted rows, rounded to whole levels after each.

    Pillow 13 takes the rows first where the height shrinks by more than twice as many pixels as the width: then by a
    level or so not this.
    """
    return _across(_across(levels.int(), columns).mT, rows).mT.float()


def _across(levels: Tensor, taps: Taps) -> Tensor:
    """New columns in fixed point; the 32 bits hold 255 times the sum of the weights twice over."""
    index, weight = taps
    fixed = (weight * 2**PRECISION + 0.5 * weight.sign()).trunc().int()
    shape = (*levels.shape[:3], index.shape[1])
    out = torch.full(shape, 2 ** (PRECISION - 1), dtype=torch.int32, device=levels.device)
    for tap in range(index.shape[2]):
        picked = torch.gather(levels, 3, index[:, None, None, :, tap].expand(shape))
        out = out + picked * fixed[:, None, None, :, tap]
    return (out >> PRECISION).clamp(0, 255)


def shift_hue(levels: Float[Tensor, "n 3 h w"], turns: Float[Tensor, "n 1"]) -> Float[Tensor, "n 3 h w"]:
    """Hue, saturation and value as bytes; the hue moves by whole steps of 1/255, around 256."""
    red, green, blue = levels.unbind(1)
    value, least = levels.amax(1), levels.amin(1)
    chroma = value - least
    safe = torch.where(chroma == 0, 1.0, chroma)
    r, g, b = (((value - x) / safe).double() for x in (red, green, blue))  # double precision, but kept in single
    sector = torch.where(red == value, b - g, torch.where(green == value, 2 + r - b, 4 + g - r)).float()
    turn = ((sector.double() / 6 + 1) % 1).float()
    hue = torch.where(chroma == 0, 0.0, (turn.double() * 255).trunc().float())
    saturation = torch.where(chroma == 0, 0.0, (chroma / value.clamp_min(1) * 255).trunc())
    hue = (hue + (255 * turns[:, :, None].double()).trunc().float()) % 256
    share = saturation / 255
    whole = (hue * 6 / 255).floor()
    part = hue * 6 / 255 - whole
    p, q, t = ((value * (1 - share * x) + 0.5).floor().clamp(0, 255) for x in (torch.ones_like(part), part, 1 - part))
    v = value
    sectors = torch.stack(
        [torch.stack(x, 1) for x in ((v, t, p), (q, v, p), (p, v, t), (p, q, v), (t, p, v), (v, p, q))]
    )
    index = (whole.long() % 6)[None, :, None].expand(1, -1, 3, -1, -1)
    return torch.where((saturation == 0)[:, None], v[:, None].expand_as(levels), sectors.gather(0, index)[0])
