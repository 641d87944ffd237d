"""A steerable pyramid (Simoncelli, Freeman 1995) as a fixed filter bank: what DUET's `lifted_` encoders see.

DUET names these encoders and their 54 channels, 3 colours x (4 scales x 4 orientations + low-pass + high-pass), but has
no decomposition; this one is our own choice. All maps keep the size of the image, and the filters are a tight frame:
the squares of all maps add up to those of the image. A quarter turn of the image turns the maps and exchanges their
orientations.
"""

import math
from itertools import pairwise

import torch
from jaxtyping import Complex, Float
from torch import Tensor

SCALES, ORIENTATIONS = 4, 4
MAPS = SCALES * ORIENTATIONS + 2  # of each channel


def lift(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
    """Of each channel one after the other: high-pass, 4 scales from fine to coarse of 4 orientations each, low-pass.

    In float32 at least. Filters wrap around the border. Compiled it is part of one graph, but the Fourier transforms
    in it run as they are, and inductor warns that it makes no code for complex numbers.
    """
    wide = images if images.dtype == torch.float64 else images.float()
    height, width = images.shape[-2:]
    spectrum = torch.fft.rfft2(wide)[:, :, None] * filters(height, width, wide)
    maps: Tensor = torch.fft.irfft2(spectrum, s=(height, width))
    return maps.flatten(1, 2).to(images.dtype)


def filters(height: int, width: int, like: Tensor) -> Complex[Tensor, "18 {height} _"]:
    """The frequency responses, for the half of the frequencies that a real image needs.

    With r the frequency in octaves below that of the pixels (half a cycle each): H_s = cos(pi/2 clamp(r - s, 0, 1)),
    L_s the sine of the same. The high-pass is H_0; the ring of scale s, from 1, is L_{s-1} H_s, all of it at r = s; the
    low-pass is L_4. A ring is shared out as -i sqrt(4/5) cos^3(angle - k pi/4), k = 0 to 3, whose squares add up to it,
    the angle counter-clockwise as seen from x. Odd filters, so that any angle is a mixture of the four.
    """
    up = -torch.fft.fftfreq(height, dtype=like.dtype, device=like.device)[:, None]
    right = torch.fft.rfftfreq(width, dtype=like.dtype, device=like.device)
    radius = torch.hypot(up, right).clamp_min(1e-9)
    octaves = -(2 * radius).log2()
    falls = [math.pi / 2 * (octaves - scale).clamp(0, 1) for scale in range(SCALES + 1)]
    angles = [math.pi * k / ORIENTATIONS for k in range(ORIENTATIONS)]
    lobes = [math.sqrt(4 / 5) * ((right * math.cos(a) + up * math.sin(a)) / radius) ** 3 for a in angles]
    high, low, none = falls[0].cos(), falls[-1].sin(), torch.zeros_like(octaves)
    rings = [before.sin() * fall.cos() for before, fall in pairwise(falls)]
    bands = [(none, -ring * lobe) for ring in rings for lobe in lobes]
    return torch.stack([torch.complex(*parts) for parts in ((high, none), *bands, (low, none))])
