"""How fast does a representation move when an image begins to? The Lie derivative (Gruver et al. 2022,
arXiv:2210.02984), and how much of it a linear generator explains."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from erlangen.encoders.frozen import represent
from erlangen.measures.actions import COLOURS
from erlangen.measures.fitted import STEERED
from erlangen.measures.steer import components
from erlangen.names import lookup
from erlangen.solvers import ridge_of_versions
from erlangen.solvers.intervals import Weights, mean, with_intervals
from erlangen.transforms.sweeps import SYNTHETIC
from erlangen.views import Transform, to_float


@dataclass(frozen=True)
class Direction:
    """A way to begin: parameters a little to either side of what does nothing, `step` of the unit `per` away."""

    transform: Transform
    ahead: Mapping[str, Float[Tensor, " _"]]
    behind: Mapping[str, Float[Tensor, " _"]]
    step: float
    per: str


def directions(name: str, size: int) -> dict[str, Direction]:
    """Those of a synthetic transform: one, or `translation.x` and `translation.y`, `shear.x` and `shear.y`.

    Steps are of half a pixel at the border, or of one level of brightness. `ValueError` for a transform that cannot
    begin: that is on or off, or only one way, as a blur.
    """
    radians, factor, shift = 1 / size, 1 + 1 / size, 0.5 / size
    about = {  # name -> (of each direction the parameter ahead, of the one that does nothing), step, unit
        "rotation": ([[radians]], [0.0], radians, "radian"),
        "translation": ([[shift, 0.0], [0.0, shift]], [0.0, 0.0], shift, "width"),
        "scale": ([[factor]], None, math.log(factor), "factor of e"),
        "shear": ([[radians, 0.0], [0.0, radians]], [0.0, 0.0], radians, "radian"),
        "hue": ([[1 / 256]], [0.0], 1 / 256, "turn of hue"),
        **{kind: ([[257 / 256]], None, math.log(257 / 256), "factor of e") for kind in COLOURS},
    }
    ahead, still, step, per = lookup("transform that can begin", name, about)
    transform = SYNTHETIC[name](size)
    (parameter,) = transform.spaces
    found = {}
    for label, values in zip((f"{name}.x", f"{name}.y") if len(ahead) > 1 else (name,), ahead, strict=True):
        there = torch.tensor(values)
        back = 1 / there if still is None else 2 * torch.tensor(still) - there
        found[label] = Direction(transform, {parameter: there}, {parameter: back}, step, per)
    return found


def derivative(encoder: nn.Module, images: Shaped[Tensor, "n c h w"], direction: Direction) -> Float[Tensor, "n d"]:
    """Central differences of the representations, in float64, for one unit of the parameter."""
    moved = []
    for given in (direction.ahead, direction.behind):
        parts = []
        for part in torch.split(images, 256):
            params = {name: p.to(part.device).expand(len(part), -1) for name, p in given.items()}
            parts.append(represent(encoder, direction.transform.apply(to_float(part), params)))
        moved.append(torch.cat(parts).double())
    return (moved[0] - moved[1]) / (2 * direction.step)


def lie(
    encoder: nn.Module,
    fit: Shaped[Tensor, "n c h w"],
    test: Shaped[Tensor, "m c h w"],
    direction: Direction,
    seed: int = 0,
) -> dict[str, Any]:
    """Of the test images, with 95 % intervals.

    `speed`: root mean square of the derivative, in distances of two images for one unit: 0 for an encoder that is
    invariant to small changes. `explained`: 1 - the share of the squared derivative that a linear generator, fitted to
    the derivatives of the fit images by ridge regression, leaves: 1 for an equivariant one, 0 where it does not move.
    """
    if min(len(fit), len(test)) < 2:
        raise ValueError(
            f"a derivative needs 2 images to fit to (={len(fit)}) and 2 to test on (={len(test)}) at least"
        )
    h_fit, h = (represent(encoder, images).double() for images in (fit, test))
    d_fit, d = (derivative(encoder, images, direction) for images in (fit, test))
    apart = 2 * h.var(0).sum().clamp_min(1e-300)
    leading = components(h_fit, STEERED)
    (generator,) = ridge_of_versions(leading(h_fit)[None], d_fit[None], [d.shape[1]], seed)
    left, moved = (d - generator(leading(h))).square().sum(1), d.square().sum(1)

    def statistic(w: Weights) -> dict[str, Float[Tensor, " b"]]:
        total = mean(moved, w)
        share = 1 - mean(left, w) / total.clamp_min(1e-300)
        return {"speed": (total / apart).sqrt(), "explained": torch.where(total > 1e-12 * apart, share, 0.0)}

    return {**with_intervals(statistic, len(h), seed, h.device), "per": direction.per}
