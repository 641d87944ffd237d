"""Checkpoints and the journal by themselves: damaged, refused, in order on the disk, bitwise."""

import errno
import hashlib
import json
import math
import os
import shutil
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from erlangen import checkpoint, journal


def bits(value):
    """A nested state as plain values that are equal only if it is bitwise the same, types too."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype), tuple(value.shape), value.contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    if isinstance(value, dict):
        return "dict", [(bits(key), bits(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value).__name__, [bits(item) for item in value]
    return type(value).__name__, struct.pack("d", value) if isinstance(value, float) else value


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def flip(file: Path, byte: int) -> None:
    content = bytearray(file.read_bytes())
    content[byte] ^= 1
    file.write_bytes(content)


def of_another_step(place: Path) -> None:
    shutil.copy(place.with_name("step-000000004") / "manifest.json", place)


def with_code(place: Path) -> None:
    """A whole checkpoint, but for a function in it."""
    torch.save({"x": print}, place / "state.pt")
    with (place / "state.pt").open("rb") as file:
        checksum = hashlib.file_digest(file, "sha256").hexdigest()
    manifest = {"step": 8, "size": (place / "state.pt").stat().st_size, "sha256": checksum}
    (place / "manifest.json").write_text(json.dumps(manifest))


DAMAGES = [
    ("state.pt has 100 bytes, not", lambda place: os.truncate(place / "state.pt", 100)),
    ("state.pt has 0 bytes, not", lambda place: os.truncate(place / "state.pt", 0)),
    *(("the checksum of state.pt differs", lambda place, n=n: flip(place / "state.pt", n)) for n in (0, 777, -1)),
    ("state.pt is missing", lambda place: (place / "state.pt").unlink()),
    ("manifest.json is missing", lambda place: (place / "manifest.json").unlink()),
    ("manifest.json is garbled", lambda place: flip(place / "manifest.json", 0)),
    ("manifest.json is garbled", lambda place: os.truncate(place / "manifest.json", 30)),
    ("manifest.json is garbled", lambda place: (place / "manifest.json").write_text("[1]")),
    ("manifest.json is that of step 4", of_another_step),
    ("Is a directory", lambda place: ((place / "manifest.json").unlink(), (place / "manifest.json").mkdir())),
    ("state.pt holds more than tensors and plain values", with_code),
]


@pytest.mark.parametrize("words, damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_in_words(tmp_path, words, damage):
    """The one before is used, both are named; the damaged one goes at the next save; none left is no fresh start."""
    for step in (4, 8):
        checkpoint.save(tmp_path, step, {"x": torch.full((100,), float(step))})
    damage(tmp_path / "step-000000008")
    with pytest.warns(UserWarning, match=rf"damaged .*: step 8 \(.*{words}.*\); step 4 is used instead"):
        step, state = checkpoint.load(tmp_path)
    assert step == 4 and bits(state) == bits({"x": torch.full((100,), 4.0)})
    flip(tmp_path / "step-000000004" / "state.pt", 500)
    with pytest.raises(
        ValueError, match=r"every checkpoint .* step 8 \(.*step 4 \(the checksum .*start again in another"
    ):
        checkpoint.load(tmp_path)
    checkpoint.save(tmp_path, 6, {})
    assert checkpoint.load(tmp_path) == (6, {}) and names(tmp_path) == ["step-000000004", "step-000000006"]


def test_nothing_is_known_before_it_is_on_the_disk(tmp_path, monkeypatch):
    """Files, then the folder, then the name, then the folder's folder; only then are older ones removed."""
    calls, fsync, rename, rmtree = [], os.fsync, os.rename, shutil.rmtree

    def synced(handle):
        calls.append(f"fsync {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
        fsync(handle)

    def renamed(a, b):
        calls.append(f"rename {Path(a).name} {Path(b).name}")
        rename(a, b)

    checkpoints = tmp_path / "checkpoints"
    for step in (1, 2):
        checkpoint.save(checkpoints, step, {})
    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "rename", renamed)
    monkeypatch.setattr(shutil, "rmtree", lambda path: (calls.append(f"remove {path.name}"), rmtree(path)))
    checkpoint.save(checkpoints, 3, {})
    assert calls == [
        *("fsync state.pt", "fsync manifest.json", "fsync step-000000003.part"),
        *("rename step-000000003.part step-000000003", "fsync checkpoints", f"fsync {tmp_path.name}"),
        *("rename step-000000001 step-000000001.gone", "remove step-000000001.gone"),
    ]


def test_a_step_saved_again_replaces_the_first_or_nothing(tmp_path, monkeypatch):
    """Where the new one cannot get its name, the old one has it back; it goes when the new one is there."""
    rename = os.rename

    def full(a, b):
        if Path(a).suffix == ".part":
            raise OSError(errno.ENOSPC, "No space left on device")
        rename(a, b)

    for step in (4, 8):
        checkpoint.save(tmp_path, step, {"x": step})
    with monkeypatch.context() as patch, pytest.raises(OSError, match="of step 8 .*that of step 4 is safe"):
        patch.setattr(os, "rename", full)
        checkpoint.save(tmp_path, 8, {"x": 0})
    assert checkpoint.load(tmp_path) == (8, {"x": 8}) and names(tmp_path) == ["step-000000004", "step-000000008"]
    checkpoint.save(tmp_path, 8, {"x": 1})
    assert checkpoint.load(tmp_path) == (8, {"x": 1}) and names(tmp_path) == ["step-000000004", "step-000000008"]


def test_what_cannot_be_removed_stops_nobody(tmp_path, monkeypatch):
    """An old checkpoint that somebody holds: a warning; the new one is there, and the next save clears up."""
    for step in (1, 2):
        checkpoint.save(tmp_path, step, {})
    with monkeypatch.context() as patch, pytest.warns(UserWarning, match="could not remove .*step-000000001.*: in use"):
        patch.setattr(os, "rmdir", busy)
        checkpoint.save(tmp_path, 3, {})
    assert names(tmp_path) == ["step-000000001.gone", "step-000000002", "step-000000003"]
    checkpoint.save(tmp_path, 4, {})
    assert names(tmp_path) == ["step-000000003", "step-000000004"]


def busy(*args, **values):
    raise OSError(errno.EBUSY, "in use")


DTYPES = "float64 float32 float16 bfloat16 complex64 complex128 int64 int32 int16 int8 uint8 float8_e4m3fn".split()
PLAIN = st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text()
TENSORS = st.builds(
    lambda dtype, content, shape: torch.tensor(list(content), dtype=torch.uint8).view(dtype).reshape(shape),
    st.sampled_from([getattr(torch, name) for name in DTYPES]),
    st.binary(min_size=96, max_size=96),
    st.sampled_from([(-1,), (3, -1), (1, 2, -1)]),
) | st.sampled_from([torch.tensor(True), torch.tensor(-0.0), torch.zeros(0, 3), torch.arange(6).reshape(2, 3).T])
NESTED = st.recursive(
    PLAIN | TENSORS,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
)


@settings(max_examples=40, deadline=None)
@given(state=st.dictionaries(st.text(), NESTED, max_size=4))
def test_what_is_loaded_is_what_was_saved(tmp_path_factory, state):
    """Tensors of every dtype, NaNs with their bits, numbers, strings, None, however nested: bitwise, types too."""
    folder = tmp_path_factory.mktemp("any")
    checkpoint.save(folder, 0, state)
    step, loaded = checkpoint.load(folder)
    assert step == 0 and bits(loaded) == bits(state)


def test_what_loading_would_refuse_is_refused_when_it_is_saved(tmp_path):
    """A state that holds code stops the run at the first save, not when it is needed."""
    with pytest.raises(ValueError, match="`state` holds pathlib.*keep tensors, numbers"):
        checkpoint.save(tmp_path, 1, {"path": Path("x")})
    assert names(tmp_path) == [] and checkpoint.load(tmp_path) is None


def test_a_checkpoint_is_held_in_memory_once(tmp_path):
    """Neither saving nor loading copies 16 MB into Python's memory."""
    state = {"x": torch.zeros(4_000_000)}
    tracemalloc.start()
    checkpoint.save(tmp_path, 1, state)
    checkpoint.load(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def test_the_journal_is_json_whatever_the_numbers(tmp_path):
    """NaN and infinities become null; a line that was cut off, or that a power cut left as zeros, is dropped."""
    path = tmp_path / "metrics.jsonl"
    journal.append(path, 1, {"loss": 2, "lr": 0.5})
    journal.append(path, 2, {"loss": math.nan, "lr": math.inf})
    assert path.read_bytes() == b'{"step": 1, "loss": 2, "lr": 0.5}\n{"step": 2, "loss": null, "lr": null}\n'
    for torn in (b'{"step": 2, "lo', bytes(30), b'{"step": 2, "loss": "\xff'):
        with path.open("ab") as file:
            file.write(torn)
        assert [line["step"] for line in journal.read(path)] == [1, 2]
        journal.rewind(path, 2)
        assert path.read_bytes().count(b"\n") == 2 and names(tmp_path) == ["metrics.jsonl"]
    journal.rewind(path, 1)
    assert journal.read(path) == [{"step": 1, "loss": 2, "lr": 0.5}]
