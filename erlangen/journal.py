"""`metrics.jsonl`: one line per logged step, without gaps or repeats however often a run was killed and resumed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append(path: Path, step: int, values: Mapping[str, float]) -> None:
    with path.open("a") as file:
        file.write(json.dumps({"step": step, **values}) + "\n")


def sync(path: Path) -> None:
    """To the disk: before a checkpoint, which must not know of more than the journal."""
    with path.open("a") as file:
        os.fsync(file.fileno())


def rewind(path: Path, step: int) -> None:
    """Drops what came after the step that a run resumes from, and a line that the kill cut off."""
    kept = [line for line in path.read_text().splitlines() if _step(line) <= step] if path.exists() else []
    part = path.with_suffix(".part")
    part.write_text("".join(f"{line}\n" for line in kept))
    part.replace(path)


def read(path: Path) -> list[dict[str, Any]]:
    """The lines as dictionaries; one that a kill cut off is left out."""
    return [json.loads(line) for line in path.read_text().splitlines() if _step(line) < float("inf")]


def _step(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return float("inf")
