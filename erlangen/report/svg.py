"""Charts as inline SVG: scales, ticks, lines, bands and markers. Lengths are tenths of a pixel, so they are whole."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

Point = tuple[float, float]
COLOURS, DASHES, SHAPES = 7, 5, 6  # classes c0.., d0.. of the style, symbols m0..; no two have a common divisor but 1
ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)
TURNS = (15.0, 30.0, 45.0, 90.0, 180.0, 360.0)
SYMBOLS = (
    '<circle r="36"/>',
    '<path d="M-33-33h66v66h-66z"/>',
    '<path d="M0-44 42 32H-42z"/>',
    '<path d="M0-48 42 0 0 48-42 0z"/>',
    '<path d="M-14-42h28v28h28v28H14v28h-28V14h-28v-28h28z"/>',
    '<path d="M0 44 42-32H-42z"/>',
)


@dataclass(frozen=True)
class Scale:
    """A linear map of the values from `low` to `high` onto the places from `start` to `stop`."""

    low: float
    high: float
    start: float
    stop: float

    def at(self, value: float) -> float:
        return self.start + (value - self.low) * self.unit

    @property
    def unit(self) -> float:
        """The length of 1."""
        return (self.stop - self.start) / (self.high - self.low)


def ticks(low: float, high: float, count: int = 6, steps: Sequence[float] = ROUND) -> list[float]:
    """About `count` round values from `low` to `high`; a step is one of `steps`, of `ROUND` times a power of ten."""
    width = high - low
    if width <= 0:
        return [low]
    power = 10.0 ** math.floor(math.log10(width / count)) if steps is ROUND else 1.0
    step = next((power * s for s in steps if width / (power * s) <= count), width)
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def path(points: Iterable[Point | None]) -> str:
    """A line through the points, in relative moves, which are short; None leaves a gap."""
    parts: list[str] = []
    at: tuple[int, int] | None = None
    for point in points:
        if point is None:
            at = None
            continue
        x, y = round(point[0]), round(point[1])
        if at is None:
            parts.append(f"M{x} {y}l0 0")  # of no length: one point alone is a dot
        else:
            parts.append(f"{x - at[0]:+d}{y - at[1]:+d}".replace("+", " "))
        at = x, y
    return "".join(parts)


def area(upper: Sequence[Point | None], lower: Sequence[Point | None]) -> str:
    """What lies between two lines of points one above the other, in pieces where a point is missing."""
    parts, run = [], list[tuple[Point, Point]]()
    for pair in [*zip(upper, lower, strict=True), None]:
        if pair is not None and pair[0] is not None and pair[1] is not None:
            run.append((pair[0], pair[1]))
        elif run:
            parts.append(path([*(high for high, _ in run), *(low for _, low in reversed(run))]) + "z")
            run = []
    return "".join(parts)


def dots(points: Iterable[Point]) -> str:
    """Points alone."""
    return "".join(f"M{round(x)} {round(y)}h0" for x, y in points)


def look(index: int) -> str:
    """The classes of an encoder's colour and dashes."""
    return f"c{index % COLOURS} d{index % DASHES}"


def marker(index: int, at: Point, more: str = "") -> str:
    """The sign of an encoder at a point."""
    place = f'x="{round(at[0])}" y="{round(at[1])}"'
    return f'<use href="#m{index % SHAPES}" class="c{index % COLOURS}" {place}{more}/>'


def symbols() -> str:
    """The signs that `marker` draws, once for the whole page."""
    made = "".join(f'<g id="m{i}">{shape}</g>' for i, shape in enumerate(SYMBOLS))
    return f'<svg class="symbols" width="0" height="0" aria-hidden="true"><defs>{made}</defs></svg>'


def text(at: Point, words: str, kind: str) -> str:
    return f'<text x="{round(at[0])}" y="{round(at[1])}" class="{kind}">{escape(words)}</text>'


def frame(
    x: Scale, y: Scale, across: Iterable[tuple[float, str]], up: Iterable[tuple[float, str]], names: tuple[str, str]
) -> str:
    """Lines of a grid with their values, from (value, text) of either axis, and the names of the axes."""
    parts = []
    for value, words in up:
        at = round(y.at(value))
        parts.append(f'<path class="grid" d="M{round(x.start)} {at}H{round(x.stop)}"/>')
        parts.append(text((x.start - 70, at + 42), words, "left"))
    for value, words in across:
        at = round(x.at(value))
        parts.append(f'<path class="tick" d="M{at} {round(y.start)}v45"/>')
        parts.append(text((at, y.start + 200), words, "middle"))
    parts.append(f'<path class="axis" d="M{round(x.start)} {round(y.start)}H{round(x.stop)}"/>')
    parts.append(text(((x.start + x.stop) / 2, y.start + 405), names[0], "middle name"))
    parts.append(text((x.start - 330, y.stop - 230), names[1], "name"))
    return "".join(parts)


def drawing(title: str, size: tuple[int, int], *parts: str) -> str:
    """A picture with a title that is read to those who do not see it."""
    box = f'viewBox="0 0 {size[0]} {size[1]}"'
    return f'<svg role="img" {box}><title>{escape(title)}</title>{"".join(parts)}</svg>'
