"""What numbers depend on: what all protocols have in common is said once, the rest where it belongs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from erlangen.report.graphs import Sweep
from erlangen.report.markup import Encoder, definitions, details, table, told, whole

Values = dict[str, Any]


@dataclass(frozen=True)
class Protocols:
    """Of all sweeps together: `common` to all, of each encoder whatever the transform, and of each transform."""

    common: Values
    encoders: Mapping[Encoder, Values]
    transforms: Sequence[Values]


def alike(items: Sequence[Mapping[str, Any]]) -> Values:
    """What all of these say, and say the same of."""
    if not items:
        return {}
    return {key: value for key, value in items[0].items() if all(key in item and item[key] == value for item in items)}


def protocols(sweeps: Sequence[Sweep], encoders: Sequence[Encoder]) -> Protocols:
    def of(sweep: Sweep, encoder: Encoder) -> Mapping[str, Any]:
        return sweep.results[encoder].get("protocol") or {}

    common = alike([of(sweep, encoder) for sweep in sweeps for encoder in sweep.results])
    own = {}
    for encoder in encoders:
        same = alike([of(sweep, encoder) for sweep in sweeps if encoder in sweep.results])
        own[encoder] = {key: value for key, value in same.items() if key not in common} if len(sweeps) > 1 else {}
    transforms = []
    for sweep in sweeps:
        left = {
            encoder: {k: v for k, v in of(sweep, encoder).items() if k not in common and k not in own[encoder]}
            for encoder in sweep.results
        }
        shared = alike(list(left.values()))
        rest = {
            f"{key} ({encoder.label})": value
            for encoder, values in left.items()
            for key, value in values.items()
            if key not in shared
        }
        transforms.append({**shared, **rest})
    return Protocols(common, own, transforms)


def protocol(
    document: Mapping[str, Any], found: Protocols, sweeps: Sequence[Sweep], encoders: Sequence[Encoder]
) -> str:
    """The last part of the page."""
    parts = []
    if document.get("command"):
        parts.append(f"<pre><code>{escape(str(document['command']))}</code></pre>")
    if encoders:
        rows = []
        for encoder in encoders:
            stated = document.get("encoders", {}).get(encoder.label) or {}
            rest = "; ".join(f"{key}: {told(value)}" for key, value in found.encoders[encoder].items())
            rows.append(
                [
                    encoder.key,
                    whole(stated.get("dimensions")),
                    escape(told(stated.get("preparation", ""))),
                    escape(rest),
                ]
            )
        columns = ["encoder", "dimensions", "preparation", "of its own protocol"]
        parts.append(table("Encoders", columns, rows, kind="words"))
    if found.common:
        parts.append("<h3>Common to all transforms</h3>" + definitions(found.common))
    if any(found.transforms):
        own = {sweep.name: values for sweep, values in zip(sweeps, found.transforms, strict=True)}
        parts.append(details("Of each transform", definitions(own)))
    if document.get("versions"):
        parts.append("<h3>Versions</h3>" + definitions(document["versions"]))
    return "".join(parts)
