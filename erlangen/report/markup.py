"""Pieces of a page: numbers with their intervals, tables, definitions. Every text that is given is escaped."""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from erlangen.report.svg import look, marker

NOTHING = "–"


@dataclass(frozen=True)
class Encoder:
    """Who was measured: its place on the page, which gives its colour, dashes and sign, and its name."""

    index: int
    label: str
    reference: bool

    @property
    def sign(self) -> str:
        """How it is drawn."""
        line = f'<path class="line {look(self.index)}" d="M0 70H300"/>'
        return f'<svg class="sign" viewBox="0 0 300 140" aria-hidden="true">{line}{marker(self.index, (150, 70))}</svg>'

    @property
    def key(self) -> str:
        """How it is drawn, and its name."""
        kind = ' <span class="reference">reference</span>' if self.reference else ""
        label = re.sub(r"([/:_.-])(?=\w)", r"\1\0", self.label)  # where the name may be broken
        words = escape(label).replace("\0", "<wbr>")
        return f'<span class="key">{self.sign}<span class="label">{words}</span>{kind}</span>'


def known(values: Sequence[object]) -> list[float | None]:
    """Those that are numbers, and finite; None in the place of the others."""
    return [
        float(v) if isinstance(v, int | float) and not isinstance(v, bool) and math.isfinite(v) else None
        for v in values
    ]


def finite(value: object) -> float | None:
    """A number that can be shown."""
    return known([value])[0]


def number(value: object) -> str:
    """Three places; fewer of large numbers, powers of ten of those that would be 0."""
    x = finite(value)
    if x is None:
        return NOTHING
    if 0 < abs(x) < 5e-4 or abs(x) >= 1e6:
        mantissa, _, exponent = f"{x:.1e}".partition("e")
        return f"{mantissa}e{int(exponent)}".replace("-", "−")
    places = 3 if abs(x) < 10 else 2 if abs(x) < 100 else 1 if abs(x) < 1000 else 0
    return f"{x:.{places}f}".replace("-", "−")


def whole(value: object) -> str:
    x = finite(value)
    return NOTHING if x is None else f"{x:g}"


def bounds(result: Mapping[str, Any], name: str) -> tuple[float, float] | None:
    """The 95 % interval of a number, if it has one."""
    pair = (result.get("intervals") or {}).get(name) or (None, None)
    low, high = finite(pair[0]), finite(pair[1])
    return None if low is None or high is None else (low, high)


def between(pair: tuple[float, float] | None) -> str:
    return "" if pair is None else f"[{number(pair[0])}, {number(pair[1])}]"


def measured(result: Mapping[str, Any], name: str) -> str:
    """A number and its interval below it."""
    pair = bounds(result, name)
    return number(result.get(name)) + ("" if pair is None else f"<small>{between(pair)}</small>")


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[str]], heads: int = 1, kind: str = "") -> str:
    """Cells are HTML, or a whole `<td>`; the first `heads` of a row name it. It scrolls by itself where it is wide."""

    def cell(inside: str, head: bool) -> str:
        if head:
            return f'<th scope="row">{inside}</th>'
        return inside if inside.startswith("<td") else f"<td>{inside}</td>"

    kinds = (' class="head"' if i < heads else "" for i in range(len(columns)))
    top = "".join(f'<th scope="col"{sort}>{column}</th>' for sort, column in zip(kinds, columns, strict=True))
    lines = ("".join(cell(inside, i < heads) for i, inside in enumerate(row)) for row in rows)
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    told = f"<caption>{escape(caption)}</caption>"
    shown = f'<table class="{kind}">{told}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll" role="group" aria-label="{escape(caption)}">{shown}</div>'


def told(value: object) -> str:
    """A value of a protocol in words."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {told(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(told(item) for item in value)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def definitions(values: Mapping[str, object]) -> str:
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(told(v))}</dd>' for k, v in values.items())}</dl>"


def details(summary: str, body: str) -> str:
    return f"<details><summary>{escape(summary)}</summary>{body}</details>"


def chosen(name: str, first: str, body: str, tag: str = "div") -> str:
    """What is shown only while the number of this name is chosen; `first` is at the beginning."""
    return f'<{tag} data-number="{escape(name)}"{"" if name == first else " hidden"}>{body}</{tag}>'


def data(value: object) -> str:
    """Values for the script, which no text in them can end or open."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c").replace(">", "\\u003e")
    return f'<script type="application/json">{text}</script>'
