"""What a checkpoint holds: whole, whatever the ranks hold, so that any number of them can go on from it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from erlangen import checkpoint, journal
from erlangen.dist import on_rank_0, stack_over_ranks
from erlangen.health import Health
from erlangen.methods.base import Learner
from erlangen.nets import differing


@dataclass
class State:
    """Everything of a run that changes and that the step's number does not determine."""

    learner: Learner[Any]
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    health: Health
    observers: Sequence[object]
    shard: bool = False

    @property
    def probes(self) -> list[nn.Module]:
        """The observers that learn."""
        return [observer for observer in self.observers if isinstance(observer, nn.Module)]

    def save(self, folder: Path, step: int) -> None:
        """Called by all ranks; rank 0 writes. `OSError` on all if it cannot."""
        state = {
            "nets": self.learner.nets.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "health": self.health.state(),
            "probes": [probe.state_dict() for probe in self.probes],
        }
        if self.shard:
            from erlangen.sharding import whole

            state = whole(state)
        on_rank_0(partial(_write, folder, step, state))

    def resume(self, folder: Path) -> int:
        """The number of steps done; the state of the newest checkpoint is loaded, the journal goes back to it."""
        found = checkpoint.load(folder / "checkpoints")
        done, state = found or (0, {})
        device = next(self.learner.parameters()).device
        seen = stack_over_ranks(torch.tensor(done, device=device)).tolist()
        if len(set(seen)) > 1:
            raise ValueError(
                f"the ranks see checkpoints of different steps ({', '.join(map(str, seen))}): `out` (={folder}) must "
                "lie on a disk that all machines share"
            )
        if state:
            nets, optimizer = state["nets"], state["optimizer"]
            check_fits(nets, self.learner.nets, folder)
            if self.shard:
                from erlangen.sharding import like, optimizer_like

                nets, optimizer = like(nets, self.learner.nets.state_dict()), optimizer_like(optimizer, self.optimizer)
            self.learner.nets.load_state_dict(nets)
            self.optimizer.load_state_dict(optimizer)
            if state["scaler"]:
                self.scaler.load_state_dict(state["scaler"])
            self.health.load(state["health"])
            for probe, values in zip(self.probes, state["probes"], strict=True):
                probe.load_state_dict(values)
        on_rank_0(partial(_rewind, folder, done))
        return done


def start_from(folder: Path, learner: Learner[Any]) -> None:
    """The networks begin as those of the newest checkpoint of another run; `ValueError` if there is none that fits."""
    found = checkpoint.load(folder / "checkpoints")
    if found is None:
        raise ValueError(
            f"`init_from` (={folder}) has no checkpoint: name the folder of a run, or a .safetensors file for the "
            "encoder alone"
        )
    check_fits(found[1]["nets"], learner.nets, folder)
    learner.nets.load_state_dict(found[1]["nets"])


def check_fits(state: dict[str, Any], nets: nn.Module, folder: Path) -> None:
    """`ValueError` with what differs between networks and those of a checkpoint."""
    if wrong := differing(nets.state_dict(), state):
        raise ValueError(f"the checkpoint in {folder} is of other networks: they differ in {wrong}")


def _rewind(folder: Path, done: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    journal.rewind(folder / "metrics.jsonl", done)


def _write(folder: Path, step: int, state: dict[str, Any]) -> None:
    journal.sync(folder / "metrics.jsonl")  # the checkpoint must not know of more than the journal
    checkpoint.save(folder / "checkpoints", step, state)
