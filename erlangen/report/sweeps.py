"""One transform on the page: a curve of every number, the images that it makes, and the point that a slider is at."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

from erlangen.report import svg
from erlangen.report.graphs import Curve, Sweep, across, curves, graph, named
from erlangen.report.markup import Encoder, between, chosen, data, definitions, details, finite, measured, number, table

CURVES = {  # what can be chosen, and how it is read
    "similarity": "cosine of whitened representations: 1 if nothing changes, 0 for unrelated images",
    "distance": "between whitened representations: 0 if nothing changes, √(2 dimensions) for unrelated images",
    "cosine": "of representations as they are: 1 if nothing changes, but unrelated images may have 0.9",
    "cka": "linear CKA: 1 also for a representation that moves along with the image, 0 for an unrelated one",
    "retrieval": "how often the image as it is is the nearest to the transformed one",
    "consistency": "how often a linear classifier says the same as of the image as it is",
    "accuracy": "how often a linear classifier, fitted to images as they are, is right",
}
NUMBERS = (*list(CURVES)[:3], "variance", *list(CURVES)[3:], "decodability", "lidar")


def section(sweep: Sweep, names: Sequence[str], encoders: Sequence[Encoder], protocol: Mapping[str, object]) -> str:
    """The part of the page on one transform; `names` are the numbers that can be chosen."""
    x, found = across(sweep), {name: curves(sweep, name) for name in names}
    graphs = "".join(chosen(name, names[0], graph(sweep, name, found[name], x), "figure") for name in names)
    parts = [
        f'<h3 id="t{sweep.place}"><span class="place">{sweep.place + 1}</span> {escape(sweep.name)}</h3>',
        f'<div class="pair"><div>{graphs}</div>{numbers(sweep)}</div>',
        pictures(sweep),
        slider(sweep, found, x, encoders),
        details("Protocol of this transform", definitions(protocol)) if protocol else "",
    ]
    return f'<section class="sweep">{"".join(parts)}</section>'


def numbers(sweep: Sweep) -> str:
    """Every number of every encoder."""
    has = [name for name in NUMBERS if any(finite(r.get(name)) is not None for r in sweep.results.values())]
    rows = [[named(name), *(measured(result, name) for result in sweep.results.values())] for name in has]
    return table(
        f"{sweep.name}: means over the grid, 95 % intervals",
        ["number", *(encoder.key for encoder in sweep.results)],
        rows,
    )


def pictures(sweep: Sweep) -> str:
    """The strip of images; a frame for the one that the slider is at."""
    if sweep.strip is None:
        return ""
    k = len(sweep.shown)
    source = f"data:image/jpeg;base64,{base64.b64encode(sweep.strip).decode()}"
    words = escape(f"One image under {k} values of {sweep.label}, in the order of the slider")
    image = f'<img src="{source}" width="{k * sweep.tile[0]}" height="{sweep.tile[1]}" alt="{words}">'
    tiles = f'<div class="tiles" style="--k:{k}">{image}<span class="frame" hidden></span></div>'
    return f'<div class="strip scroll" role="group" aria-label="{words}">{tiles}</div>'


def slider(sweep: Sweep, found: Mapping[str, Sequence[Curve]], x: svg.Scale, encoders: Sequence[Encoder]) -> str:
    """The control, the place of what it says, and the values for both. Hidden without the script that moves it."""
    if not sweep.shown or not any(found.values()):
        return ""
    first = sweep.values(next(r for r in sweep.results.values() if r.get("axis")))
    places = [first[i] if i < len(first) else None for i in sweep.shown]
    values = {
        "values": [sweep.said(value) for value in places],
        "x": [None if value is None else round(x.at(value)) for value in places],
        "numbers": {name: readings(sweep.shown, of, encoders) for name, of in found.items() if of},
    }
    name = f"s{sweep.place}"
    limits = f'min="0" max="{len(sweep.shown) - 1}" step="1" value="0" autocomplete="off"'
    return (
        f'<div class="control" hidden><label for="{name}">{escape(sweep.label)}</label>'
        f'<input type="range" id="{name}" {limits} style="--k:{len(sweep.shown)}">'
        f'<output for="{name}" aria-live="polite"></output>{data(values)}</div>'
    )


def readings(shown: Sequence[int], of: Sequence[Curve], encoders: Sequence[Encoder]) -> list[list[str] | None]:
    """What is said of each encoder at each point that is shown; None of those that have no such curve."""
    by = {curve.encoder: curve for curve in of}
    return [[reading(by[encoder], i) for i in shown] if encoder in by else None for encoder in encoders]


def reading(curve: Curve, i: int) -> str:
    """A number at a point, and its interval."""
    if i >= len(curve.mean):
        return number(None)
    low, high = (edge[i] if edge else None for edge in (curve.low, curve.high))
    pair = None if low is None or high is None else (low, high)
    return f"{number(curve.mean[i])} {between(pair)}".strip()
