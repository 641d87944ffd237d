"""The document of a measure, measure.json: what it holds, and how more is added."""

import json
import math
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from erlangen.cli.options import Measure
from erlangen.cli.sources import Examined
from erlangen.disk import write_whole

FORMAT = 1  # of measure.json
# of the document, and how many names deep one result lies: of an encoder, of its transform, of its data and latent
SECTIONS = {
    "encoders": 1,
    "invariance": 2,
    "equivariance": 2,
    "derivatives": 2,
    "health": 1,
    "real": 2,
    "latents": 3,
    "strips": 1,
}


def about_encoders(every: Sequence[Examined], command: Measure) -> dict[str, Any]:
    """Of each its width, whether it is there to be compared with, and how its images are prepared."""
    found = {}
    for what in every:
        spec = dict(getattr(what.encoder, "spec", {}))
        side = command.crop if command.protocol else what.data.size
        text = f"{side} px in [0, 1]"
        if "mean" in spec and spec["mean"] != "null":
            text += f", less {spec['mean']}, by {spec['std']}"
        if "preprocessing" in spec:
            text += f" ({spec['preprocessing']})"
        if spec.get("name") == "pixels":
            text += f", {getattr(what.encoder, 'side', side)} x {getattr(what.encoder, 'side', side)} means"
        reference = what.name not in command.encoders
        found[what.name] = {"reference": reference, "dimensions": what.encoder.dim, "preparation": text}
    return found


def added(path: Path, found: Mapping[str, Any], command: str) -> dict[str, Any]:
    """The document with what was found, in place of what was found before by the same names; written."""
    before = document_in(path)
    document: dict[str, Any] = {"format": FORMAT}
    for section, depth in SECTIONS.items():
        document[section] = merged(before.get(section, {}), found.get(section, {}), depth)
    document["command"] = command
    document["versions"] = {name: version(name) for name in ("erlangen", "torch")}
    write_whole(path, json.dumps(finite(document), indent=1, allow_nan=False).encode())
    return document


def document_in(path: Path) -> dict[str, Any]:
    """What is there already; `ValueError` if it is not ours to add to."""
    if not path.exists():
        return {}
    try:
        before: dict[str, Any] = json.loads(path.read_text())
    except ValueError as error:
        raise ValueError(f"{path} is damaged, and is not written over: move it away ({error})") from error
    if before.get("format") != FORMAT:
        raise ValueError(f"{path} is of another version, and is not written over: move it away")
    return before


def finite(value: Any) -> Any:
    """JSON knows no infinity, and nothing that is no number: they become null."""
    if isinstance(value, Mapping):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def merged(before: Mapping[str, Any], found: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """Results that lie so many names deep; those found now replace those of before."""
    if depth < 2:
        return {**before, **found}
    return {**before, **{name: merged(before.get(name, {}), one, depth - 1) for name, one in found.items()}}
