"""Views with latents: the figures of a procedural data set rendered anew, whose parameters are the exact latents.

No augmentation, so nothing is cut off or resampled: two views differ by what was drawn for them and by nothing else.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.chunks import each
from erlangen.data import shapes, shapes3d
from erlangen.names import unknown
from erlangen.spaces import SO3, Space
from erlangen.views import Batch, Draws, View, Views


@dataclass(frozen=True)
class ShapesViews:
    """Renderings of the batch's figures, for data `shapes`; parameters: pose, scale, x, y, foreground, background."""

    views: int = 2  # of each image
    vary: tuple[str, ...] = tuple(shapes.SPACES)
    """The latents that are drawn anew for every view. The others are those of the batch's own image."""
    first_as_is: bool = False  # the first view is the batch's own image (EquiMod), nothing is drawn for it

    def __post_init__(self) -> None:
        _check(self)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return shapes.SPACES

    def build(self, channels: int, size: int) -> Views:
        _check_channels("shapes", channels)
        return Rendered(self, "shapes", 2 * shapes.HARMONICS, shapes.render, shapes.CHUNK, size)


@dataclass(frozen=True)
class Shapes3DViews:
    """Renderings of the batch's solids, for data `shapes3d`; parameters: pose, light.azimuth, light.elevation,
    foreground, background."""

    views: int = 2  # of each image
    vary: tuple[str, ...] = tuple(shapes3d.SPACES)
    """The latents that are drawn anew for every view. The others are those of the batch's own image."""
    first_as_is: bool = False  # the first view is the batch's own image (EquiMod), nothing is drawn for it
    limit: float | None = math.pi / 2  # of the Euler angles of the pose; None: all rotations alike
    convention: Literal["left", "right"] = "left"  # of relative poses: q p^-1, or p^-1 q (SIE)
    target: Literal["quaternion", "six"] = "quaternion"  # what poses are embedded as
    canonical: bool = False  # quaternions with w >= 0 only

    def __post_init__(self) -> None:
        _check(self)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {**shapes3d.SPACES, "pose": SO3(self.limit, self.convention, self.target, self.canonical)}

    def build(self, channels: int, size: int) -> Views:
        _check_channels("shapes3d", channels)
        return Rendered(self, "shapes3d", shapes3d.NUMBERS, shapes3d.render3d, shapes3d.CHUNK, size)


@dataclass(frozen=True)
class Rendered:
    """The views of one of these policies, of `size` pixels."""

    policy: ShapesViews | Shapes3DViews
    data: str
    numbers: int  # of a code
    render: Callable[[Tensor, Mapping[str, Tensor], int], Tensor]
    piece: int  # images that are rendered together on the CPU
    size: int

    def __call__(self, batch: Batch, draws: Draws) -> list[View]:
        n, policy, spaces = len(batch.images), self.policy, dict(self.policy.spaces)
        kept = spaces if policy.first_as_is else [name for name in spaces if name not in policy.vary]
        own = {name: p.to(torch.get_default_dtype()) for name, p in self._latents(batch, kept).items()}
        views = []
        for i in range(policy.views):
            drawn = {} if policy.first_as_is and i == 0 else self._draw(n, draws, batch.images.device)
            params = {name: drawn[name] if name in drawn else own[name] for name in spaces}
            views.append(View(self._images(own["code"], params), params, spaces, batch.index, batch.labels))
        return views

    def _draw(self, n: int, draws: Draws, device: torch.device) -> dict[str, Float[Tensor, "n _"]]:
        """The latents that vary, which move to the images as one tensor: bitwise the same on any device."""
        spaces = {name: space for name, space in self.policy.spaces.items() if name in self.policy.vary}
        dims = [space.dim for space in spaces.values()]
        u = draws(n, sum(dims))
        parts = zip(spaces.values(), torch.split(u, dims, dim=1), strict=True)
        drawn = torch.cat([space.from_unit(part) for space, part in parts], 1).to(device, non_blocking=True)
        return dict(zip(spaces, torch.split(drawn, dims, dim=1), strict=True))

    def _images(self, codes: Tensor, latents: Mapping[str, Tensor]) -> Tensor:
        n, piece = len(codes), self.piece if codes.is_cpu else len(codes)
        images = codes.new_empty(n, 3, self.size, self.size)

        def render(part: slice) -> None:
            images[part] = self.render(codes[part], {name: p[part] for name, p in latents.items()}, self.size)

        each(render, [slice(i, i + piece) for i in range(0, n, piece)])
        return images

    def _latents(self, batch: Batch, names: Iterable[str]) -> dict[str, Tensor]:
        """The codes and those of these names; `ValueError` if the data are others."""
        have = batch.latents or {}
        missing = [name for name in ("code", *names) if name not in have]
        if missing:
            raise ValueError(
                f"`latents` of the data (={', '.join(have) or 'none'}) lack {', '.join(missing)}, of which "
                f"these views are rendered; the data that have them: {self.data}"
            )
        if have["code"].shape[1] != self.numbers:
            raise ValueError(
                f"`code` of the data has {have['code'].shape[1]} numbers, that of {self.data}, which these views "
                f"render, {self.numbers}"
            )
        return {name: have[name] for name in ("code", *names)}


def _check(policy: ShapesViews | Shapes3DViews) -> None:
    for name in policy.vary:
        if name not in policy.spaces:
            raise unknown("latent in `vary`", name, policy.spaces)
    if not policy.vary:
        raise ValueError(f"`vary` (={policy.vary}) names no latent; choose from {', '.join(policy.spaces)}")
    if policy.views < 1:
        raise ValueError(f"`views` (={policy.views}) is a number of views: at least 1")


def _check_channels(data: str, channels: int) -> None:
    if channels != 3:
        raise ValueError(
            f"the views of {data} are rendered in colour: 3 `channels`, not those of the data (={channels})"
        )
