"""What a recipe is: a complete experiment as a value; and running one."""

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch

from erlangen import checkpoint
from erlangen.data import Data, open_dataset
from erlangen.dist import on_rank_0, rank_0_first
from erlangen.encoders import build_encoder, load_encoder, save_encoder
from erlangen.engine import process_group
from erlangen.journal import read
from erlangen.methods.base import AnyMethod, Learner
from erlangen.names import unknown
from erlangen.nets import Encoder, differing
from erlangen.observers import ETF, CollapseMonitor, EigenspaceTracking, OnlineKNN, OnlineLinear
from erlangen.optim import SGD, Optim
from erlangen.pipelines import with_pipelines
from erlangen.runs import locked, prepare, refuse, resolved
from erlangen.track import Tracker, tracker
from erlangen.train import Observer, TrainConfig
from erlangen.train import train as loop
from erlangen.transforms.presets import SimCLRViews
from erlangen.views import Following, ViewPolicy, Views, mix


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
    mean: tuple[float, ...] | None = None  # that the encoder subtracts from each channel; ImageNet's unless given
    std: tuple[float, ...] | None = None  # that it divides by
    monitors: tuple[Literal["etf", "eigenspace"], ...] = ()
    """What else is watched: etf (ISSL's distance to an equiangular tight frame), eigenspace (of a predictor; arrays in
    eigenspace.jsonl)."""
    compile_views: bool = False  # fuse the transforms: several times faster after some 10 s for each kind of view

    def __post_init__(self) -> None:
        for field, what in (
            ("large", "how many large views there are"),
            ("chunk", "which images are transformed alike"),
        ):
            both = {f"{name}.{field}": getattr(getattr(self, name), field, None) for name in ("method", "views")}
            if None not in both.values() and len(set(both.values())) > 1:
                listed = " and ".join(f"`{name}` (={count})" for name, count in both.items())
                raise ValueError(f"{listed}: a method must know {what}; make them agree")

    def build_views(self, data: Data) -> Views:
        """The views of the method, of images like these."""
        policy, group = self.views, getattr(self.method, "group", None)
        if isinstance(policy, Following) and group is not None:
            policy = policy.following(group)
        return policy.build(data.channels, data.size)


@dataclass(frozen=True)
class Run:
    """A finished training: the encoder in eval mode, the folder if there is one, all networks as they were trained."""

    recipe: Recipe
    encoder: Encoder
    folder: Path | None
    learner: Learner[Any]

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of the folder's metrics.jsonl."""
        return read(self.folder / "metrics.jsonl") if self.folder else []


def train(
    recipe: Recipe, out: str | Path | None = None, resume: bool = False, observers: Sequence[Observer] = ()
) -> Run:
    """Trains a recipe, on one process or on the ranks that torchrun started, into the folder `out` if given.

    What is random follows from the recipe's seed alone: torch's default generators are seeded anew at each step.
    `ValueError` if `out` exists, unless `resume` says to go on where it stopped: then it must hold the same recipe.
    """
    folder, config = Path(out) if out else None, recipe.train
    with process_group(config.device) as device, ExitStack() as open_files:
        with rank_0_first():  # which may download
            data = open_dataset(recipe.data, recipe.data_root, recipe.image_size, device)
        begun = folder is not None and checkpoint.exists(folder / "checkpoints")
        encoder = new_encoder(recipe, data, begun)
        views = recipe.build_views(data)
        views = with_pipelines(views, compiled=recipe.compile_views, channels_last=config.channels_last)
        watching = [*default_observers(recipe, data, encoder, device, folder), *observers]
        start, tracks = time.perf_counter(), list[Tracker]()
        if folder:
            on_rank_0(partial(_take, folder, recipe, resume, open_files, tracks))
        learner = loop(recipe.method, encoder, views, data.train, recipe.optim, config, watching, folder, tracks)
        encoder = whole_encoder(learner, recipe, data).eval().requires_grad_(False)
        if folder:
            on_rank_0(partial(_finish, folder, encoder, time.perf_counter() - start))
    return Run(recipe, encoder, folder, learner)


def _take(folder: Path, recipe: Recipe, resume: bool, open_files: ExitStack, tracks: list[Tracker]) -> None:
    """The run's folder is this process's until it ends; nothing is written to one that is refused."""
    refuse(folder, recipe, resume)
    open_files.enter_context(locked(folder))
    prepare(folder, recipe, resume)
    track = open_files.enter_context(tracker(recipe.train.track, folder, resolved(recipe)))
    tracks.extend([track] if track else [])


def _finish(folder: Path, encoder: Encoder, seconds: float) -> None:
    if not (folder / "done").exists():
        save_encoder(folder / "encoder.safetensors", encoder)
        (folder / "done").write_text(f"{seconds:.1f} s since it was last started\n")


def new_encoder(recipe: Recipe, data: Data, begun: bool = False) -> Encoder:
    """The recipe's encoder before training; its weights follow from the seed, or are those of a file.

    Of a run that has `begun` its checkpoint has them: the file may be gone.
    """
    for name in ("mean", "std"):
        if (given := getattr(recipe, name)) is not None and len(given) != data.channels:
            raise ValueError(
                f"`{name}` (={given}) is for images of {len(given)} channels, those of `data` (={recipe.data}) have "
                f"{data.channels}: give as many numbers, or `--mean None --std None` for the usual ones"
            )
    torch.manual_seed(mix(recipe.train.seed, "encoder"))
    encoder = build_encoder(recipe.encoder, data.channels, data.size, recipe.stem, recipe.mean, recipe.std)
    if recipe.train.init_from and not begun and recipe.train.init_from.endswith(".safetensors"):
        given = load_encoder(recipe.train.init_from).state_dict()
        if wrong := differing(encoder.state_dict(), given):
            raise ValueError(
                f"`init_from` (={recipe.train.init_from}) is not of `encoder` (={recipe.encoder}): they differ in "
                f"{wrong}"
            )
        encoder.load_state_dict(given)
    return encoder


def whole_encoder(learner: Learner[Any], recipe: Recipe, data: Data) -> Encoder:
    """The trained encoder, to be used by one process alone."""
    if not recipe.train.shard:
        return learner.encoder
    from erlangen.sharding import whole

    encoder = new_encoder(recipe, data, begun=True).to(data.train.device)
    encoder.load_state_dict(whole(learner.encoder.state_dict()))
    return encoder


def default_observers(
    recipe: Recipe, data: Data, encoder: Encoder, device: torch.device, folder: Path | None = None
) -> list[Observer]:
    """The collapse monitor and the recipe's `monitors`; kNN and a linear probe where there are labels.

    The linear probe learns from the training batches, so it needs the labels of `data`; `probe_data` gets kNN alone.
    """
    config = recipe.train
    watching: list[Observer] = [CollapseMonitor(config.log_every)]
    if "etf" in recipe.monitors:
        watching.append(ETF(config.log_every, encoder.dim).to(device))
    if "eigenspace" in recipe.monitors:
        watching.append(EigenspaceTracking(folder=folder))
    probed = data
    if recipe.probe_data:
        with rank_0_first():
            try:
                probed = open_dataset(recipe.probe_data, recipe.data_root, data.size, device)
            except ValueError as error:
                raise ValueError(f"{error}; it is the `probe_data`: None does without (--probe-data None)") from error
        if probed.channels != data.channels:
            raise ValueError(
                f"`probe_data` (={recipe.probe_data!r}) has images of {probed.channels} channels, `data` "
                f"(={recipe.data!r}) of {data.channels}: name probe data of the same kind"
            )
    if probed.train.labels is not None and probed.test is not None and probed.test.labels is not None:
        watching.append(OnlineKNN(probed, config.probe_every))
        if probed is data:
            watching.append(OnlineLinear(data, config.probe_every, encoder.dim))
    return watching


def change(value: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of a recipe with other fields, by the names of the command line: {"train.epochs": 5}."""
    for path, new in changes.items():
        name, _, rest = path.partition(".")
        known = [f.name for f in fields(value)] if is_dataclass(value) else []
        if name not in known:
            raise unknown("field", name, known)
        value = replace(value, **{name: change(getattr(value, name), {rest: new}) if rest else new})
    return value
