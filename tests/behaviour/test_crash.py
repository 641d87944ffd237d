"""Run folders: killed, cut off from power, on a full disk, damaged, wanted by two processes at once."""

import errno
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import pytest
from dying import SAVE_EVERY, STATES, STEPS
from test_checkpoint import bits, names

from erlangen import checkpoint, journal, recipe, runs

TORN = [(name, when) for name in ("state.pt", "manifest.json", "metrics.jsonl") for when in ("half", "buffered")]
CLEAN = [(kind, when) for kind in ("state.pt", "fsync", "rename", "remove") for when in ("before", "after")]


class Child:
    """The process of dying.py, and what it answers."""

    def __init__(self, scratch: Path) -> None:
        program = [sys.executable, str(Path(__file__).with_name("dying.py"))]
        self.process = subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.told = scratch / "told.json"

    def start(self, job: str, folder: Path, **order) -> int:
        """The number of the fork that obeys."""
        self.told.unlink(missing_ok=True)
        self.process.stdin.write(
            json.dumps({"job": job, "folder": str(folder), "told": str(self.told), **order}) + "\n"
        )
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def end(self) -> tuple[int, dict]:
        """Its exit code and what it told, once it has ended."""
        code = int(self.process.stdout.readline())
        return code, json.loads(self.told.read_text()) if self.told.exists() else {}

    def run(self, job: str, folder: Path, **order) -> tuple[int, dict]:
        self.start(job, folder, **order)
        return self.end()


@pytest.fixture(scope="module")
def child(tmp_path_factory):
    child = Child(tmp_path_factory.mktemp("child"))
    yield child
    child.process.communicate(timeout=60)
    assert child.process.returncode == 0


@dataclass(frozen=True)
class Whole:
    """A run that nothing happened to."""

    folder: Path
    states: dict[int, tuple]  # of every checkpoint
    writes: int  # of a state.pt
    seconds: float


@pytest.fixture(scope="module")
def whole(child, tmp_path_factory) -> Whole:
    folder = tmp_path_factory.mktemp("whole")
    start = time.perf_counter()
    code, told = child.run("trains", folder, keep_all=True)
    seconds = time.perf_counter() - start
    states = {}
    for place in sorted((folder / "checkpoints").iterdir()):
        alone = folder / "alone"
        shutil.copytree(place, alone / place.name)
        step, state = checkpoint.load(alone)
        states[step] = bits(state)
        shutil.rmtree(alone)
    assert code == 0 and [*states] == list(range(SAVE_EVERY, STEPS + 1, SAVE_EVERY))
    return Whole(folder, states, told["counts"]["state.pt"] // len(states), seconds)


def check_killed(folder: Path, whole: Whole) -> int:
    """The step to go on from: its state and the journal up to it are those of the whole run, nothing is damaged."""
    step, state = checkpoint.load(folder / "checkpoints") or (0, None)
    assert state is None or bits(state) == whole.states[step]
    lines = [
        [line for line in journal.read(f / "metrics.jsonl") if line["step"] <= step] for f in (folder, whole.folder)
    ]
    assert lines[0] == lines[1]
    return step


def check_finished(folder: Path, whole: Whole) -> None:
    """The run ended bitwise where the whole one did: networks, target, optimiser, probe, journal."""
    assert check_killed(folder, whole) == STEPS
    assert (folder / "metrics.jsonl").read_bytes() == (whole.folder / "metrics.jsonl").read_bytes()


@pytest.mark.parametrize("seed, kills", [(1, 5), pytest.param(0, 20, marks=pytest.mark.soak)])
def test_killed_anywhere_a_run_ends_as_the_whole_one(child, whole, tmp_path, seed, kills):
    """SIGKILL and power cuts before, in and after writes, fsyncs, renames, removals, five a run, then at any time."""
    draw = random.Random(seed)
    per_save = {"state.pt": whole.writes, "manifest.json": 1, "metrics.jsonl": 1, "fsync": 6, "rename": 2, "remove": 3}
    points = list(islice(cycle(draw.sample(TORN + CLEAN, len(TORN + CLEAN))), kills))
    for first in range(0, kills, 5):
        folder, step = tmp_path / f"killed {first}", 0
        folder.mkdir()
        for kind, when in points[first : first + 5]:
            power = draw.choice([None, 0.0, draw.random()])
            fault = {"kind": kind, "when": when, "count": draw.randint(1, per_save[kind] + 1), "power": power}
            assert child.run("trains", folder, fault=fault)[0] == -signal.SIGKILL, fault
            before, step = step, check_killed(folder, whole)
            assert step >= before, fault
        fork = child.start("trains", folder)
        time.sleep(draw.uniform(0.0, whole.seconds / 2))
        with suppress(ProcessLookupError):  # it was faster
            os.kill(fork, signal.SIGKILL)
        assert child.end()[0] in (-signal.SIGKILL, 0) and check_killed(folder, whole) >= step
        assert child.run("trains", folder)[0] == 0
        check_finished(folder, whole)


@pytest.mark.parametrize("points", [24, pytest.param(None, marks=pytest.mark.soak)])
def test_a_save_killed_at_any_call_leaves_what_was_or_what_comes(child, tmp_path, points):
    """Three saves, one of a step that is there: never damaged, never less than was done, nothing lies about."""
    order = {"progress": str(tmp_path / "progress"), "until": 2}
    (tmp_path / "two").mkdir()
    assert child.run("saves", tmp_path / "two", **order)[0] == 0
    shutil.copytree(tmp_path / "two", tmp_path / "all")
    order["until"] = len(STATES)
    counts = child.run("saves", tmp_path / "all", **order)[1]["counts"]
    calls = [(kind, n, when) for kind, when in TORN + CLEAN for n in range(1, min(counts[kind], 40) + 1)]
    for i, (kind, n, when) in enumerate(random.Random(2).sample(calls, points or len(calls))):
        folder, progress = tmp_path / "killed", Path(order["progress"])
        shutil.copytree(tmp_path / "two", folder)
        progress.write_bytes(b"..")
        fault = {"kind": kind, "count": n, "when": when, "power": (None, 0.0, 0.7)[i % 3]}
        assert child.run("saves", folder, **order, fault=fault)[0] == -signal.SIGKILL, fault
        step, state = checkpoint.load(folder / "checkpoints")
        there, done = int(state["x"][0]), progress.stat().st_size - 1
        assert done <= there <= done + 1 and STATES[there][0] == step, fault
        assert child.run("saves", folder, **order)[0] == 0
        if there < len(STATES) - 1:  # otherwise nothing was left to save, and to tidy up
            assert names(folder / "checkpoints") == ["step-000000012", "step-000000016"], fault
        assert (folder / "metrics.jsonl").read_bytes() == (tmp_path / "all" / "metrics.jsonl").read_bytes(), fault
        shutil.rmtree(folder)


def test_a_full_or_broken_disk_stops_the_run_in_words_and_loses_nothing(child, whole, tmp_path):
    """ENOSPC, EIO, EFBIG in a write, an fsync, a rename: which step is safe is said, it is, and the run can go on."""
    keys = ("kind", "when", "count", "errno")
    safe = r"the checkpoint of .*, that of step {} is safe"
    faults = [
        (("state.pt", "half", whole.writes + 99, errno.ENOSPC), safe),
        (("manifest.json", "before", 2, errno.ENOSPC), safe),
        (("metrics.jsonl", "half", 2, errno.ENOSPC), r"step \d+ to .*metrics.jsonl"),
        (("fsync", "before", 2 + 6 + 1, errno.EIO), r"the last lines to .*metrics.jsonl"),
        (("fsync", "before", 2 + 6 + 2, errno.EIO), safe),  # of state.pt
        (("rename", "before", 4, errno.ENOSPC), safe),
        (
            ("fsync", "before", 2 + 6 + 5, errno.EIO),
            r"the checkpoint of .*, that of step \d+ is safe",
        ),  # it has its name
    ]
    orders = [({"fault": dict(zip(keys, fault, strict=True))}, fault[-1], words) for fault, words in faults]
    step = 0
    for order, number, words in (*orders, ({"limit": [STEPS - 3, 50_000]}, errno.EFBIG, safe)):
        code, told = child.run("trains", tmp_path, **order)
        before, step = step, check_killed(tmp_path, whole)
        assert (code, told.get("error"), told.get("errno")) == (0, "OSError", number), order
        assert re.match(rf"could not write {words.format(step)}.* go on with --resume", told["message"]), told[
            "message"
        ]
        assert f"({os.strerror(number)})" in told["message"]
        assert step > before and not list(tmp_path.rglob("*.part")), order
    assert child.run("trains", tmp_path)[0] == 0
    check_finished(tmp_path, whole)


def test_a_run_folder_has_one_writer(child, tmp_path):
    """A second lock is refused with the holder's number, here and in another process; a dead holder is no obstacle."""
    words = (
        r"another process \(pid {} on \S+, since \d{{4}}-\d\d-\d\d .*\) is writing to `out` \(=.*name another folder"
    )
    folder = tmp_path / "new" / "run"
    with runs.locked(folder), pytest.raises(ValueError, match=words.format(os.getpid())), runs.locked(folder):
        pass
    holder = child.start("locks", folder, ready=str(tmp_path / "ready"))
    for _ in range(3000):
        if (tmp_path / "ready").exists():
            break
        time.sleep(0.01)
    with pytest.raises(ValueError, match=words.format(holder)), runs.locked(folder):
        pass
    os.kill(holder, signal.SIGKILL)
    assert child.end()[0] == -signal.SIGKILL and str(holder) in (folder / "lock").read_text()
    with runs.locked(folder):
        assert f"pid {os.getpid()} " in (folder / "lock").read_text() and runs.never_started(folder)
    (folder / "metrics.part").touch()  # a kill while the journal was begun
    assert (folder / "lock").read_text() == "" and runs.never_started(folder)
    (folder / "checkpoints").mkdir()
    assert not runs.never_started(folder)
    with pytest.raises(ValueError, match="is a file"), runs.locked(folder / "lock"):
        pass


@pytest.mark.parametrize("error", [OSError(errno.ENOLCK, "No locks available"), ImportError("No module named fcntl")])
def test_where_there_are_no_locks_the_run_goes_on_in_words(tmp_path, monkeypatch, error):
    """A network file system or Windows: a warning, and no lock."""

    def flock(*args):
        raise error

    monkeypatch.setattr("fcntl.flock", flock)
    with pytest.warns(UserWarning, match="cannot be locked .No .*start no other process"), runs.locked(tmp_path):
        assert names(tmp_path) == ["lock"]


def test_a_lock_holds_without_its_line(tmp_path, monkeypatch):
    """On a full disk the file stays empty: a second lock is refused all the same, and nothing else is raised."""

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with runs.locked(tmp_path), pytest.raises(ValueError, match="has not said which"), runs.locked(tmp_path):
        pass


def test_a_run_may_go_on_elsewhere_but_not_as_another(tmp_path):
    """Data folder, device and tracking may change; the message has the other fields that differ, and only those."""
    now = recipe("simclr")
    runs.prepare(tmp_path, now, resume=False)
    elsewhere = replace(now, data_root="/data", train=replace(now.train, device="cuda:1", track="wandb"))
    runs.check_same(tmp_path, elsewhere)
    with pytest.raises(ValueError, match="of another recipe: train.seed 0 -> 1; give"):
        runs.check_same(tmp_path, replace(elsewhere, train=replace(elsewhere.train, seed=1)))
