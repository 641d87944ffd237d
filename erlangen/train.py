"""The training loop. There is one, and nothing random in it has state: a step is a function of (seed, step, rank)."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from erlangen import checkpoint, journal
from erlangen.config import TrainConfig, count_steps, mechanics
from erlangen.data.base import Source
from erlangen.dist import mean_over_ranks, on_rank_0, parts, rank, shares, world
from erlangen.engine import Stepper
from erlangen.health import Health
from erlangen.methods.base import Clock, Learner, Method, N, Output
from erlangen.nets import Encoder
from erlangen.optim import Optim, rate, schedule_
from erlangen.state import State, start_from
from erlangen.stopping import Stopped, Vote, signals
from erlangen.track import Tracker
from erlangen.views import Batch, Draws, Fits, View, Views, generator, mix

__all__ = [
    "Observer",
    "Stopped",
    "TrainConfig",
    "count_steps",
    "step_batch",
    "step_views",
    "train",
]

# Runs on every rank after each step, so that it may average; what it returns is logged. One that learns is an
# nn.Module: its state goes into the checkpoint.
Observer = Callable[[Clock, Learner[Any], Output, Batch], Mapping[str, float]]


def train(
    method: Method[N],
    encoder: Encoder,
    views: Views,
    data: Source,
    optim: Optim,
    config: TrainConfig,
    observers: Sequence[Observer] = (),
    folder: Path | None = None,
    trackers: Sequence[Tracker] = (),
) -> Learner[N]:
    """Trains, or goes on where the newest checkpoint in `folder` stopped.

    `ValueError` for values that do not fit the data, the ranks, the device or each other, for a checkpoint of other
    networks, for a loss that is not finite; `OSError` where nothing can be written; `Stopped` after a signal, all being
    saved.
    """
    device = data.device
    steps, per_epoch = count_steps(len(data), config)
    how = mechanics(config, method, optim, device)
    learner = begin(fitted(method, views, data, config), encoder, config, folder).to(device)
    stepper = Stepper(learner, how, device)
    optimizer = optim.build(learner.nets)
    lr = partial(rate, optim, steps=steps, steps_per_epoch=per_epoch, batch_size=config.batch_size)
    health = Health(
        config.skip_nonfinite, lambda at: f"learning rate {lr(at):.3g}; images {rows(data, config, at).tolist()}"
    )
    state = State(learner, optimizer, stepper.scaler, health, observers, config.shard)
    done, lines, vote = state.resume(folder) if folder else 0, Lines(folder, trackers), Vote(device)
    with signals() as asked, closing(stepper):
        for step in range(done, steps):
            torch.manual_seed(mix(config.seed, "step", step, rank()))  # dropout, draws inside networks
            with shares(parts(len(rows(data, config, step)), world())):
                batch = step_batch(data, config, step, ahead=step + 1 < steps)
                optimizer.zero_grad()
                health.before(learner)
                output = stepper.gradients(step_views(views, batch, config, step))
                schedule_(optimizer, optim, step, steps, per_epoch, config.batch_size)
                clock = Clock(step + 1, steps, per_epoch)
                finite = health.allows(step, output.loss, () if stepper.scaler.is_enabled() else learner.parameters())
                if finite and stepper.step(optimizer):
                    learner.after_step(output.carry, clock)

                logs, saves, probes = due(clock, config)
                if looks := logs or saves or probes:
                    health.check(step, learner)  # before anybody reads or keeps what comes of it
                values = logged(clock, lr(step), output, stepper, health) if logs else {}
                for observe in observers if finite else ():
                    values |= observe(clock, learner, output, batch)
                lines.add(clock.step, values)
                stop = vote(asked())
                if stop and not looks:
                    health.check(step, learner)
                if looks or stop:
                    lines.write()
                if folder and (saves or stop):
                    state.save(folder, clock.step)
            if stop and clock.step < steps:
                raise Stopped(f"stopped after step {clock.step} of {steps}", asked() or stop)
    return learner


def begin(method: Method[N], encoder: Encoder, config: TrainConfig, folder: Path | None) -> Learner[N]:
    """The networks before the first step, unless the run has begun: then its checkpoint has them."""
    torch.manual_seed(mix(config.seed, "build"))
    learner = Learner(method, encoder, config.precision)
    begun = folder is not None and checkpoint.exists(folder / "checkpoints")
    if config.init_from and not begun and not config.init_from.endswith(".safetensors"):
        start_from(Path(config.init_from), learner)
    return learner


def due(clock: Clock, config: TrainConfig) -> tuple[bool, bool, bool]:
    """Whether a line, a checkpoint and the online probes are due: all of them after the last step."""
    periods = (config.log_every, config.save_every, config.probe_every * clock.steps_per_epoch)
    logs, saves, probes = (clock.step == clock.steps or clock.step % every == 0 for every in periods)
    return logs, saves, probes


def rows(data: Source, config: TrainConfig, step: int) -> Int[Tensor, " n"]:
    """Which images the batch of step number `step` (from 0) holds, over all ranks."""
    epoch, i = divmod(step, count_steps(len(data), config)[1])
    return data.rows(config.seed, epoch, i, config.batch_size)


def step_batch(data: Source, config: TrainConfig, step: int, ahead: bool = False) -> Batch:
    """This rank's part of the batch of step number `step` (from 0), as large as the others' or smaller by one.

    `ahead` has the next step's read, if it is in files, while this one computes.
    """
    mine = [rows(data, config, at).tensor_split(world())[rank()] for at in range(step, step + 1 + ahead)]
    return data.take(*mine)


def step_views(views: Views, batch: Batch, config: TrainConfig, step: int) -> list[View]:
    """The views that step number `step` (from 0) sees of its batch, this rank's part of one draw."""
    return views(batch, Draws(generator(config.seed, "views", step)))


def fitted(method: Method[N], views: Views, data: Source, config: TrainConfig) -> Method[N]:
    """The method as it is built: one that must know its views before has seen those of the first step."""
    if not isinstance(method, Fits):
        return method
    with shares(parts(len(rows(data, config, 0)), world())):
        first = step_views(views, step_batch(data, config, 0), config, 0)
    return method.fitted(first)


def logged(clock: Clock, lr: float, output: Output, stepper: Stepper, health: Health) -> dict[str, float]:
    """What a logging step writes down, averaged over the ranks."""
    means = {name: mean_over_ranks(x) for name, x in {"loss": output.loss.detach(), **output.logs}.items()}
    values = {"epoch": clock.epoch, "lr": lr, **{name: float(x) for name, x in means.items()}}
    if output.negatives:
        values["negatives_per_step"] = output.negatives
    return {**values, **stepper.values(), **health.values()}


class Lines:
    """What goes into `metrics.jsonl` and to trackers, kept until the next time that anybody looks."""

    def __init__(self, folder: Path | None, trackers: Sequence[Tracker]) -> None:
        self.folder, self.trackers = folder, trackers
        self.waiting: list[tuple[int, Mapping[str, float]]] = []

    def add(self, step: int, values: Mapping[str, float]) -> None:
        if values:
            self.waiting.append((step, values))

    def write(self) -> None:
        """Called by all ranks; rank 0 writes."""
        on_rank_0(self._write)
        self.waiting.clear()

    def _write(self) -> None:
        for step, values in self.waiting:
            if self.folder:
                journal.append(self.folder / "metrics.jsonl", step, values)
            for track in self.trackers:
                track(step, values)
