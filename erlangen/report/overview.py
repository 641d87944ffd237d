"""The whole of it at a glance: every transform by every encoder, and what ignores, follows or loses it."""

from collections.abc import Sequence
from html import escape

from erlangen.report import svg
from erlangen.report.graphs import Result, Sweep, named
from erlangen.report.markup import Encoder, bounds, chosen, finite, number, table

SHADES = ((245, 249, 253), (107, 174, 214), (8, 48, 107))  # of 0, 1/2, 1: lightness alone tells, whatever eyes see
PLANE, EDGE = 5200, (420, 330, 120, 500)  # its side; left, top, right, bottom
LETTER, LINE = 62, 125  # of the numbers in the plane
AROUND = ((65, 40), (-65, 40), (0, -75), (0, 155), (65, -55), (-65, -55), (65, 130), (-65, 130), (190, 40), (-190, 40))


def matrices(
    sweeps: Sequence[Sweep], encoders: Sequence[Encoder], names: Sequence[str], sizes: Sequence[object]
) -> str:
    """For every number that can be chosen the transforms by the encoders; `sizes` are the encoders' dimensions."""
    made = []
    for name in names:
        rows = [
            [place(sweep), *(cell(sweep.results.get(e), name, sizes[e.index]) for e in encoders)] for sweep in sweeps
        ]
        words = f"{named(name)} by transform and encoder, ± half of the 95 % interval"
        shown = table(words, ["transform", *(encoder.key for encoder in encoders)], rows, kind="matrix")
        made.append(chosen(name, names[0], shown))
    return "".join(made)


def place(sweep: Sweep) -> str:
    return f'<span class="place">{sweep.place + 1}</span> <a href="#t{sweep.place}">{escape(sweep.name)}</a>'


def cell(result: Result | None, name: str, dimensions: object) -> str:
    """A number on the shade of how invariant it says the encoder is."""
    value = finite((result or {}).get(name))
    if result is None or value is None:
        return f"<td>{number(None)}</td>"
    pair = bounds(result, name)
    half = "" if pair is None else f" <small>± {number((pair[1] - pair[0]) / 2)}</small>"
    shade = value
    if name == "distance":
        shade = 1 - value / (2 * (finite(dimensions) or 1e9)) ** 0.5  # from that of unrelated images
    back, front = colours(shade)
    return f'<td style="background:{back};color:{front}">{number(value)}{half}</td>'


def colours(share: float) -> tuple[str, str]:
    """Of a share from 0 to 1, and of text that can be read on it."""
    at = 2 * min(1.0, max(0.0, share))
    below = min(int(at), 1)
    mixed = [round(a + (at - below) * (b - a)) for a, b in zip(SHADES[below], SHADES[below + 1], strict=True)]
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in mixed]
    light = sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))  # the luminance of WCAG
    return f"#{mixed[0]:02x}{mixed[1]:02x}{mixed[2]:02x}", "#000" if light > 0.179 else "#fff"


def plane(sweeps: Sequence[Sweep], encoders: Sequence[Encoder]) -> str:
    """Similarity and CKA of every transform and encoder; nothing if no result has both."""
    points = [
        (encoder, sweep, finite(result.get("similarity")), finite(result.get("cka")))
        for encoder in reversed(encoders)  # the first is drawn last
        for sweep in sweeps
        if (result := sweep.results.get(encoder))
    ]
    both = [(encoder, sweep, a, b) for encoder, sweep, a, b in points if a is not None and b is not None]
    if not both:
        return ""
    left, top, right, bottom = EDGE
    x = svg.Scale(min(0.0, *(a for _, _, a, _ in both), 0.0), 1.0, left, PLANE - right)
    y = svg.Scale(min(0.0, *(b for *_, b in both), 0.0), 1.0, PLANE - bottom, top + 300)
    signs, numbered = [], []
    for encoder, sweep, a, b in both:
        at = x.at(a), y.at(b)
        sign = svg.marker(encoder.index, at)
        words = f"{encoder.label}, {sweep.name}: similarity {number(a)}, CKA {number(b)}"
        signs.append(f'<g class="{"weak" if encoder.reference else "strong"}"><title>{escape(words)}</title>{sign}</g>')
        if not encoder.reference:
            numbered.append((at, str(sweep.place + 1)))
    grid = svg.frame(x, y, steps(x), steps(y), ("similarity", ""))
    drawn = svg.drawing(
        f"CKA against similarity of {len(sweeps)} transforms", (PLANE, PLANE), grid, corners(x, y), *signs,
        labels(numbered, [(x.at(a), y.at(b)) for _, _, a, b in both]),
    )  # fmt: skip
    keys = "".join(encoder.key for encoder in encoders)
    told = "Each sign is a transform, with its number in the table."
    return f'<figure class="plane">{drawn}<figcaption>{keys}<span>{told}</span></figcaption></figure>'


def steps(scale: svg.Scale) -> list[tuple[float, str]]:
    return [(value, number(value)[: 5 if value < 0 else 4]) for value in svg.ticks(scale.low, scale.high, 5)]


def corners(x: svg.Scale, y: svg.Scale) -> str:
    """What it means to be in a corner."""
    parts = [
        svg.text((x.start - 330, y.stop - 130), "CKA", "name"),
        svg.text((x.start, 130), "CKA alone 1: moves along", "corner"),
        svg.text((x.start, 290), "(a candidate for equivariance)", "corner"),
        svg.text((x.stop, 130), "both 1: ignores it", "left corner"),
        svg.text((x.at(0) + 90, y.start - 110), "neither: scrambles it", "corner"),
    ]
    return "".join(parts)


def labels(numbered: Sequence[tuple[svg.Point, str]], signs: Sequence[svg.Point]) -> str:
    """Numbers beside their signs, each at the first place around it that lies on least of what is there already."""
    taken = [(x - 40, y - 40, x + 40, y + 40) for x, y in signs]
    parts = []
    for at, words in numbered:
        wide = LETTER * len(words)
        boxes = []
        for dx, dy in AROUND:
            start = at[0] + dx - wide * (0 if dx > 0 else 1 if dx < 0 else 0.5)
            boxes.append((start, at[1] + dy - 0.75 * LINE, start + wide, at[1] + dy))
        best = min(boxes, key=lambda box: sum(overlap(box, other) for other in taken))
        taken.append(best)
        parts.append(svg.text((best[0], best[3]), words, "number"))
    return "".join(parts)


def overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    """The area that two boxes share."""
    return max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
