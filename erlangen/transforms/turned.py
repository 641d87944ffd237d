"""Views of which one is shown in all four quarter turns (E-SSL, arXiv:2111.00899)."""

from dataclasses import dataclass, replace

import torch

from erlangen.pipelines import Pipeline, Pipelines
from erlangen.spaces import Cyclic
from erlangen.views import Batch, Draws, View


@dataclass(frozen=True)
class Turned:
    """Independent views, then one more, four times: as it is, and turned by one, two and three quarters."""

    pipelines: tuple[Pipeline, ...]
    turned: Pipeline

    def __call__(self, batch: Batch, draws: Draws) -> list[View]:
        views = Pipelines(self.pipelines)(batch, draws)
        once = self.turned(batch, draws)
        return [*views, *(turn(once, quarters) for quarters in range(4))]


def turn(view: View, quarters: int) -> View:
    """The view turned counter-clockwise, exactly; its parameter `quarter_turn` says so."""
    if view.images.shape[-1] != view.images.shape[-2]:
        raise ValueError(f"quarter turns need square images, these have {tuple(view.images.shape[-2:])}")
    images = torch.rot90(view.images, quarters, (2, 3))
    turns = images.new_full((len(images), 1), quarters, dtype=torch.get_default_dtype())
    params, spaces = {**view.params, "quarter_turn": turns}, {**view.spaces, "quarter_turn": Cyclic(4)}
    return replace(view, images=images, params=params, spaces=spaces)
