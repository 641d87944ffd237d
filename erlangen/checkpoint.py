"""Checkpoints: each file written whole or not at all, its checksum in its name, nothing random in it, nothing that
unpickling could run."""

import hashlib
import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

KEPT = 2


def save(folder: Path, step: int, state: Mapping[str, Any]) -> None:
    """Writes `step-NUMBER-CHECKSUM.pt` in `folder` and keeps the newest two."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    torch.save(dict(state), buffer)
    content = buffer.getbuffer()
    part = folder / "writing.part"
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(folder / f"step-{step:09d}-{_checksum(content)}.pt")
    for old in _newest_first(folder)[KEPT:]:
        old.unlink()


def load(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """Step and state of the newest whole checkpoint, on the CPU; None if there is none.

    A damaged file is passed over in favour of the one before, with a warning.
    """
    for path in _newest_first(folder):
        _, step, checksum = path.stem.split("-")
        content = path.read_bytes()
        if _checksum(content) == checksum:
            return int(step), torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        warnings.warn(f"{path} is damaged (its checksum differs): going back to the one before", stacklevel=2)
    return None


def _newest_first(folder: Path) -> list[Path]:
    return sorted(folder.glob("step-*-*.pt"), reverse=True)


def _checksum(content: bytes | memoryview) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
