"""The cells of a study: recipes trained and measured once, kept as files, so that an unfinished study goes on."""

import json
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

from erlangen.data.base import Data, Source
from erlangen.recipes.base import Recipe, Run, train
from erlangen.runs import environment, resolved
from erlangen.train import Observer

Numbers = dict[str, Any]


def cell(
    folder: Path,
    recipe: Recipe,
    seed: int,
    measured: Callable[[Run], Numbers],
    protocol: Mapping[str, Any],
    observers: Sequence[Observer] = (),
) -> Numbers:
    """What `measured` finds of the recipe trained with this seed, in `folder`; found before if it is there.

    `protocol` says how it is measured. `ValueError` if the folder holds numbers of another recipe or protocol.
    """
    recipe = replace(recipe, train=replace(recipe.train, seed=seed))
    known, key = folder / "cell.json", {"recipe": resolved(recipe), "protocol": dict(protocol)}
    if known.exists():
        try:
            kept = json.loads(known.read_text())
            numbers: Numbers = dict(kept.pop("numbers"))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{known} is damaged: delete it, and it is measured again") from error
        if kept != json.loads(json.dumps(key)):
            raise ValueError(f"{known} holds the numbers of another recipe or protocol: name another `out`")
        return numbers
    numbers = measured(train(recipe, folder, resume=folder.exists(), observers=observers))
    part = known.with_suffix(".part")
    part.write_text(json.dumps({**key, "numbers": numbers}, indent=2))
    part.replace(known)
    return numbers


def cells(
    out: Path,
    name: str,
    recipe: Recipe,
    seeds: Sequence[int],
    measured: Callable[[Run], Numbers],
    protocol: Mapping[str, Any],
    observers: Sequence[Observer] = (),
) -> list[Numbers]:
    """The cells of all seeds, in folders of this name."""
    return [cell(out / f"{name}-{seed}", recipe, seed, measured, protocol, observers) for seed in seeds]


def part(data: Data, which: str) -> Source:
    """The images to fit on, "train", or those to test on; of data that have no others, the same."""
    return data.train if which == "train" else data.test or data.train


def spread(cells: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Of each number the mean over the seeds and their standard deviation (of a sample; 0 for one seed)."""
    return {
        key: {
            "mean": statistics.fmean(each[key] for each in cells),
            "std": statistics.stdev(each[key] for each in cells) if len(cells) > 1 else 0.0,
        }
        for key in cells[0]
    }


def made(study: str, seeds: Sequence[int], fast: bool) -> dict[str, Any]:
    """How a table was made: the command, when, and on what."""
    command = f"erlangen study {study} --seeds {' '.join(map(str, seeds))}{' --fast' * fast}"
    return {"command": command, "seeds": list(seeds), "date": date.today().isoformat(), "environment": environment()}


def shown(value: Mapping[str, float], places: int = 2) -> str:
    """A mean and its spread, if there is one, for people: 0.71 ± 0.02."""
    return f"{value['mean']:.{places}f}" + (f" ± {value['std']:.{places}f}" if value["std"] else "")
