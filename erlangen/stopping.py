"""Signals that ask a run to stop: obeyed between two steps, by all ranks at the same one."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from erlangen.dist import stack_over_ranks, world

# The later one counts: Slurm sends SIGTERM, then SIGUSR2 to say that it wants the machine and will give another.
ASKING = (0, signal.SIGINT, signal.SIGTERM, signal.SIGUSR2)
PATIENCE = 3.0  # seconds; torchrun passes a terminal's Ctrl-C on to ranks that have had it already


class Stopped(KeyboardInterrupt):
    """A signal was obeyed: between two steps, after saving."""

    def __init__(self, message: str, signum: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.signum = signum


@contextmanager
def signals() -> Iterator[Callable[[], int]]:
    """What it gives tells the number of the signal that asked to stop, 0 if none did.

    Another Ctrl-C, a few seconds after the first, stops at once.
    """
    asked: list[tuple[int, float]] = []

    def ask(signum: int, frame: object) -> None:
        if asked and signum == signal.SIGINT and time.monotonic() - asked[0][1] > PATIENCE:
            raise KeyboardInterrupt
        asked.append((signum, time.monotonic()))

    in_main = threading.current_thread() is threading.main_thread()  # only there can signals be handled
    before = {signum: signal.signal(signum, ask) for signum in ASKING[1:]} if in_main else {}
    try:
        yield lambda: max((signum for signum, _ in asked), key=ASKING.index, default=0)
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


class Vote:
    """The signal that any rank was given: told one step later on several ranks, so that no device is waited for."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.before: Tensor | None = None  # on the CPU; a copy from a GPU is under way until `copied`
        self.copied = torch.cuda.Event() if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    def __call__(self, asked: int) -> int:
        if world() == 1:
            return asked
        if self.before is not None and self.copied:
            self.copied.synchronize()
        told = 0 if self.before is None else int(self.before.max())
        mine = torch.tensor(ASKING.index(asked)).to(self.device, non_blocking=True)
        votes = stack_over_ranks(mine)
        if self.copied:
            self.before = torch.empty(votes.shape, dtype=votes.dtype, pin_memory=True)
            self.before.copy_(votes, non_blocking=True)
            self.copied.record()
        else:
            self.before = votes
        return ASKING[told]
