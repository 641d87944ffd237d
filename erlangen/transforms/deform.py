"""Elastic deformation: a random affine map, then a smooth random displacement of every pixel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.spaces import Cube, Interval, Seed, Space
from erlangen.transforms.filters import gaussian
from erlangen.views import How, Images, Params, check_float, check_probability

KERNEL = 17  # pixels, of the displacement's blur


@dataclass(frozen=True, slots=True)
class Deform:
    """Move three points of the image and the rest with them, then every pixel a little; mirrored at the border.

    Parameters: `deform.points`, the (x, y) displacements of three points in fractions of the shorter side, within
    `reach`; `deform.seed`, of the field that moves every pixel (-1: no field); and `deform.sigma`, the blur of that
    field in pixels, whose strength is `alpha` pixels before it is blurred. This is albumentations' ElasticTransform
    1.0.3: its reach of 50 pixels is that of images of 224, its field is so weak that the affine map is nearly all.
    The field is numpy's for that seed, after six numbers for the points. `eight_bit` rounds after each of the two
    resamplings; `transposed` takes the image's height for its width where the three points are chosen.
    """

    reach: float = 50 / 224
    sigma: tuple[float, float] = (10.0, 50.0)
    alpha: float = 1.0
    eight_bit: bool = False
    transposed: bool = False
    probability: float = 1.0
    name: str = "deform"
    alone: ClassVar[How] = "eager"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if not 0 < self.sigma[0] <= self.sigma[1]:
            raise ValueError(f"`sigma` (={self.sigma}) must be (low, high) with 0 < low <= high")
        if self.reach < 0:
            raise ValueError(f"`reach` (={self.reach}) must be 0 or more")

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {
            f"{self.name}.points": Cube(-self.reach, self.reach, 6),
            f"{self.name}.seed": Seed(),
            f"{self.name}.sigma": Interval(*self.sigma, neutral=self.sigma[0], least=1e-3),
        }

    def apply(self, images: Images, params: Params) -> Images:
        check_float(images)
        points, seed, sigma = (params[f"{self.name}.{part}"] for part in ("points", "seed", "sigma"))
        y, x = torch.meshgrid(*(torch.arange(n, dtype=torch.float64) for n in images.shape[-2:]), indexing="ij")
        pixels = torch.stack([x, y], -1).to(images.device)  # (h, w, 2)
        inverse = self.affine(points, *images.shape[-2:])
        out = self._look(images, (pixels @ inverse[:, None, :, :2].mT) + inverse[:, None, None, :, 2])
        out = self._look(out, pixels + self.field(seed, sigma, *images.shape[-2:]))
        still = (points == 0).all(1, keepdim=True) & (seed < 0)
        return torch.where(still[:, :, None, None], images, out)

    def affine(self, points: Float[Tensor, "n 6"], height: int, width: int) -> Float[Tensor, "n 2 3"]:
        """The map from output to input pixels (x, y) that takes the displaced points back."""
        first, second = (height, width) if self.transposed else (width, height)
        x, y, arm = float(first // 2), float(second // 2), float(min(height, width) // 3)
        source = points.new_tensor([[x + arm, y + arm], [x + arm, y - arm], [x - arm, y - arm]], dtype=torch.float64)
        target = source + points.double().view(-1, 3, 2) * min(height, width)
        corners = torch.cat([target, torch.ones_like(target[..., :1])], -1)  # corners @ inverse.T = source
        inverse: Tensor = torch.linalg.solve(corners, source.expand_as(target)).mT
        return inverse

    def field(
        self, seed: Float[Tensor, "n 1"], sigma: Float[Tensor, "n 1"], height: int, width: int
    ) -> Float[Tensor, "n h w 2"]:
        """Displacements (x, y) in pixels: blurred uniform noise, drawn on the CPU."""
        noise = np.zeros((len(seed), 2, height, width), np.float32)
        for row, value in enumerate(seed[:, 0].tolist()):
            if value >= 0:
                random = np.random.RandomState(int(value))
                random.uniform(size=6)  # the points' share
                noise[row] = random.rand(2, height, width) * 2 - 1
        kernel = min(KERNEL, 2 * min(height, width) - 1)
        field = gaussian(torch.from_numpy(noise).to(seed.device), sigma.float(), kernel)
        return (self.alpha * field).permute(0, 2, 3, 1).double()

    def _look(self, images: Images, place: Float[Tensor, "n h w 2"]) -> Images:
        """Bilinear look-up at pixels (x, y), mirrored about the centres of the outermost ones."""
        side = place.new_tensor([images.shape[-1], images.shape[-2]])
        grid = (2 * place / (side - 1).clamp_min(1) - 1).to(images.dtype)
        found: Tensor = F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
        return (found * 255).round() / 255 if self.eight_bit else found
