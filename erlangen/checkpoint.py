"""Checkpoints: each a folder that is whole or not there, checked before it is used, with nothing random in it and
nothing that unpickling could run.

One is written as `step-NUMBER.part`, put on the disk and renamed to `step-NUMBER`; one of the same step makes way as
`step-NUMBER.old`; one that has to go is renamed to `step-NUMBER.gone` first. Wherever a kill, a power cut or a full
disk comes in, a whole one is left, and what is half done has a name that says so.
"""

import hashlib
import json
import pickle
import re
import shutil
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import IO, Any, cast

import torch
from torch.serialization import get_unsafe_globals_in_checkpoint

from erlangen.disk import sync_file, sync_folder

KEPT = 2
NAME = re.compile(r"step-(\d+)(\.old)?")


def save(folder: Path, step: int, state: Mapping[str, Any]) -> None:
    """Writes `step-NUMBER` in `folder`: `state.pt`, and `manifest.json` with its SHA-256, its size and the step.

    The newest two are kept. `OSError` in words if the disk is full or broken: those that were there still are.
    `ValueError` if the state holds what `load` would refuse.
    """
    place = folder / f"step-{step:09d}"
    part, aside = (place.with_suffix(suffix) for suffix in (".part", ".old"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in (*folder.glob("step-*.part"), *folder.glob("step-*.gone")):
            shutil.rmtree(left_over, ignore_errors=True)
        _write(part, step, state)
        if place.exists():
            if aside.exists():
                _remove(aside)
            place.rename(aside)
        part.rename(place)
        sync_folder(folder)
        sync_folder(folder.parent)
    except BaseException as error:
        shutil.rmtree(part, ignore_errors=True)
        with suppress(OSError):
            if aside.exists() and not place.exists():
                aside.rename(place)
        if isinstance(error, OSError):
            raise OSError(_in_words(folder, step, error)) from error
        raise
    _tidy(folder, step)


def load(folder: Path) -> tuple[int, dict[str, Any]] | None:
    """Step and state of the newest whole checkpoint, on the CPU; None if there never was one.

    Damaged ones are passed over, with a warning. `ValueError` if no other is left: what was trained must not be trained
    again, and overwritten, without a word.
    """
    damaged: list[str] = []
    for step, place in _best_first(folder):
        try:
            state = _read(place, step)
        except _Damaged as error:
            damaged.append(f"step {step} ({error})")
            continue
        if damaged:
            passed_over = ", ".join(damaged)
            warnings.warn(f"damaged in {folder}: {passed_over}; step {step} is used instead", stacklevel=2)
        return step, state
    if damaged:
        raise ValueError(
            f"every checkpoint in `folder` (={folder}) is damaged: {', '.join(damaged)}; bring one back from a copy, "
            "or start again in another folder (--out)"
        )
    return None


def exists(folder: Path) -> bool:
    """Whether there is one, whole or damaged."""
    return bool(_best_first(folder))


class _Damaged(Exception):
    """A folder has the name of a checkpoint and is not a whole one; the text says why."""


class _Hashed:
    """A file for `torch.save`, hashed on its way to the disk, so that it need not be read again or held in memory.

    An OSError is kept in `error`: raised inside torch's C++ writer, it would become an error about positions.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.sha256 = file, hashlib.sha256()
        self.error: OSError | None = None

    def write(self, data: memoryview) -> int:
        if self.error is None:
            try:
                self.file.write(data)
                self.sha256.update(data)
            except OSError as error:
                self.error = error
        return len(data)

    def flush(self) -> None:
        """The caller does, where an error may be raised."""


def _write(part: Path, step: int, state: Mapping[str, Any]) -> None:
    part.mkdir()
    with (part / "state.pt").open("wb") as file:
        hashed = _Hashed(file)
        torch.save(dict(state), cast(IO[bytes], hashed))
        if hashed.error:
            raise hashed.error
        sync_file(file)
    refused = get_unsafe_globals_in_checkpoint(part / "state.pt")
    if refused:
        raise ValueError(
            f"`state` holds {', '.join(sorted(refused))}, which no checkpoint may run when it is loaded: keep tensors, "
            "numbers, strings, lists and dictionaries in the state of networks, optimisers and observers"
        )
    size = (part / "state.pt").stat().st_size
    manifest = {"step": step, "sha256": hashed.sha256.hexdigest(), "size": size, "erlangen": version("erlangen")}
    with (part / "manifest.json").open("wb") as file:
        file.write(json.dumps(manifest).encode())
        sync_file(file)
    sync_folder(part)


def _read(place: Path, step: int) -> dict[str, Any]:
    """The state in a checkpoint's folder; `_Damaged` unless it is what was written."""
    try:
        _check(place, step)
    except FileNotFoundError as error:
        raise _Damaged(f"{Path(error.filename).name} is missing") from error
    try:
        state: dict[str, Any] = torch.load(place / "state.pt", map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _Damaged("state.pt holds more than tensors and plain values, and is not unpickled") from error
    except Exception as error:  # whatever torch.load finds wrong with bytes that are no checkpoint's
        raise _Damaged(f"state.pt is garbled: {type(error).__name__}") from error
    return state


def _check(place: Path, step: int) -> None:
    """`_Damaged` unless the manifest is whole and `state.pt` what it says; `FileNotFoundError` without one of them."""
    file = place / "state.pt"
    try:
        manifest = json.loads((place / "manifest.json").read_bytes())
        at, size, checksum = manifest["step"], manifest["size"], manifest["sha256"]
        if at != step:
            raise _Damaged(f"manifest.json is that of step {at}")
        if file.stat().st_size != size:
            raise _Damaged(f"state.pt has {file.stat().st_size} bytes, not {size}")
        with file.open("rb") as content:
            if hashlib.file_digest(content, "sha256").hexdigest() != checksum:
                raise _Damaged("the checksum of state.pt differs")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _Damaged(f"it cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _Damaged("manifest.json is garbled") from error


def _best_first(folder: Path) -> list[tuple[int, Path]]:
    """Step and folder of each checkpoint by its name: the newest first, of the same step last what made way."""
    paths = sorted(folder.iterdir()) if folder.exists() else []
    found = [(int(match[1]), path) for path in paths if (match := NAME.fullmatch(path.name))]
    return sorted(found, key=lambda item: -item[0])


def _tidy(folder: Path, step: int) -> None:
    """Keeps the newest of those up to this step, which is safe now; later ones were passed over on resuming."""
    there = _best_first(folder)
    kept = [path for at, path in there if at <= step and not path.suffix][:KEPT]
    for _, path in there:
        if path not in kept:
            try:
                _remove(path)
            except OSError as error:
                why = error.strerror or error
                warnings.warn(f"could not remove {path}, which is no longer needed: {why}", stacklevel=3)


def _remove(place: Path) -> None:
    """Under another name, so that one whose removal is interrupted is no checkpoint."""
    shutil.rmtree(place.rename(place.with_suffix(".gone")))


def _in_words(folder: Path, step: int, error: OSError) -> str:
    """What was not written, why, and what is left."""
    safe = "there is no other yet"
    for at, place in _best_first(folder):
        with suppress(_Damaged, FileNotFoundError):
            if at != step:  # the disk did not confirm this one, whatever it shows now
                _check(place, at)
                safe = f"that of step {at} is safe"
                break
    why = error.strerror or error
    return (
        f"could not write the checkpoint of step {step} in {folder} ({why}), {safe}: free space, or mend the disk, and "
        "go on with --resume"
    )
