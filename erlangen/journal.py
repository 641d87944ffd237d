"""`metrics.jsonl`: one line per logged step, without gaps or repeats however often a run was killed and resumed."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from erlangen.disk import sync_file, write_whole


def append(path: Path, step: int, values: Mapping[str, float | Sequence[float]]) -> None:
    """Adds the line of a step; what is not finite becomes null, for JSON has no other word. `OSError` in words."""
    finite = {
        key: [_finite(x) for x in value] if isinstance(value, Sequence) else _finite(value)
        for key, value in values.items()
    }
    line = json.dumps({"step": step, **finite}, allow_nan=False)
    with _in_words(path, f"step {step}"), path.open("ab") as file:
        file.write(f"{line}\n".encode())


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def sync(path: Path) -> None:
    """To the disk: before a checkpoint, which must not know of more than the journal. `OSError` in words."""
    with _in_words(path, "the last lines"), path.open("ab") as file:
        sync_file(file)


def rewind(path: Path, step: int) -> None:
    """Drops what came after the step that a run resumes from, and a line that the kill cut off. `OSError` in words."""
    kept = [line for line in path.read_bytes().splitlines() if _step(line) <= step] if path.exists() else []
    with _in_words(path, f"the lines up to step {step}"):
        write_whole(path, b"".join(line + b"\n" for line in kept))


def read(path: Path) -> list[dict[str, Any]]:
    """The lines as dictionaries; one that a kill cut off is left out."""
    return [json.loads(line) for line in path.read_bytes().splitlines() if _step(line) < math.inf]


def _step(line: bytes) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, TypeError, KeyError):
        return math.inf


@contextmanager
def _in_words(path: Path, what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise OSError(
            f"could not write {what} to {path} ({why}): free space, or mend the disk, and go on with --resume"
        ) from error
