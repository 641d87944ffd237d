"""Names that a user types: looked up in a table; an unknown one gets what exists and the nearest. And what exists."""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

T = TypeVar("T")


def unknown(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """The error for a name that is not among `known`."""
    known = list(known)
    hint = "".join(f" Did you mean {near!r}?" for near in get_close_matches(name, known, n=1, cutoff=0.5))
    return ValueError(f"no {kind} {name!r}; there are: {', '.join(known)}.{hint}")


def lookup(kind: str, name: str, table: Mapping[str, T]) -> T:
    """`table[name]`, or the error of `unknown`."""
    if name not in table:
        raise unknown(kind, name, table)
    return table[name]


def discovered(package: str, path: Iterable[str], functions: Sequence[str]) -> dict[str, type[Any]]:
    """The classes by name, of the files of a package (`base` excepted), that have all of these functions."""
    found: dict[str, type[Any]] = {}
    for info in pkgutil.iter_modules(path):
        if info.name != "base":
            module = importlib.import_module(f"{package}.{info.name}")
            for name, value in vars(module).items():
                own = isinstance(value, type) and value.__module__ == module.__name__
                if own and all(callable(getattr(value, function, None)) for function in functions):
                    found[name] = value
    return found
