"""The training loop. There is one, and nothing random in it has state: a step is a function of (seed, step, rank)."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from erlangen import checkpoint, journal
from erlangen.data.base import Split
from erlangen.dist import gather, mean_over_ranks, rank, world
from erlangen.engine import parallel
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
    batch_size: int = 256  # images of an optimiser step, of all ranks and micro-batches together
    drop_last: bool = True  # the incomplete last batch of an epoch
    seed: int = 0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"  # of the networks; losses are always float32 at least
    compile: bool = False  # torch.compile
    compile_mode: Literal["default", "reduce-overhead"] = "default"  # the latter records CUDA graphs
    channels_last: bool = False  # memory format of images and convolutions
    shard: bool = False  # FSDP2: parameters, gradients and optimiser shared out among the ranks
    accumulate: int = 1  # micro-batches of a step
    accumulation: Literal["exact", "within"] | None = None
    """How a loss that couples images is accumulated: exact (that of the whole batch; encoders run twice) or within each
    micro-batch (fewer negatives)."""
    clip_norm: float | None = None  # of the gradient, all parameters together
    clip_value: float | None = None  # of each number in it
    skip_nonfinite: int = 0  # steps whose loss is not finite that are skipped before the run stops
    log_every: int = 20  # steps
    probe_every: int = 10  # epochs, for the online probes
    save_every: int = 500  # steps
    steps_per_epoch: int | None = None  # cut epochs short, for debugging
    init_from: str | None = None
    """Start from these weights, not from the seed's: a run folder (all networks of its newest checkpoint) or a
    .safetensors file (the encoder)."""
    device: str | None = None  # cpu, cuda, cuda:1; a GPU if there is one unless given
    track: Literal["tensorboard", "wandb"] | None = None  # besides metrics.jsonl; needs the extra [track]


class Stopped(KeyboardInterrupt):
    """A signal (Ctrl-C, SIGTERM, SIGUSR2) obeyed between two steps and after saving."""

    def __init__(self, message: str, signum: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.signum = signum


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
    steps, per_epoch = count_steps(len(data), config)
    torch.manual_seed(mix(config.seed, "build"))
    learner = Learner(method, encoder).to(data.images.device)
    optimizer = optim.build(learner.nets)
    probes = nn.ModuleList(observer for observer in observers if isinstance(observer, nn.Module))
    done = _resume(folder, learner, optimizer, probes) if folder else 0
    forward = parallel(learner).train()
    finite = _Finite(learner, data, optim, config)
    with _ctrl_c() as stop_asked:
        for step in range(done, steps):
            torch.manual_seed(mix(config.seed, "step", step, rank()))  # dropout, draws inside networks
            draws = Draws(generator(config.seed, "views", step))  # the same on all ranks
            batch = data.batch(config.seed, step, config.batch_size)
            output: Output = forward(views(batch, draws))
            optimizer.zero_grad()
            torch.autograd.backward(output.loss)
            schedule_(optimizer, optim, step, steps, per_epoch)
            optimizer.step()
            clock = Clock(step + 1, steps, per_epoch)
            learner.after_step(output.carry, clock)
            finite.see(step, output.loss.detach())

            last = clock.step == steps
            logs, saves = (last or clock.step % every == 0 for every in (config.log_every, config.save_every))
            if logs or saves or clock.step % (config.probe_every * per_epoch) == 0:
                finite.check(clock)  # before anybody reads or keeps what comes of it
            values = _values(clock, output, rate(optim, step, steps, per_epoch)) if logs else {}
            for observe in observers:
                values |= observe(clock, learner, output, batch)
            stops = (logs or world() == 1) and _any_rank(stop_asked(), output.loss.device)
            if stops:
                finite.check(clock)
            if folder and rank() == 0:
                if values:
                    journal.append(folder / "metrics.jsonl", clock.step, values)
                if saves or stops:
                    _save(folder, clock.step, learner, optimizer, probes)
            if stops and not last:
                raise Stopped(f"stopped after step {clock.step} of {steps}")
    return learner


def count_steps(images: int, config: TrainConfig) -> tuple[int, int]:
    """All steps and those of an epoch; `ValueError` for values that cannot be."""
    size = config.batch_size
    if size > images:
        raise ValueError(f"`batch_size` (={size}) is larger than the data set, which has {images} images")
    if size % world() or size // world() < 2:
        least = f"at least two images for each of {world()} ranks" if world() > 1 else "at least 2"
        raise ValueError(f"`batch_size` (={size}) must be {least}, the same number on each")
    for name in ("epochs", "log_every", "probe_every", "save_every"):
        if getattr(config, name) < 1:
            raise ValueError(f"`{name}` (={getattr(config, name)}) must be at least 1")
    return config.epochs * (images // size), images // size


def _values(clock: Clock, output: Output, lr: float) -> dict[str, float]:
    """What a logging step writes down, averaged over the ranks."""
    means = {name: mean_over_ranks(x) for name, x in {"loss": output.loss.detach(), **output.logs}.items()}
    return {"epoch": clock.epoch, "lr": lr, **{name: float(x) for name, x in means.items()}}


def _save(
    folder: Path, step: int, learner: Learner[Any], optimizer: torch.optim.Optimizer, probes: nn.ModuleList
) -> None:
    journal.sync(folder / "metrics.jsonl")
    parts: tuple[nn.Module, nn.Module] = (learner.nets, probes)
    nets, probed = (part.state_dict() for part in parts)
    checkpoint.save(folder / "checkpoints", step, {"nets": nets, "optimizer": optimizer.state_dict(), "probes": probed})


def _resume(folder: Path, learner: Learner[Any], optimizer: torch.optim.Optimizer, probes: nn.ModuleList) -> int:
    """The number of steps done; the state of the newest checkpoint is loaded, the journal goes back to it."""
    found = checkpoint.load(folder / "checkpoints")
    done, state = found or (0, {})
    if state:
        have, want = state["nets"], learner.nets.state_dict()
        wrong = sorted(have.keys() ^ want.keys()) or [key for key in want if have[key].shape != want[key].shape]
        if wrong:
            raise ValueError(
                f"the checkpoint in {folder} is of other networks: they differ in {', '.join(wrong[:3])} ..."
            )
        learner.nets.load_state_dict(have)
        optimizer.load_state_dict(state["optimizer"])
        probes.load_state_dict(state["probes"])
    if rank() == 0:
        folder.mkdir(parents=True, exist_ok=True)
        journal.rewind(folder / "metrics.jsonl", done)
    return done


class _Finite:
    """Remembers the first step whose loss was not finite, on the device, so that only `check` has to wait for it."""

    def __init__(self, learner: Learner[Any], data: Split, optim: Optim, config: TrainConfig) -> None:
        self.learner, self.data, self.optim, self.config = learner, data, optim, config
        self.first_bad = torch.full((), -1, device=data.images.device)

    def see(self, step: int, loss: Tensor) -> None:
        self.first_bad = torch.where((self.first_bad < 0) & ~loss.isfinite(), step, self.first_bad)

    def check(self, clock: Clock) -> None:
        """`ValueError` if a loss so far, or a weight now, is not finite."""
        step, what = int(self.first_bad), "the loss of"
        if step < 0:
            if bool(torch.stack(torch._foreach_norm(list(self.learner.parameters()))).isfinite().all()):
                return
            step, what = clock.step - 1, "a weight after"
        lr = rate(self.optim, step, clock.steps, clock.steps_per_epoch)
        images = self.data.rows(self.config.seed, step, self.config.batch_size).tolist()
        raise ValueError(
            f"{what} step {step + 1} is not finite (learning rate {lr:.3g}; images {images}): "
            "lower the learning rate or look at these images"
        )


def _any_rank(flag: bool, device: torch.device) -> bool:
    return flag if world() == 1 else bool(gather(torch.tensor([float(flag)], device=device)).any())


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
