"""Bars on the terminal."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from erlangen.dist import rank
from erlangen.methods.base import Clock, Learner, Output
from erlangen.train import Observer
from erlangen.views import Batch


@contextmanager
def progress() -> Iterator[Observer]:
    """An observer that draws a bar with rate and time left on the terminal (rank 0)."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"), TimeRemainingColumn())
    bar = Progress(TextColumn("{task.description}"), *columns, console=Console(stderr=True))
    tasks: WeakKeyDictionary[Learner[Any], tuple[TaskID, float, int]] = WeakKeyDictionary()  # a line for each training

    def observe(clock: Clock, learner: Learner[Any], output: Output, batch: Batch) -> Mapping[str, float]:
        if rank() == 0:
            bar.start()
            if learner not in tasks:
                task = bar.add_task(type(learner.method).__name__, total=clock.steps, rate="")
                tasks[learner] = task, time.perf_counter(), clock.step
            task, start, first = tasks[learner]
            seconds = max(time.perf_counter() - start, 1e-6)
            bar.update(task, completed=clock.step, rate=f"{(clock.step - first) / seconds:.1f} steps/s")
        return {}

    try:
        yield observe
    finally:
        if bar.live.is_started:
            bar.stop()


@contextmanager
def counting(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """A bar over so many things of a kind, and what is to be told when some more are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn(what), TimeRemainingColumn(elapsed_when_finished=True))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
