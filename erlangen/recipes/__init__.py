"""Named, complete experiments. A recipe is a Python value; another structure is another recipe."""

from collections.abc import Mapping
from typing import Any

from erlangen.names import lookup
from erlangen.recipes import (
    baselines,
    basics,
    duet,
    dynamics,
    equivariant,
    essl,
    invariances,
    issl,
    latents,
    operators,
    quickstart,
    relic,
    rotations,
)
from erlangen.recipes.base import Recipe, Run, change, train

ROOMS = (
    *(basics, baselines, issl, relic, invariances, dynamics, duet, essl, equivariant, operators, latents, rotations),
    quickstart,
)
RECIPES: Mapping[str, Recipe] = {name: each for room in ROOMS for name, each in room.RECIPES.items()}


def recipe(name: str, **changes: Any) -> Recipe:
    """The recipe of this name, with other values: `recipe("simclr", data="digits", **{"train.epochs": 5})`.

    `ValueError` for a recipe or a field that does not exist, with the nearest that does.
    """
    changed: Recipe = change(lookup("recipe", name, RECIPES), changes)
    return changed


__all__ = ["RECIPES", "Recipe", "Run", "recipe", "train"]
