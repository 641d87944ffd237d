"""Curves of what was measured along a transform, as SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

from erlangen.report import svg
from erlangen.report.markup import NOTHING, Encoder, finite, known, number

SIZE, LEFT, RIGHT, TOP, BOTTOM = (5600, 3150), 430, 120, 430, 500
DODGE = 75  # between the dots of two encoders at one value
ANGLES = ("rotation", "shear")  # whose parameter is in radians

Result = Mapping[str, Any]
Values = Sequence[float | None]


@dataclass(frozen=True)
class Sweep:
    """What was measured of one transform: a result for each encoder that has one, and what is shown of the grid."""

    place: int
    name: str
    results: Mapping[Encoder, Result]
    shown: Sequence[int]
    strip: bytes | None = None
    tile: tuple[int, int] = (0, 0)

    @property
    def axis(self) -> Result:
        return next((r["axis"] for r in self.results.values() if r.get("axis")), {})

    @property
    def label(self) -> str:
        return str(self.axis.get("label") or self.name)

    @property
    def degrees(self) -> bool:
        return self.label.rpartition(" ")[2] in ANGLES

    def at(self, value: object) -> float | None:
        """A place on the axis, in the unit that is shown."""
        x = finite(value)
        return math.degrees(x) if x is not None and self.degrees else x

    def values(self, result: Result) -> list[float | None]:
        unit = math.degrees(1) if self.degrees else 1.0
        return [None if v is None else v * unit for v in known((result.get("axis") or {}).get("values") or ())]

    def said(self, value: float | None) -> str:
        return NOTHING if value is None else f"{value:.4g}{'°' if self.degrees else ''}".replace("-", "−")

    @property
    def identity(self) -> float | None:
        return self.at(self.axis.get("identity"))

    @property
    def line(self) -> bool:
        """Do the points lie along a line? Those of a grid in more dimensions do not."""
        steps = [
            None not in (a, b) and (b > a) - (b < a)  # type: ignore[operator]
            for result in self.results.values()
            for a, b in pairwise(self.values(result))
        ]
        return len(set(steps)) <= 1 and 0 not in steps


@dataclass(frozen=True)
class Curve:
    """One number of one encoder along a sweep."""

    encoder: Encoder
    x: Values
    mean: Values
    low: Values
    high: Values


def curves(sweep: Sweep, name: str) -> list[Curve]:
    """Of every encoder that has this number at every point."""
    found = []
    for encoder, result in sweep.results.items():
        given = (result.get("curves") or {}).get(name) or {}
        mean = known(given.get("mean") or ())
        low, high = (known(edge) for edge in given.get("band") or ((), ()))
        x = sweep.values(result)
        k = min(len(x), len(mean))
        if any(value is not None for value in mean[:k]):
            banded = len(low) >= k <= len(high)
            found.append(Curve(encoder, x[:k], mean[:k], low[:k] if banded else (), high[:k] if banded else ()))
    return found


def named(name: str) -> str:
    return {"cka": "CKA", "lidar": "LiDAR"}.get(name, name)


def across(sweep: Sweep) -> svg.Scale:
    """The scale of the parameter, with room for what does nothing."""
    places = [value for result in sweep.results.values() for value in sweep.values(result)] + [sweep.identity]
    there = [value for value in places if value is not None] or [0.0]
    low, high = min(there), max(there)
    room = 0.035 * (high - low) or 0.5
    return svg.Scale(low - room, high + room, LEFT, SIZE[0] - RIGHT)


def graph(sweep: Sweep, name: str, found: Sequence[Curve], x: svg.Scale) -> str:
    """A number against the parameter, of every encoder."""
    if not found:
        return f'<p class="absent">{escape(named(name))} was not measured along {escape(sweep.name)}.</p>'
    y = upwards(found, name)
    up = [(value, number(value)[: 5 if value < 0 else 4]) for value in svg.ticks(y.low, y.high, 5)]
    if name == "distance":
        up = [(value, f"{value:g}") for value in svg.ticks(y.low, y.high, 5)]
    if sweep.line:
        parts = [along(curve, sweep.shown, x, y) for curve in found]
    else:
        middle = (len(found) - 1) / 2
        parts = [cloud(curve, sweep.shown, x, y, DODGE * (i - middle)) for i, curve in enumerate(found)]
    where = " (degrees)" if sweep.degrees else ""
    described = f"{named(name)} against {sweep.label}: {', '.join(curve.encoder.label for curve in found)}"
    cursor = f'<path class="cursor" d="M0 {TOP}V{SIZE[1] - BOTTOM}" visibility="hidden"/>'
    drawn = svg.drawing(
        described,
        SIZE,
        svg.frame(x, y, marks(sweep, x), up, (sweep.label + where, named(name))),
        still(sweep, x),
        *(part[0] for part in parts),
        cursor,
        *(part[1] for part in parts),
    )
    return f"{drawn}<figcaption>{caption(sweep, found)}</figcaption>"


def upwards(found: Sequence[Curve], name: str) -> svg.Scale:
    """The scale of a number: from 0 to 1 if it can be, so that curves of two transforms can be compared."""
    there = [v for curve in found for part in (curve.mean, curve.low, curve.high) for v in part if v is not None]
    low, high = min(0.0, *there), max(there) * 1.05 if name == "distance" else max(1.0, *there)
    return svg.Scale(low - 0.03 * (low < 0), high or 1.0, SIZE[1] - BOTTOM, TOP)


def marks(sweep: Sweep, x: svg.Scale) -> list[tuple[float, str]]:
    """Ticks: the values themselves if they are few."""
    own = {value for result in sweep.results.values() for value in sweep.values(result) if value is not None}
    few = sorted(own | ({sweep.identity} if sweep.identity is not None else set()))
    if len(few) > 8:
        room = 0.03 * (x.high - x.low)
        steps = svg.TURNS if sweep.degrees and x.high - x.low > 30 else svg.ROUND
        few = svg.ticks(x.low + room, x.high - room, 6, steps)
    return [(value, sweep.said(value + 0.0)) for value in few]


def still(sweep: Sweep, x: svg.Scale) -> str:
    """Where nothing is done."""
    if sweep.identity is None:
        return ""
    at = x.at(sweep.identity)
    side = "left" if at > 0.75 * SIZE[0] else "right"
    words = svg.text((at + (-45 if side == "left" else 45), TOP - 50), "nothing done", f"{side} still")
    return f'<path class="identity" d="M{round(at)} {TOP - 150}V{SIZE[1] - BOTTOM}"/>{words}'


def along(curve: Curve, shown: Sequence[int], x: svg.Scale, y: svg.Scale) -> tuple[str, str]:
    """A line and its band; and the signs at the points that are shown."""
    index = curve.encoder.index
    mean, low, high = (placed(curve.x, part, x, y) for part in (curve.mean, curve.low, curve.high))
    band = f'<path class="band c{index % svg.COLOURS}" d="{svg.area(high, low)}"/>' if high else ""
    line = f'<path class="line {svg.look(index)}" d="{svg.path(mean)}"/>'
    return band + line, "".join(
        svg.marker(index, at, f' data-i="{i}"')
        for i, point in enumerate(shown)
        if point < len(mean) and (at := mean[point]) is not None
    )


def cloud(curve: Curve, shown: Sequence[int], x: svg.Scale, y: svg.Scale, aside: float) -> tuple[str, str]:
    """A dot for every point of the grid, beside those of the other encoders; and the mean of each value, on a line."""
    index = curve.encoder.index
    points = [at and (at[0] + aside, at[1]) for at in placed(curve.x, curve.mean, x, y)]
    by_value: dict[float, list[float]] = {}
    for value, mean in zip(curve.x, curve.mean, strict=True):
        if value is not None and mean is not None:
            by_value.setdefault(value, []).append(mean)
    means = [(x.at(value) + aside, y.at(sum(part) / len(part))) for value, part in sorted(by_value.items())]
    dots = f'<path class="dots c{index % svg.COLOURS}" d="{svg.dots(at for at in points if at)}"/>'
    line = f'<path class="line {svg.look(index)}" d="{svg.path(means)}"/>'
    signs = "".join(svg.marker(index, at) for at in means)
    found = "".join(
        svg.marker(index, at, f' data-i="{i}" data-hidden=""')
        for i, point in enumerate(shown)
        if point < len(points) and (at := points[point])
    )
    return dots + line, signs + found


def placed(values: Values, heights: Values, x: svg.Scale, y: svg.Scale) -> list[svg.Point | None]:
    """Where points are drawn; None of those that are not known."""
    if not heights:
        return []
    left, bottom, across, up = x.at(0), y.at(0), x.unit, y.unit  # once: there are many points
    return [
        None if a is None or b is None else (left + a * across, bottom + b * up)
        for a, b in zip(values, heights, strict=True)
    ]


def caption(sweep: Sweep, found: Sequence[Curve]) -> str:
    keys = "".join(curve.encoder.key for curve in found)
    if not sweep.line:
        return f"{keys}<span>Dots: points of the grid, beside one another; line: their mean at a value.</span>"
    return keys + ("<span>Shaded: 95 % of bootstrap samples.</span>" if any(curve.high for curve in found) else "")
