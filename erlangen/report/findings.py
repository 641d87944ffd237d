"""What else was measured of encoders: whether they follow, how fast they move, their health, real pictures, latents."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from erlangen.report import svg
from erlangen.report.graphs import BOTTOM, LEFT, RIGHT, SIZE, TOP, Sweep, named
from erlangen.report.markup import (
    Encoder,
    definitions,
    details,
    finite,
    known,
    measured,
    number,
    table,
    whole,
)

RIDGE = ("explained", "error", "composition", "inverse", "identity", "order")
HEALTH = {
    "rankme": "RankMe",
    "alpha": "α",
    "stable_rank": "stable rank",
    "participation": "participation",
    "uniformity": "uniformity",
    "spread": "spread",
}
REAL = ("similarity", "pairs", "distance", "cosine", "retrieval", "variance")
LEAST = 1e-12  # of the largest eigenvalue: what is smaller is rounding

Section = Mapping[str, Any]


def note(text: str) -> str:
    return f'<p class="note">{escape(text)}</p>'


def equivariance(found: Section, encoders: Sequence[Encoder]) -> str:
    """Operators fitted to groups: one row for each group, encoder and layer."""
    groups = dict.fromkeys(group for by_group in found.values() for group in by_group)
    rows = []
    for group in groups:
        for encoder in encoders:
            for layer, result in (found.get(encoder.label, {}).get(group) or {}).items():
                ridge, turned = result.get("ridge") or {}, result.get("procrustes") or {}
                own = [
                    escape(group),
                    encoder.key,
                    escape(layer),
                    number(result.get("cosine")),
                    number(result.get("cka")),
                ]
                fitted = [measured(turned, "explained"), *(measured(ridge, name) for name in RIDGE[1:])]
                rows.append([*own, measured(ridge, "explained"), *fitted])
    if not rows:
        return ""
    columns = ["group", "encoder", "layer", "cosine", "CKA", "explained, linear", "explained, rotation", *RIDGE[1:]]
    return note(
        "For each element of a group a linear map and a rotation of the representation are fitted to some images and "
        "tested on others. Explained: 1 if the moved representation is predicted, 0 if no better than not to move it, "
        "less where it hardly moves; error of the linear map, in units of the distance of two images; composition, "
        "inverse, identity, order: how far the maps are from a group, 0 if they are one."
    ) + table("Equivariance: operators fitted to the elements of groups", columns, rows, heads=3, kind="wide")


def derivatives(found: Section, encoders: Sequence[Encoder]) -> str:
    """Lie derivatives: one row for each direction and encoder."""
    rows = []
    for direction in dict.fromkeys(name for by_name in found.values() for name in by_name):
        for encoder in encoders:
            result = found.get(encoder.label, {}).get(direction)
            if result:
                own = [escape(direction), encoder.key, measured(result, "speed"), escape(str(result.get("per") or ""))]
                rows.append([*own, measured(result, "explained")])
    if not rows:
        return ""
    return note(
        "Speed: how far a representation moves when the transform begins, in distances of two images for one unit: 0 "
        "for an encoder that is invariant to small changes. Explained: the share of that motion that one linear "
        "generator predicts on other images: 1 for an equivariant encoder."
    ) + table("Derivatives where nothing is done yet", ["direction", "encoder", "speed", "per", "explained"], rows, 2)


def health(found: Section, encoders: Sequence[Encoder], sweeps: Sequence[Sweep]) -> str:
    """Is a representation collapsed: numbers and spectra; and LiDAR and alignment of transforms that have them."""
    parts = []
    here = [encoder for encoder in encoders if found.get(encoder.label)]
    if here:
        rows = [
            [
                encoder.key,
                *(measured(found[encoder.label], name) for name in HEALTH),
                *(whole(found[encoder.label].get(name)) for name in ("dimensions", "images")),
            ]
            for encoder in here
        ]
        parts.append(
            note(
                "RankMe, stable rank and participation count the directions that a representation uses, from 1 (it is "
                "collapsed) to its dimensions; α is the exponent by which its spectrum falls, near 1 for "
                "representations that generalise well; uniformity is 0 and spread 0 if all images are one."
            )
        )
        parts.append(
            table("Health of the representations", ["encoder", *HEALTH.values(), "dimensions", "images"], rows)
        )
        parts.append(spectra({encoder: found[encoder.label].get("spectrum") or () for encoder in here}))
    for name, words in {
        "lidar": "LiDAR: the effective rank of what tells images apart, in units of what the transform does",
        "alignment": "Alignment: the mean squared distance of two views of an image on the unit sphere",
    }.items():
        has = [s for s in sweeps if any(finite(result.get(name)) is not None for result in s.results.values())]
        if has:
            rows = [[escape(s.name), *(measured(s.results.get(e, {}), name) for e in encoders)] for s in has]
            parts.append(table(words, ["transform", *(encoder.key for encoder in encoders)], rows))
    return "".join(parts)


def spectra(found: Mapping[Encoder, Sequence[float | None]]) -> str:
    """Eigenvalues in units of the largest, both axes logarithmic."""
    lines = {}
    for encoder, spectrum in found.items():
        values = [value or 0.0 for value in known(spectrum)]
        most = max(values, default=0.0)
        kept = [(math.log10(i + 1), math.log10(v / most)) for i, v in enumerate(values) if v > LEAST * most]
        if kept:
            lines[encoder] = kept
    if not lines:
        return ""
    lowest = math.floor(min(b for line in lines.values() for _, b in line))
    longest = max(a for line in lines.values() for a, _ in line)
    x = svg.Scale(0.0, longest or 1.0, LEFT + 60, SIZE[0] - RIGHT)
    y = svg.Scale(lowest or -1.0, 0.0, SIZE[1] - BOTTOM, TOP)
    across = [
        (math.log10(i), str(i)) for p in range(8) for i in (10**p, 2 * 10**p, 5 * 10**p) if i <= 10**longest + 0.5
    ]
    parts = [svg.frame(x, y, across, powers(y.low), ("index of the eigenvalue", "eigenvalue / the largest"))]
    for encoder, line in lines.items():
        points = [(x.at(a), y.at(b)) for a, b in line]
        signs = "".join(svg.marker(encoder.index, points[2**e - 1]) for e in range(len(points).bit_length()))
        parts.append(f'<path class="line {svg.look(encoder.index)}" d="{svg.path(points)}"/>{signs}')
    drawn = svg.drawing(f"Spectra of {', '.join(e.label for e in lines)}", SIZE, *parts)
    keys = "".join(encoder.key for encoder in lines)
    told = "<span>Spectrum of the covariance; both axes are logarithmic.</span>"
    return f'<figure class="single">{drawn}<figcaption>{keys}{told}</figcaption></figure>'


def powers(low: float) -> list[tuple[float, str]]:
    """Powers of ten from that of `low` to 1, seven at most."""
    step = math.ceil(-low / 6) or 1
    sup = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻")
    return [(-float(e), f"10{str(-e).translate(sup)}" if e else "1") for e in range(0, int(-low) + 1, step)]


def real(found: Section, encoders: Sequence[Encoder]) -> str:
    """Groups of pictures really taken anew."""
    rows, protocols = [], {}
    for name, by_label in found.items():
        for encoder in encoders:
            result = by_label.get(encoder.label)
            if result:
                rows.append([escape(name), encoder.key, *(measured(result, key) for key in REAL)])
                protocols[f"{name}, {encoder.label}"] = result.get("protocol") or {}
    if not rows:
        return ""
    return (
        note(
            "Groups of pictures that were really taken anew. Similarity is over all pairs of a group, each picture "
            "with itself among them, so that two unrelated pictures have 1/2; pairs leaves that out."
        )
        + table("Pictures really taken anew", ["data", "encoder", *map(named, REAL)], rows, heads=2)
        + details("Protocols of the real pictures", definitions(protocols))
    )


def latents(found: Section, encoders: Sequence[Encoder]) -> str:
    """What can be read off of the factors that images are made of."""
    parts = [
        note("R² of a regression from the representation to each factor, on test images: high where it is not ignored.")
    ]
    for name, by_label in found.items():
        targets = dict.fromkeys(target for by_target in by_label.values() for target in by_target)
        here = [encoder for encoder in encoders if by_label.get(encoder.label)]
        rows = [[escape(target), *(told(by_label[e.label].get(target)) for e in here)] for target in targets]
        protocols = {
            f"{target}, {e.label}": result.get("protocol") or {}
            for e in here
            for target, result in by_label[e.label].items()
        }
        if rows:
            parts.append(table(f"R² of the factors of {name}", ["factor", *(e.key for e in here)], rows))
            parts.append(details(f"Protocols of {name}", definitions(protocols)))
    return "".join(parts) if len(parts) > 1 else ""


def told(result: Section | None) -> str:
    """R² of a factor and its interval, which is given as `interval`, or among `intervals`."""
    if not result:
        return number(None)
    pair = result.get("interval")
    return measured({"intervals": {"r2": pair}, **result} if pair else result, "r2")
