"""A step of a training once more: its images and their views, from the recipe and the number of the step alone."""

from collections.abc import Sequence
from pathlib import Path

import torch

from erlangen.data import Data, open_dataset
from erlangen.pipelines import with_pipelines
from erlangen.recipes.base import Recipe
from erlangen.train import count_steps, step_batch, step_views
from erlangen.views import Batch, View


def replay(recipe: Recipe, step: int, data: Data | None = None) -> tuple[Batch, list[View]]:
    """The batch of optimiser step number `step` (the first is 1), of all ranks together, and its views.

    They are what training saw, on the same device bit for bit: nothing random has state, so that the run need not have
    come so far. `data` are the recipe's, opened anew unless given. `ValueError` for a step that the training has not.
    """
    config = recipe.train
    device = "cuda" if torch.cuda.is_available() and config.device != "cpu" else "cpu"
    data = data or open_dataset(recipe.data, recipe.data_root, recipe.image_size, device)
    steps, _ = count_steps(len(data.train), config)
    if not 1 <= step <= steps:
        raise ValueError(f"`step` (={step}) must be one of the training's: 1 to {steps}")
    views = recipe.build_views(data)
    views = with_pipelines(views, compiled=recipe.compile_views, channels_last=config.channels_last)
    batch = step_batch(data.train, config, step - 1)
    return batch, step_views(views, batch, config, step - 1)


def save_step(path: Path, batch: Batch, views: Sequence[View]) -> None:
    """One .safetensors: `index`, `labels` if there are any, and of each view `view1.images`, `view1.rotation` ..."""
    from safetensors.torch import save_file

    tensors = {"index": batch.index} if batch.labels is None else {"index": batch.index, "labels": batch.labels}
    for i, view in enumerate(views, start=1):
        tensors |= {f"view{i}.{name}": value for name, value in {"images": view.images, **view.params}.items()}
    save_file({name: x.detach().contiguous().clone() for name, x in tensors.items()}, path)
