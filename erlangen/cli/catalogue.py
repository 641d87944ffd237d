"""What there is to name on the command line, and one line on each."""

import json
import sys
from collections.abc import Mapping

from erlangen.cli.options import List
from erlangen.cli.parsing import parsed
from erlangen.data import DATASETS
from erlangen.data.groups import GROUPS
from erlangen.encoders import ENCODERS
from erlangen.methods import discover
from erlangen.names import lookup
from erlangen.probes import PROBES, PROTOCOLS
from erlangen.recipes import RECIPES
from erlangen.studies import STUDIES
from erlangen.terms import discover as discover_terms
from erlangen.transforms import TRANSFORMS, build_transform
from erlangen.transforms.sweeps import POINTS, SYNTHETIC


def run_list(args: list[str]) -> None:
    command = parsed(List, args, "list")
    kinds = catalogue()
    chosen = kinds if command.kind == "all" else {command.kind: lookup("list", command.kind, kinds)}
    if command.json:
        print(json.dumps(chosen, indent=2))
    else:
        print("\n\n".join(tables(chosen).values()))


def catalogue() -> dict[str, Mapping[str, str]]:
    """What exists, by kind: names and one line on each."""
    return {
        "recipes": {
            name: f"{called(r.method)}, {r.encoder}, {r.data}, {r.train.epochs} epochs" for name, r in RECIPES.items()
        },
        "methods": {name: first_line(sys.modules[cls.__module__]) for name, cls in discover().items()},
        "terms": {name: first_line(sys.modules[cls.__module__]) for name, cls in discover_terms().items()},
        "transforms": {name: first_line(type(build_transform(name, 32))) for name in TRANSFORMS},
        "encoders": ENCODERS,
        "data": DATASETS,
        "probes": {name: f"{called(one.probe)}: {one.source}" for name, one in PROBES.items()},
        "protocols": {name: f"{called(one.probe)}: {one.source}" for name, one in PROTOCOLS.items()},
        "sweeps": {
            name: f"{POINTS.get(name, 256)} points: {first_line(type(make(32)))}" for name, make in SYNTHETIC.items()
        },
        "real": GROUPS,
        "studies": {name: study.line for name, study in STUDIES.items()},
    }


def tables(kinds: Mapping[str, Mapping[str, str]] | None = None) -> dict[str, str]:
    """The catalogue as text, one block per kind."""
    return {
        kind: "\n".join(
            [f"{kind}:", *(f"  {name:<{max(21, *map(len, entries))}} {text}" for name, text in entries.items())]
        )
        for kind, entries in (kinds or catalogue()).items()
    }


def called(method: object) -> str:
    """The name of a method, or of those that it is made of."""
    parts = [getattr(method, name) for name in ("base", "term") if hasattr(method, name)]
    return f"{type(method).__name__}({', '.join(map(called, parts))})" if len(parts) == 2 else type(method).__name__


def first_line(thing: object) -> str:
    return (thing.__doc__ or "").partition("\n")[0]
