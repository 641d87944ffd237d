"""Covering parts of the image: random erasing, and removing the background where a mask is given."""

from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import replace as changed

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.pipelines import Pipeline, check_params
from erlangen.spaces import Patch, Space, Switch
from erlangen.views import Batch, Draws, Images, Params, View, check_float, check_probability, constant


@dataclass(frozen=True, slots=True)
class Erasing:
    """Cover a box with one value, or one per channel (Zhong et al., arXiv:1708.04896).

    Parameter: the box (top, left, height, width) in fractions of the image; one without area covers nothing. A pixel
    is covered if its centre is. `scale` is the share of the area, `ratio` the height over the width.
    """

    scale: tuple[float, float] = (0.02, 0.33)
    ratio: tuple[float, float] = (0.3, 3.3)
    value: float | tuple[float, ...] = 0.0
    probability: float = 0.5
    name: str = "erasing"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if not 0 < self.ratio[0] <= 1 <= self.ratio[1]:
            raise ValueError(f"`ratio` (={self.ratio}) must be (low, high) with 0 < low <= 1 <= high")
        Patch(self.scale, self.ratio)

    @property
    def spaces(self) -> Mapping[str, Space]:
        return {self.name: Patch(self.scale, (1 / self.ratio[1], 1 / self.ratio[0]))}

    def apply(self, images: Images, params: Params) -> Images:
        check_float(images)
        top, left, height, width = params[self.name][:, :, None].unbind(1)  # (n, 1) each
        rows, columns = ((torch.arange(n, device=images.device, dtype=top.dtype) + 0.5) / n for n in images.shape[-2:])
        across = (columns >= left) & (columns < left + width)
        down = (rows >= top) & (rows < top + height)
        if isinstance(self.value, tuple) and len(self.value) != images.shape[1]:
            raise ValueError(f"`value` (={self.value}) has {len(self.value)} channels, the images {images.shape[1]}")
        return torch.where((down[:, :, None] & across[:, None])[:, None], _colour(self.value, images), images)


def _colour(value: float | tuple[float, ...], images: Images) -> Tensor:
    return constant(value if isinstance(value, tuple) else (value,), images.dtype, images.device)


@dataclass(frozen=True)
class BackgroundRemoved:
    """A pipeline whose images first lose their background, where the batch has a mask of what is salient.

    ReLICv2 (Tomasev et al., arXiv:2201.05119) does it before cropping, with a probability, for its large views; the
    background becomes `fill`. Parameter: 0 or 1, beside those of the pipeline.
    """

    pipeline: Pipeline
    probability: float = 0.1
    fill: float = 0.0
    name: str = "background_removed"

    def __post_init__(self) -> None:
        check_probability(self.probability)
        if not 0 <= self.fill <= 1:
            raise ValueError(f"`fill` (={self.fill}) is a value of a pixel: in [0, 1]")
        if self.name in self.pipeline.spaces:
            raise ValueError(f"the pipeline has a parameter `name` (={self.name}) already; choose another")

    @property
    def spaces(self) -> dict[str, Space]:
        return {self.name: Switch(), **self.pipeline.spaces}

    def __call__(self, batch: Batch, draws: Draws) -> View:
        n = len(batch.images)
        removed = (draws(n, 1) < self.probability).to(torch.get_default_dtype())
        return self.view(batch, {self.name: removed, **self.pipeline.draw(n, draws)})

    def replay(self, batch: Batch, params: Mapping[str, Float[Tensor, "n _"]]) -> View:
        """The view that has these parameters."""
        check_params(self.spaces, params, len(batch.images))
        return self.view(batch, {name: params[name] for name in self.spaces})

    def view(self, batch: Batch, params: Mapping[str, Float[Tensor, "n _"]]) -> View:
        if batch.mask is None:
            raise ValueError("the background is told by a mask, which these data do not have: give `Batch(mask=...)`")
        images = batch.images
        removed = params[self.name].to(images.device)[:, :, None, None] > 0.5
        fill = round(self.fill * 255) if images.dtype == torch.uint8 else self.fill
        images = torch.where(removed & ~batch.mask[:, None], torch.tensor(fill, dtype=images.dtype), images)
        rest = {name: p for name, p in params.items() if name != self.name}
        view = self.pipeline.view(changed(batch, images=images, native=None), rest)
        return changed(view, params={self.name: params[self.name], **view.params}, spaces=self.spaces)
