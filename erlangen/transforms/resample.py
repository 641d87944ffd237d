"""Resampling as matrices: batched, antialiased, the same on any device."""

import torch
from jaxtyping import Float
from torch import Tensor


def crop_weights(
    start: Float[Tensor, " n"], length: Float[Tensor, " n"], source: int, size: int
) -> Float[Tensor, "n {size} {source}"]:
    """The antialiased triangle filter that resizes [start, start + length] (pixels) to `size`, one matrix per image.

    The edges of the segment are edges: what lies outside has no weight, as when the crop is cut out first.
    """
    step = (length / size)[:, None, None]
    centres = start[:, None, None] + (torch.arange(size).to(start)[:, None] + 0.5) * step
    pixels = torch.arange(source).to(start) + 0.5
    weights = (1 - ((pixels - centres) / step.clamp_min(1)).abs()).clamp_min(0)
    # a whole-pixel segment may come out of fractions with a rounding error: an overlap of 1e-3 pixels is none
    slack = (length / 4).clamp_max(1e-3)
    left, right = (start + slack)[:, None, None], (start + length - slack)[:, None, None]
    weights = weights * ((pixels + 0.5 > left) & (pixels - 0.5 < right))
    return weights / weights.sum(-1, keepdim=True)
