"""A process that dies, or whose disk fails, where it is told to; test_crash.py tells it, one JSON order a line.

Torch is imported once; each order is then obeyed by a fork, which ends before the next order is read.
"""

import builtins
import io
import json
import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from small import METHODS, OPTIM, POLICY, colours, config, encoder

from erlangen import checkpoint, journal, runs
from erlangen.data.base import Data
from erlangen.observers import OnlineLinear
from erlangen.train import train

STEPS, SAVE_EVERY, LOG_EVERY = 24, 2, 3
STATES = [(4, 0.0), (8, 1.0), (12, 2.0), (12, 3.0), (16, 4.0)]  # steps and contents that `saves` writes


class Disk:
    """Counts what is done to the disk, by kind, and strikes at the call that the fault names.

    A fault has `kind` (fsync, rename, remove, or the name of a file written to), `count`, `when` (before, after, half:
    half of the bytes written, buffered: half of them, still in memory), and `errno` (a failing disk, from then
    on) or `power` (the part that a power cut leaves of what was not put on the disk; None for a plain SIGKILL).
    """

    def __init__(self, folder: Path, fault: dict[str, Any] | None) -> None:
        self.folder, self.fault = folder, fault
        self.counts: Counter[str] = Counter()
        self.loose: dict[int, int] = {}  # inode of a file to bytes of it that are on the disk for certain

    def do(self, kind: str, action: Callable[[], Any], half: Callable[[], Any] = lambda: None) -> Any:
        self.counts[kind] += 1
        fault = self.fault
        if fault is None or fault["kind"] != kind or self.counts[kind] < fault["count"]:
            return action()
        if fault["when"] in ("half", "buffered"):
            half()
        if "errno" in fault:
            raise OSError(fault["errno"], os.strerror(fault["errno"]))
        if fault["when"] == "after":
            action()
        if fault["power"] is not None:
            for path in self.folder.rglob("*"):
                size, inode = path.stat().st_size, path.stat().st_ino
                if inode in self.loose:
                    os.truncate(path, self.loose[inode] + int((size - self.loose[inode]) * fault["power"]))
        os.kill(os.getpid(), signal.SIGKILL)

    def watch(self) -> None:
        """Lets every write, fsync, rename and removal of this process go through `do`."""
        plain_open, plain_fsync = io.open, os.fsync

        def fsync(handle: int) -> None:
            self.do("fsync", lambda: plain_fsync(handle))
            self.loose.pop(os.fstat(handle).st_ino, None)

        def opened(file: Any, mode: str = "r", *args: Any, **values: Any) -> Any:
            watched = isinstance(file, Path) and self.folder in file.parents and mode in ("wb", "ab")
            return Watched(file, mode, self) if watched else plain_open(file, mode, *args, **values)

        def through(kind: str, call: Callable[..., Any]) -> Callable[..., Any]:
            return lambda *args, **values: self.do(kind, lambda: call(*args, **values))

        builtins.open = io.open = opened
        os.fsync = fsync
        for name, kind in {"rename": "rename", "replace": "rename", "unlink": "remove", "rmdir": "remove"}.items():
            setattr(os, name, through(kind, getattr(os, name)))


class Watched(io.BufferedWriter):
    """A file opened for writing bytes whose writes go through the disk."""

    def __init__(self, path: Path, mode: str, disk: Disk) -> None:
        super().__init__(io.FileIO(path, mode))
        self.kind, self.disk = path.name, disk
        stat = os.fstat(self.fileno())
        disk.loose[stat.st_ino] = min(stat.st_size, disk.loose.get(stat.st_ino, stat.st_size))

    def write(self, data: Any) -> int:
        def half() -> None:
            super(Watched, self).write(memoryview(data)[: len(data) // 2])
            if self.disk.fault and self.disk.fault["when"] == "half":
                self.flush()

        written: int = self.disk.do(self.kind, lambda: super(Watched, self).write(data), half)
        return written


def trains(order: dict[str, Any]) -> None:
    """BYOL and a linear probe; `limit` (step, bytes): no file may grow larger after that step."""

    def limit(clock: Any, learner: Any, output: Any, batch: Any) -> dict[str, float]:
        if clock.step == order.get("limit", [0])[0]:
            size = order["limit"][1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        return {}

    data = colours(16)
    watching = [OnlineLinear(Data("colours", data, data), 2, encoder().dim), limit]
    values = config(STEPS, save_every=SAVE_EVERY, log_every=LOG_EVERY, batch_size=8)
    train(METHODS["BYOL"], encoder(), POLICY.build(3, 16), data, OPTIM, values, watching, Path(order["folder"]))


def saves(order: dict[str, Any]) -> None:
    """Journal and checkpoints of the next states, up to number `until`; `progress` gets a byte for each."""
    folder = Path(order["folder"])
    journal_path, checkpoints = folder / "metrics.jsonl", folder / "checkpoints"
    progress = os.open(order["progress"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    done, state = checkpoint.load(checkpoints) or (0, {"x": torch.tensor([-1.0])})
    journal.rewind(journal_path, done)
    for step, content in STATES[int(state["x"][0]) + 1 : order["until"]]:
        if step > done:
            journal.append(journal_path, step, {"loss": content})
        journal.sync(journal_path)
        checkpoint.save(checkpoints, step, {"x": torch.full((100,), content)})
        os.write(progress, b".")
        done = step


def locks(order: dict[str, Any]) -> None:
    """Holds the lock of a folder until killed."""
    with runs.locked(Path(order["folder"])):
        Path(order["ready"]).touch()
        signal.pause()


def obey(order: dict[str, Any]) -> None:
    """Does what is ordered; what came of it is in the file `told`, unless this process died."""
    disk, told = Disk(Path(order["folder"]), order.get("fault")), {}
    if order.get("keep_all"):
        checkpoint.KEPT = sys.maxsize
    disk.watch()
    try:
        {"trains": trains, "saves": saves, "locks": locks}[order["job"]](order)
    except (OSError, ValueError) as error:
        cause = error.__cause__
        told = {"error": type(error).__name__, "message": str(error), "errno": getattr(cause, "errno", None)}
    with io.FileIO(order["told"], "w") as file:
        file.write(json.dumps({**told, "counts": disk.counts}).encode())


def serve() -> None:
    """Reads orders until there are no more; answers each with the number of the fork, then with its exit code."""
    import torch._dynamo  # noqa: F401  # the optimiser's first step would, in every fork

    torch.set_num_threads(1)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                obey(json.loads(line))
                code = 0
            finally:
                sys.stderr.flush()
                os._exit(code)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    serve()
