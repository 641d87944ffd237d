"""The folder of a run: made, recognised, never overwritten."""

import json
import os
import platform
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import fields, is_dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, TextIO

import torch

from erlangen.disk import write_whole

# Where and how a run is executed, not what it is: these may change when it is resumed.
EXECUTION = {"data_root", "train.device", "train.track", "train.shard", "train.compile", "train.compile_mode"}


def refuse(folder: Path, recipe: Any, resume: bool) -> None:
    """`ValueError` if the folder exists and `resume` is not asked for, if it is no run's, or of another recipe.

    One in which no step was ever logged or saved (its values were wrong, say) holds nothing and is no obstacle.
    """
    _refuse_file(folder)
    if folder.exists() and not never_started(folder):
        if not resume:
            raise ValueError(f"`out` (={folder}) exists: resume it (--resume) or name another folder (--out)")
        if not (folder / "recipe.json").exists():
            raise ValueError(f"`out` (={folder}) is no run folder: it has no recipe.json; name another folder (--out)")
        check_same(folder, recipe)


def prepare(folder: Path, recipe: Any, resume: bool) -> None:
    """Makes the run's folder, or checks that the one that is there may be resumed; `ValueError` as `refuse` has it."""
    refuse(folder, recipe, resume)
    if folder.exists() and not never_started(folder):
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / "env.json", json.dumps(environment(), indent=2).encode())
    write_whole(
        folder / "recipe.json", json.dumps({"command": sys.argv, "values": resolved(recipe)}, indent=2).encode()
    )


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Makes the folder if there is none, and keeps other processes from writing to it meanwhile.

    The kernel holds the lock, on the open file `lock`, and lets go of it when the process dies, however it dies; the
    line in the file is for people. `ValueError` if it is held; a warning where the file system has no locks.
    """
    _refuse_file(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a+") as file:
        if not _lock(file):
            file.seek(0)
            holder = file.read().strip() or "it has not said which yet"
            raise ValueError(
                f"another process ({holder}) is writing to `out` (={folder}): wait for it or name another folder "
                "(--out)"
            )
        _say(file, f"pid {os.getpid()} on {platform.node()}, since {datetime.now():%Y-%m-%d %H:%M:%S}\n")
        try:
            yield
        finally:
            _say(file, "")  # before it is closed, which releases the lock


def never_started(folder: Path) -> bool:
    """Whether the folder is empty, or holds only what is written before the first step."""
    first = {"recipe.json", "env.json", "lock", "slurm", "recipe.part", "env.part", "metrics.part"}
    return all(
        path.name in first or (path.name == "metrics.jsonl" and not path.stat().st_size) for path in folder.iterdir()
    )


def _refuse_file(folder: Path) -> None:
    if folder.is_file():
        raise ValueError(f"`out` (={folder}) is a file: name a folder (--out)")


def _lock(file: TextIO) -> bool:
    """Whether nobody else holds the lock; it is ours then, where there are locks."""
    try:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError) as error:  # Windows; a network file system
        why = error.strerror if isinstance(error, OSError) else error
        warnings.warn(
            f"{file.name} cannot be locked ({why}): start no other process that writes to this folder", stacklevel=4
        )
    return True


def _say(file: TextIO, line: str) -> None:
    with suppress(OSError):  # the disk may be full: the lock holds without its line
        os.ftruncate(file.fileno(), 0)
        os.write(file.fileno(), line.encode())  # past Python's buffer, which would try again on closing


def check_same(folder: Path, recipe: Any) -> None:
    """`ValueError` with the fields that differ, unless the folder's run is of this recipe, wherever it is executed."""
    before = flat(json.loads((folder / "recipe.json").read_text())["values"])
    now = flat(json.loads(json.dumps(resolved(recipe))))
    differ = [key for key in {**before, **now} if before.get(key) != now.get(key) and key not in EXECUTION]
    if differ:
        changes = "; ".join(f"{key} {before.get(key)!r} -> {now.get(key)!r}" for key in differ)
        raise ValueError(f"`out` (={folder}) is a run of another recipe: {changes}; give it the same values")


def resolved(value: Any) -> Any:
    """Every value of a recipe as JSON has it; the method, the view policy and the optimiser say their class."""
    if isinstance(value, tuple):
        return [resolved(item) for item in value]
    if not is_dataclass(value) or isinstance(value, type):
        return value
    return {"class": type(value).__name__, **{f.name: resolved(getattr(value, f.name)) for f in fields(value)}}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}} to {"a.b": 1}."""
    items: dict[str, Any] = {}
    for key, value in values.items():
        items |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return items


def environment() -> dict[str, Any]:
    """Versions and hardware, to be kept beside every number."""
    return {
        "erlangen": version("erlangen"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
    }
