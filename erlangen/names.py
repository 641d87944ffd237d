"""Names that a user types: looked up in a table; an unknown one gets what exists and the nearest."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

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
