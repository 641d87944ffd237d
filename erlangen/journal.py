"""`metrics.jsonl`: one line per logged step, without gaps or repeats however often a run was killed and resumed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


class Journal:
    """Appends lines; `rewind` drops what came after the checkpoint that a run resumes from."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = path.open("a")

    def write(self, step: int, values: Mapping[str, float]) -> None:
        self.file.write(json.dumps({"step": step, **values}) + "\n")

    def flush(self) -> None:
        """To the disk: called before a checkpoint, which must not know of more than the journal."""
        self.file.flush()
        os.fsync(self.file.fileno())

    def rewind(self, step: int) -> None:
        """Keeps the lines up to `step`; one that was cut off by the kill goes too."""
        self.file.close()
        kept = [line for line in self.path.read_text().splitlines() if _step(line) <= step]
        part = self.path.with_suffix(".part")
        part.write_text("".join(f"{line}\n" for line in kept))
        part.replace(self.path)
        self.file = self.path.open("a")

    def close(self) -> None:
        self.file.close()


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a `metrics.jsonl`."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def _step(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except ValueError:
        return float("inf")
