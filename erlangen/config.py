"""The options of training, and what does not go together."""

from dataclasses import dataclass
from typing import Literal

import torch

from erlangen.dist import world
from erlangen.engine import Mechanics
from erlangen.methods.base import AnyMethod, Precision
from erlangen.optim import LARC, LARS, Optim, check_schedule


@dataclass(frozen=True)
class TrainConfig:
    epochs: int = 100  # how often all images are seen
    batch_size: int = 256  # images of an optimiser step, of all ranks and micro-batches together
    drop_last: bool = True  # leave out the incomplete last batch of an epoch
    seed: int = 0  # of weights, order and views: the same seed is the same run
    precision: Precision = "fp32"  # in which networks compute; losses are in float32 at least
    compile: bool = False  # fuse the networks with torch.compile: faster after a minute or so
    compile_mode: Literal["default", "reduce-overhead"] = "default"  # of torch.compile; the latter makes CUDA graphs
    channels_last: bool = False  # memory format of images and convolutions, fast on GPUs
    shard: bool = False  # FSDP2: networks, gradients and optimiser are shared out among the ranks
    accumulate: int = 1  # micro-batches of a step
    accumulation: Literal["exact", "within"] | None = None
    """Of a loss that compares images: exact (that of the whole batch, encoders run twice) or within each micro-batch
    (fewer negatives)."""
    clip_norm: float | None = None  # longest gradient, of all parameters together
    clip_value: float | None = None  # largest number in a gradient
    skip_nonfinite: int = 0  # steps whose loss is not finite that are skipped before the run stops
    log_every: int = 20  # steps between two lines of metrics.jsonl
    probe_every: int = 10  # epochs between two online probes
    save_every: int = 500  # steps between two checkpoints
    steps_per_epoch: int | None = None  # cut epochs short, for debugging
    init_from: str | None = None
    """Weights to start from: a run folder (all networks of its newest checkpoint) or a .safetensors file (encoder)."""
    device: str | None = None  # cpu, cuda or cuda:1; a GPU if there is one, unless given
    track: Literal["tensorboard", "wandb"] | None = None  # what gets the lines of metrics.jsonl too (extra: track)

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate", "log_every", "probe_every", "save_every", "steps_per_epoch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"`{name}` (={value}) must be at least 1")
        if self.skip_nonfinite < 0:
            raise ValueError(f"`skip_nonfinite` (={self.skip_nonfinite}) is a number of steps: at least 0")
        for name in ("clip_norm", "clip_value"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"`{name}` (={value}) must be above 0")


def count_steps(images: int, config: TrainConfig) -> tuple[int, int]:
    """All steps and those of an epoch; `ValueError` for values that do not fit the data or the ranks."""
    size, ranks = config.batch_size, world()
    least = 2 * ranks * config.accumulate
    if size > images:
        raise ValueError(f"`batch_size` (={size}) is larger than the data set, which has {images} images")
    if size % ranks or size < least:
        near = max(least, (size + ranks // 2) // ranks * ranks)
        many = f"the same for each of {ranks} ranks, at least 2" if ranks > 1 else "at least 2"
        micro = f" in each of `accumulate` (={config.accumulate}) micro-batches" if config.accumulate > 1 else ""
        raise ValueError(f"`batch_size` (={size}) must be {many}{micro}: the nearest is {near}")
    left = 0 if config.drop_last else images % size
    if 0 < left < least:
        raise ValueError(
            f"the last batch of an epoch would have {left} of {images} images, too few for {ranks} ranks and "
            f"{config.accumulate} micro-batches: drop it (`drop_last`) or choose another `batch_size` (={size})"
        )
    per_epoch = images // size + (left > 0)
    if config.steps_per_epoch is not None:
        per_epoch = min(per_epoch, config.steps_per_epoch)
    return config.epochs * per_epoch, per_epoch


def mechanics(config: TrainConfig, method: AnyMethod, optim: Optim, device: torch.device) -> Mechanics:
    """How a step is computed; `ValueError` for what does not go together, or not here."""
    check_schedule(optim, config.epochs)
    if config.accumulate > 1 and method.couples() and config.accumulation is None:
        raise ValueError(
            f"`accumulate` (={config.accumulate}): {type(method).__name__} compares the images of a batch, so that "
            "micro-batches change its loss; choose `accumulation` exact (the loss of the whole batch, encoders run "
            "twice) or within (each micro-batch for itself, with fewer negatives)"
        )
    if config.shard and isinstance(optim, LARS | LARC):
        raise ValueError(f"`shard`: {type(optim).__name__} needs norms of whole tensors; take SGD, Adam or AdamW")
    how = Mechanics(
        config.precision,
        config.compile,
        config.compile_mode,
        config.channels_last,
        config.shard,
        config.accumulate,
        config.accumulation or "within",
        config.clip_norm,
        config.clip_value,
    )
    how.check(device)
    return how
