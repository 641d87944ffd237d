"""The cells of a study: recipes trained and measured once, kept as files, so that an unfinished study goes on."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from erlangen.recipes.base import Recipe, Run, train
from erlangen.runs import resolved
from erlangen.train import Observer

Numbers = dict[str, Any]


def cell(
    folder: Path, recipe: Recipe, seed: int, measured: Callable[[Run], Numbers], observers: Sequence[Observer] = ()
) -> Numbers:
    """What `measured` finds of the recipe trained with this seed, in `folder`; found before if it is there.

    `ValueError` if the folder holds a training of other values.
    """
    recipe = replace(recipe, train=replace(recipe.train, seed=seed))
    known = folder / "cell.json"
    if known.exists():
        kept: Numbers = json.loads(known.read_text())
        if kept["recipe"] != json.loads(json.dumps(resolved(recipe))):
            raise ValueError(f"{folder} holds the numbers of another recipe: name another `out`, or delete it")
        return dict(kept["numbers"])
    numbers = measured(train(recipe, folder, resume=folder.exists(), observers=observers))
    part = known.with_suffix(".part")
    part.write_text(json.dumps({"recipe": resolved(recipe), "numbers": numbers}, indent=2))
    part.replace(known)
    return numbers


def spread(cells: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Of each number the mean over the seeds and their standard deviation (of a sample; 0 for one seed)."""
    return {
        key: {
            "mean": statistics.fmean(each[key] for each in cells),
            "std": statistics.stdev(each[key] for each in cells) if len(cells) > 1 else 0.0,
        }
        for key in cells[0]
    }


def shown(value: Mapping[str, float], places: int = 2) -> str:
    """A mean and its spread for people: 0.71 ± 0.02."""
    return f"{value['mean']:.{places}f} ± {value['std']:.{places}f}"
