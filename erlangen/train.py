"""The training loop. There is one, and nothing random in it has state: a step is a function of (seed, step, rank)."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from erlangen import checkpoint
from erlangen.data.base import Split
from erlangen.dist import gather, mean_over_ranks, rank, world
from erlangen.engine import parallel
from erlangen.journal import Journal
from erlangen.methods.base import Clock, Learner, Method, N, Output
from erlangen.nets import Encoder
from erlangen.optim import Optim, rate, schedule_
from erlangen.views import Batch, Draws, Views, generator, mix

# Runs on every rank after each step, so that it may average; what it returns is logged. One that learns is an
# nn.Module: its state goes into the checkpoint.
Observer = Callable[[Clock, Learner[Any], Output, Batch], Mapping[str, float]]


@dataclass(frozen=True)
class TrainConfig:
    epochs: int = 100
    batch_size: int = 256  # of all ranks together
    seed: int = 0
    log_every: int = 20  # steps
    probe_every: int = 10  # epochs, for the online probes
    save_every: int = 500  # steps


class Stopped(KeyboardInterrupt):
    """Ctrl-C, obeyed between two steps and after saving."""


def train(
    method: Method[N],
    encoder: Encoder,
    views: Views,
    data: Split,
    optim: Optim,
    config: TrainConfig,
    observers: Sequence[Observer] = (),
    folder: Path | None = None,
) -> Learner[N]:
    """Trains, or goes on where the newest checkpoint in `folder` stopped.

    `ValueError` for a batch that does not fit the data or the ranks, a checkpoint of other networks, a loss that is
    not finite.
    """
    clock = Clock(0, *_steps(data, config))
    torch.manual_seed(mix(config.seed, "build"))
    learner = Learner(method, encoder).to(data.images.device)
    optimizer = optim.build(learner.nets)
    probes = nn.ModuleList(observer for observer in observers if isinstance(observer, nn.Module))
    done = _resume(folder, learner, optimizer, probes) if folder else 0
    journal = Journal(folder / "metrics.jsonl") if folder and rank() == 0 else None
    if journal:
        journal.rewind(done)
    forward = parallel(learner).train()
    bad = torch.full((), -1, device=data.images.device)  # the first step whose loss was not finite

    def save(step: int) -> None:
        _check_finite(bad, data, optim, clock, config)  # never over a good checkpoint
        if journal and folder:
            journal.flush()
            state = {
                "nets": learner.nets.state_dict(),
                "optimizer": optimizer.state_dict(),
                "probes": probes.state_dict(),
            }
            checkpoint.save(folder / "checkpoints", step, state)

    with _ctrl_c() as stop_asked:
        for step in range(done, clock.steps):
            torch.manual_seed(mix(config.seed, "step", step, rank()))  # dropout, draws inside networks
            draws = Draws(generator(config.seed, "views", step))  # the same on all ranks
            batch = data.batch(config.seed, step, config.batch_size)
            output: Output = forward(views(batch, draws))
            optimizer.zero_grad()
            torch.autograd.backward(output.loss)
            schedule_(optimizer, optim, step, clock.steps, clock.steps_per_epoch)
            optimizer.step()
            clock = Clock(step + 1, clock.steps, clock.steps_per_epoch)
            learner.after_step(output.carry, clock)
            bad = torch.where((bad < 0) & ~output.loss.detach().isfinite(), step, bad)

            observed = {
                key: value for observe in observers for key, value in observe(clock, learner, output, batch).items()
            }
            logs = clock.step % config.log_every == 0 or clock.step == clock.steps
            if logs:
                _check_finite(bad, data, optim, clock, config)
                means = {
                    key: float(mean_over_ranks(x)) for key, x in {"loss": output.loss.detach(), **output.logs}.items()
                }
                lr = rate(optim, step, clock.steps, clock.steps_per_epoch)
                observed = {"epoch": clock.epoch, "lr": lr, **means, **observed}
            if journal and observed:
                journal.write(clock.step, observed)
            stopping = _any_rank(stop_asked(), bad) if logs or world() == 1 else False
            if stopping or clock.step % config.save_every == 0 or clock.step == clock.steps:
                save(clock.step)
            if stopping and clock.step < clock.steps:
                raise Stopped(f"stopped after step {clock.step} of {clock.steps}")
    if journal:
        journal.close()
    return learner


def _steps(data: Split, config: TrainConfig) -> tuple[int, int]:
    """All steps and those of an epoch."""
    size = config.batch_size
    if size > len(data):
        raise ValueError(f"`batch_size` (={size}) is larger than the data set, which has {len(data)} images")
    if size % world() or size // world() < 2:
        least = f"at least two images for each of {world()} ranks" if world() > 1 else "at least 2"
        raise ValueError(f"`batch_size` (={size}) must be {least}, the same number on each")
    for name in ("epochs", "log_every", "probe_every", "save_every"):
        if getattr(config, name) < 1:
            raise ValueError(f"`{name}` (={getattr(config, name)}) must be at least 1")
    return config.epochs * (len(data) // size), len(data) // size


def _resume(folder: Path, learner: Learner[Any], optimizer: torch.optim.Optimizer, probes: nn.Module) -> int:
    """The number of steps done; the state of the newest checkpoint is loaded."""
    found = checkpoint.load(folder / "checkpoints")
    if found is None:
        return 0
    done, state = found
    have, want = state["nets"], learner.nets.state_dict()
    wrong = sorted(have.keys() ^ want.keys()) or [k for k in want if have[k].shape != want[k].shape]
    if wrong:
        raise ValueError(f"the checkpoint in {folder} is of other networks: they differ in {', '.join(wrong[:3])} ...")
    learner.nets.load_state_dict(have)
    optimizer.load_state_dict(state["optimizer"])
    probes.load_state_dict(state["probes"])
    return done


def _check_finite(bad: Tensor, data: Split, optim: Optim, clock: Clock, config: TrainConfig) -> None:
    step = int(bad)
    if step >= 0:
        lr = rate(optim, step, clock.steps, clock.steps_per_epoch)
        images = data.rows(config.seed, step, config.batch_size).tolist()
        raise ValueError(
            f"the loss of step {step + 1} is not finite (learning rate {lr:.3g}; images {images}): "
            "lower the learning rate or look at these images"
        )


def _any_rank(flag: bool, like: Tensor) -> bool:
    return flag if world() == 1 else bool(gather(torch.tensor([flag], device=like.device).float()).any())


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Ctrl-C asks to stop after the step; a second one stops at once."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return

    def ask(signum: int, frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)
