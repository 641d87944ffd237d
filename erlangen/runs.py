"""The folder of a run: made, recognised, never overwritten."""

import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch


def prepare(folder: Path, recipe: Any, resume: bool) -> None:
    """Makes the run's folder, or checks that the one that is there may be resumed.

    A folder in which no step was ever logged or saved (its values were wrong, say) holds nothing and is made anew.
    `ValueError` if the folder exists and `resume` is not asked for, if it is no run's, or of another recipe.
    """
    if folder.is_file():
        raise ValueError(f"`out` (={folder}) is a file: name a folder (--out)")
    if folder.exists() and not never_started(folder):
        if not resume:
            raise ValueError(f"`out` (={folder}) exists: resume it (--resume) or name another folder (--out)")
        if not (folder / "recipe.json").exists():
            raise ValueError(f"`out` (={folder}) is no run folder: it has no recipe.json; name another folder (--out)")
        check_same(folder, recipe)
        return
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "recipe.json").write_text(json.dumps({"command": sys.argv, "values": resolved(recipe)}, indent=2))
    (folder / "env.json").write_text(json.dumps(environment(), indent=2))


def never_started(folder: Path) -> bool:
    """Whether the folder is empty, or holds only what is written before the first step."""
    first = {"recipe.json", "env.json"}
    return all(
        path.name in first or (path.name == "metrics.jsonl" and not path.stat().st_size) for path in folder.iterdir()
    )


def check_same(folder: Path, recipe: Any) -> None:
    """`ValueError` with the fields that differ, unless the folder's run is of this recipe, wherever its data lie."""
    before = flat(json.loads((folder / "recipe.json").read_text())["values"])
    now = flat(json.loads(json.dumps(resolved(recipe))))
    differ = [key for key in {**before, **now} if before.get(key) != now.get(key) and key != "data_root"]
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
