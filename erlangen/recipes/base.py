"""What a recipe is: a complete experiment as a value; and running one."""

import json
import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from erlangen.data import Data, open_dataset
from erlangen.dist import rank
from erlangen.encoders import build_encoder, save_encoder
from erlangen.engine import process_group
from erlangen.journal import read
from erlangen.methods.base import AnyMethod
from erlangen.names import unknown
from erlangen.nets import Encoder
from erlangen.observers import CollapseMonitor, OnlineKNN, OnlineLinear
from erlangen.optim import SGD, Optim
from erlangen.train import Observer, TrainConfig
from erlangen.train import train as loop
from erlangen.transforms.presets import SimCLRViews
from erlangen.views import ViewPolicy, mix


@dataclass(frozen=True)
class Recipe:
    """Encoder, method, view policy, data, optimiser and loop. Another structure is another recipe."""

    method: AnyMethod
    views: ViewPolicy = SimCLRViews()
    optim: Optim = SGD()
    train: TrainConfig = TrainConfig()
    encoder: str = "small"  # see `erlangen list encoders`
    stem: str | None = None  # of a ResNet: cifar, issl or imagenet; by the size of the images unless given
    data: str = "digits"  # see `erlangen list data`; folder:PATH for your own images
    probe_data: str | None = None  # labelled data for the online probes, if `data` has no labels
    data_root: str | None = None  # where data sets are looked for and downloaded to
    image_size: int | None = None  # pixels; the data's own size unless given


@dataclass(frozen=True)
class Run:
    """A finished training: the encoder in eval mode, and the folder if there is one."""

    recipe: Recipe
    encoder: Encoder
    folder: Path | None

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of the folder's metrics.jsonl."""
        return read(self.folder / "metrics.jsonl") if self.folder else []


def train(
    recipe: Recipe, out: str | Path | None = None, resume: bool = False, observers: Sequence[Observer] = ()
) -> Run:
    """Trains a recipe, on one process or on the ranks that torchrun started, into the folder `out` if given.

    `ValueError` if `out` exists, unless `resume` says to go on where it stopped: then it must hold the same recipe.
    """
    folder = Path(out) if out else None
    with process_group() as device:
        data = open_dataset(recipe.data, recipe.data_root, recipe.image_size, device)
        encoder = new_encoder(recipe, data)
        views = recipe.views.build(data.channels, data.size)
        watching = [*default_observers(recipe, data, encoder, device), *observers]
        if folder and rank() == 0:
            prepare(folder, recipe, resume)
        start = time.perf_counter()
        learner = loop(recipe.method, encoder, views, data.train, recipe.optim, recipe.train, watching, folder)
        if folder and rank() == 0:
            save_encoder(folder / "encoder.safetensors", learner.encoder)
            (folder / "done").write_text(f"{time.perf_counter() - start:.1f} s in the last session\n")
    return Run(recipe, learner.encoder.eval().requires_grad_(False), folder)


def new_encoder(recipe: Recipe, data: Data) -> Encoder:
    """The recipe's encoder before training; its weights follow from the seed."""
    torch.manual_seed(mix(recipe.train.seed, "encoder"))
    return build_encoder(recipe.encoder, data.channels, data.size, recipe.stem)


def default_observers(recipe: Recipe, data: Data, encoder: Encoder, device: torch.device) -> list[Observer]:
    """The collapse monitor; kNN and a linear probe where there are labels."""
    config = recipe.train
    if recipe.probe_data:
        other = open_dataset(recipe.probe_data, recipe.data_root, data.size, device)
        if other.channels != data.channels:
            raise ValueError(
                f"`probe_data` (={recipe.probe_data!r}) has images of {other.channels} channels, `data` "
                f"(={recipe.data!r}) of {data.channels}: name probe data of the same kind"
            )
        data = other
    watching: list[Observer] = [CollapseMonitor(config.log_every)]
    if data.train.labels is not None and data.test is not None and data.test.labels is not None:
        watching += [OnlineKNN(data, config.probe_every), OnlineLinear(data, config.probe_every, encoder.dim)]
    return watching


def prepare(folder: Path, recipe: Recipe, resume: bool) -> None:
    """Makes the run's folder, or checks that the one that is there may be resumed.

    A folder in which no step was ever logged or saved (its values were wrong, say) holds nothing and is made anew.
    """
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


def check_same(folder: Path, recipe: Recipe) -> None:
    """`ValueError` with the fields that differ, unless the folder's run is of this recipe, wherever its data lie."""
    before = flat(json.loads((folder / "recipe.json").read_text())["values"])
    now = flat(json.loads(json.dumps(resolved(recipe))))
    differ = [key for key in {**before, **now} if before.get(key) != now.get(key) and key != "data_root"]
    if differ:
        changes = "; ".join(f"{key} {before.get(key)!r} -> {now.get(key)!r}" for key in differ)
        raise ValueError(f"`out` (={folder}) is a run of another recipe: {changes}; give it the same values")


def resolved(recipe: Recipe) -> dict[str, Any]:
    """Every value of the recipe, classes by name, as in recipe.json."""

    def of(value: Any) -> Any:
        if is_dataclass(value) and not isinstance(value, type):
            return {"class": type(value).__name__, **{f.name: of(getattr(value, f.name)) for f in fields(value)}}
        return [of(item) for item in value] if isinstance(value, tuple) else value

    return {f.name: of(getattr(recipe, f.name)) for f in fields(recipe)}


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


def change(value: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of a recipe with other fields, by the names of the command line: {"train.epochs": 5}."""
    for path, new in changes.items():
        name, _, rest = path.partition(".")
        known = [f.name for f in fields(value)]
        if name not in known:
            raise unknown("field", name, known)
        value = replace(value, **{name: change(getattr(value, name), {rest: new}) if rest else new})
    return value
