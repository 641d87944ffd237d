"""The recipe of a run folder, rebuilt from the values that the run wrote down."""

import importlib
import json
import pkgutil
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from pathlib import Path
from types import ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from erlangen import optim
from erlangen.data import latent, threediebench
from erlangen.methods import discover
from erlangen.recipes.base import Recipe
from erlangen.recipes.duet import DUETSimCLR
from erlangen.terms import discover as terms
from erlangen.train import TrainConfig
from erlangen.transforms import duet, presets


def stored(folder: Path) -> Recipe:
    """The recipe that `recipe.json` of a run folder holds; equal to the one that was trained.

    `ValueError` if the file is missing or damaged, or names a class that is not Erlangen's own: only names of the
    package's methods, view policies, optimisers and schedules are looked up, nothing is imported for a file.
    """
    file = folder / "recipe.json"
    if not file.is_file():
        raise ValueError(f"{folder} is no run folder: it has no recipe.json")
    try:
        record = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{file} is damaged: {error}") from error
    values = record.get("values") if isinstance(record, dict) else None
    if not isinstance(values, dict) or values.get("class") != "Recipe":
        raise ValueError(f"{file} is damaged: it has no `values` of the class Recipe")
    try:
        recipe: Recipe = _rebuilt(values, "", file)
    except RecursionError as error:
        raise ValueError(f"{file} is damaged: its values are nested too deep") from error
    return recipe


@cache
def classes() -> dict[str, type[Any]]:
    """What a recipe is made of, by name: the dataclasses of the package that `recipe.json` may name."""
    known: dict[str, type[Any]] = {**discover(), **terms()}
    known |= {cls.__name__: cls for cls in (DUETSimCLR, Recipe, TrainConfig)}
    places = {module: "" for module in _modules(optim)}
    places |= {module: "Views" for module in (*_modules(presets), duet, latent, threediebench)}
    for module, ending in places.items():
        own = (x for x in vars(module).values() if isinstance(x, type) and x.__module__ == module.__name__)
        known |= {x.__name__: x for x in own if is_dataclass(x) and x.__name__.endswith(ending)}
    return known


def _modules(package: ModuleType) -> list[ModuleType]:
    """A module, and those inside if it is a package."""
    inside = pkgutil.iter_modules(getattr(package, "__path__", ()), f"{package.__name__}.")
    return [package, *(importlib.import_module(info.name) for info in inside)]


def _rebuilt(value: Any, place: str, file: Path) -> Any:
    """The value that `runs.resolved` wrote; `place` is its field, e.g. `optim.lr`."""
    if isinstance(value, list):
        return tuple(_rebuilt(item, f"{place}.{i}", file) for i, item in enumerate(value))
    if not isinstance(value, dict):
        return value
    name = value.get("class")
    if not isinstance(name, str) or name not in classes():
        raise ValueError(
            f"`{place}` in {file} is of the class {name!r}, which is not one of Erlangen's own: `replay(recipe, step)` "
            "of erlangen.recipes.replay in Python takes the recipe itself"
        )
    kind = classes()[name]
    hints = get_type_hints(kind)
    inside = {f: _rebuilt(x, f"{place}.{f}" if place else f, file) for f, x in value.items() if f != "class"}
    _check_fields(inside, hints, [f.name for f in fields(kind)], f"{place}." if place else "", file)
    try:
        return kind(**inside)
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(f"{file} holds values that {name} refuses: {error}") from error


def _check_fields(inside: Mapping[str, Any], hints: Mapping[str, Any], known: list[str], at: str, file: Path) -> None:
    """`ValueError` for the fields that a class lacks or has besides, and for values of another type."""
    odd = sorted(set(known) ^ set(inside))
    if odd:
        names = ", ".join(f"{at}{name}" for name in odd)
        raise ValueError(f"{file} was written by another version of Erlangen, or is damaged: it differs in {names}")
    for name, value in inside.items():
        if not _fits(value, hints[name]):
            raise ValueError(
                f"{file} is damaged: `{at}{name}` (={value!r}) is no {getattr(hints[name], '__name__', hints[name])}"
            )


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value of JSON is of an annotated type, an int being good where a float is asked for (PEP 484)."""
    origin, args = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return any(_fits(value, arg) for arg in args)
    if origin is Literal:
        return value in args and not isinstance(value, bool)
    if origin is tuple and isinstance(value, tuple):
        inside = args[:1] * len(value) if args[1:] == (...,) else args
        return len(inside) == len(value) and all(_fits(x, arg) for x, arg in zip(value, inside, strict=True))
    if isinstance(value, bool):
        return kind is bool
    if kind is float:
        return isinstance(value, int | float)
    return kind is Any or isinstance(value, origin or kind)
