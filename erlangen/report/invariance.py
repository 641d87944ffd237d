"""What encoders ignore and follow, side by side: one page that needs no other file, and no script to be read."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from html import escape
from importlib import resources
from typing import Any

from erlangen.report import findings, overview, provenance, svg, sweeps
from erlangen.report.graphs import Sweep, named
from erlangen.report.markup import Encoder, chosen

PARTS = ("invariance", "equivariance", "derivatives", "health")  # by label; the others by a name, then by label
BESIDE = 3  # encoders whose table fits beside a picture
SHOWN = 16  # points that the slider goes to where there are no pictures


def invariance_page(document: Mapping[str, Any], strips: Mapping[str, bytes]) -> str:
    """The page of the JSON document of a measure; `strips` are JPEGs, by transform, of images side by side."""
    encoders = encoders_of(document)
    swept = sweeps_of(document, strips, encoders)
    names = [name for name in sweeps.CURVES if any(has(sweep, name) for sweep in swept)]
    said = provenance.protocols(swept, encoders)
    sections = {
        "Overview": overview_part(document, swept, encoders, names),
        "Transforms": "".join(
            sweeps.section(sweep, names, encoders, rest) for sweep, rest in zip(swept, said.transforms, strict=True)
        ),
        "Equivariance": findings.equivariance(document.get("equivariance") or {}, encoders),
        "Derivatives": findings.derivatives(document.get("derivatives") or {}, encoders),
        "Health": findings.health(document.get("health") or {}, encoders, swept),
        "Real pictures": findings.real(document.get("real") or {}, encoders),
        "Latents": findings.latents(document.get("latents") or {}, encoders),
        "Protocol": provenance.protocol(document, said, swept, encoders),
    }
    there = {name: body for name, body in sections.items() if body}
    body = "".join(
        f'<section aria-labelledby="{slug(name)}"><h2 id="{slug(name)}">{name}</h2>{inside}</section>'
        for name, inside in there.items()
    )
    top = heading(document, swept, encoders) + (toolbar(names, encoders) if names else "")
    kind = "few" if len(encoders) <= BESIDE else "many"
    return whole_page(contents(list(there), swept), f'<main id="main" class="{kind}" tabindex="-1">{top}{body}</main>')


def encoders_of(document: Mapping[str, Any]) -> list[Encoder]:
    """Every label that the document has, those it lists as its encoders first."""
    listed = document.get("encoders") or {}
    labels = dict.fromkeys(listed)
    for part in PARTS:
        labels |= dict.fromkeys(document.get(part) or {})
    for part in ("real", "latents"):
        for by_label in (document.get(part) or {}).values():
            labels |= dict.fromkeys(by_label)
    return [Encoder(i, label, bool((listed.get(label) or {}).get("reference"))) for i, label in enumerate(labels)]


def sweeps_of(document: Mapping[str, Any], strips: Mapping[str, bytes], encoders: Sequence[Encoder]) -> list[Sweep]:
    """Every transform, in the order of the document."""
    found, stated = document.get("invariance") or {}, document.get("strips") or {}
    names = dict.fromkeys(name for by_name in found.values() for name in by_name)
    made = []
    for i, name in enumerate(names):
        results = {e: found[e.label][name] for e in encoders if (found.get(e.label) or {}).get(name)}
        strip = stated.get(name) if name in strips else None
        if strip:
            size = int(strip["width"]), int(strip["height"])
            made.append(Sweep(i, name, results, strip["points"], strips[name], size))
        else:
            k = max((len((r.get("axis") or {}).get("values") or ()) for r in results.values()), default=0)
            made.append(Sweep(i, name, results, range(0, k, max(1, -(-k // SHOWN)))))
    return made


def has(sweep: Sweep, name: str) -> bool:
    return any((result.get("curves") or {}).get(name) for result in sweep.results.values())


def overview_part(
    document: Mapping[str, Any], swept: Sequence[Sweep], encoders: Sequence[Encoder], names: Sequence[str]
) -> str:
    if not names:
        return ""
    sizes = [((document.get("encoders") or {}).get(e.label) or {}).get("dimensions") for e in encoders]
    table = overview.matrices(swept, encoders, names, sizes)
    return f'<div class="pair overview"><div>{table}</div>{overview.plane(swept, encoders)}</div>'


def heading(document: Mapping[str, Any], swept: Sequence[Sweep], encoders: Sequence[Encoder]) -> str:
    """The title, what was measured, and how to read it."""
    known = [r.get("protocol") or {} for sweep in swept for r in sweep.results.values()]
    images = dict.fromkeys(
        f"{p['images']} images of {p['data']}" + (f" ({p['split']} split)" if p.get("split") else "")
        for p in known
        if "images" in p and "data" in p
    )
    counted = f"{len(encoders)} encoder{'s' * (len(encoders) != 1)}"
    parts = [counted, f"{len(swept)} transform{'s' * (len(swept) != 1)}" if swept else "", *images]
    line = " · ".join(part for part in parts if part)
    how = (
        "<p>Each transform is swept over its whole range, and the representation of every image compared with that of "
        "the image as it is. A number alone says little: read it beside the references, an untrained network and the "
        "pixels. An encoder has learnt to ignore what it ignores more than they do.</p>"
    )
    lead = f'<p class="lead">{escape(line)}</p>{how if swept else ""}'
    return f"<header><h1>What the encoders ignore</h1>{lead}</header>"


def toolbar(names: Sequence[str], encoders: Sequence[Encoder]) -> str:
    """The choice of the number that is shown, what it means, and who is who."""
    options = "".join(f'<option value="{name}">{named(name)}</option>' for name in names)
    words = "".join(chosen(name, names[0], sweeps.CURVES[name], "span") for name in names)
    keys = "".join(encoder.key for encoder in encoders)
    choice = (
        f'<span class="choice" hidden><label for="number">Number shown</label>'
        f'<select id="number" autocomplete="off">{options}</select></span>'
    )
    meaning = f'<span class="meaning" aria-live="polite">{words}</span>'
    return f'<div class="toolbar">{choice}{meaning}<span class="keys">{keys}</span></div>'


def contents(parts: Sequence[str], swept: Sequence[Sweep]) -> str:
    """Links to every part."""
    inner = "".join(f'<li><a href="#t{sweep.place}">{escape(sweep.name)}</a></li>' for sweep in swept)
    items = "".join(
        f'<li><a href="#{slug(name)}">{name}</a>{f"<ol>{inner}</ol>" if name == "Transforms" else ""}</li>'
        for name in parts
    )
    return f'<nav aria-label="Contents"><ul>{items}</ul></nav>'


def slug(name: str) -> str:
    return name.lower().replace(" ", "-")


def whole_page(nav: str, main: str) -> str:
    """Nothing is fetched from anywhere, and no script runs but this one: the page itself says so to the browser."""
    files = resources.files("erlangen.report")
    style, script = (files.joinpath(f"invariance.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    hashed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    rules = (
        f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{hashed}'; base-uri 'none'"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{rules}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>What the encoders ignore</title><style>{style}</style></head>\n"
        f'<body><a class="skip" href="#main">Skip to the numbers</a>{svg.symbols()}{nav}'
        f"{main}<script>{script}</script></body></html>\n"
    )
