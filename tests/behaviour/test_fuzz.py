"""Files and arguments that nobody would write: what reads them says one clean error, or does what was asked."""

import hashlib
import io
import json
import os
import pickle
import shutil
import struct
import sys
import tempfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from erlangen import checkpoint, cli
from erlangen.data import Data, open_dataset
from erlangen.recipes import RECIPES, Recipe
from erlangen.recipes.stored import stored
from erlangen.runs import flat, resolved

SHORT = settings(deadline=None, max_examples=25, derandomize=True, database=None)
LONG = settings(deadline=None, max_examples=1100, database=None, suppress_health_check=list(HealthCheck))

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=4),
    max_leaves=8,
)


@contextmanager
def scratch() -> Iterator[Path]:
    """A folder of its own for every example."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


STATES = {
    step: {
        "nets": {"weight": torch.arange(12.0).reshape(3, 4) + step, "count": torch.tensor(step)},
        "optimizer": {"state": {0: {"exp_avg": torch.ones(3) * step}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "probes": {},
    }
    for step in (3, 8)
}
Damage = tuple[str, str, float, bytes]  # what is done, to which file, where, with which bytes

damages = st.tuples(
    st.sampled_from(["replace", "truncate", "flip", "insert", "delete", "folder", "deep"]),
    st.sampled_from(["state.pt", "manifest.json"]),
    st.floats(0, 1, exclude_max=True),
    st.binary(min_size=1, max_size=64),
)


def equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(equal, one, other))
    return bool(one == other)


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """The checkpoints of steps 3 and 8."""
    folder = tmp_path_factory.mktemp("saved") / "checkpoints"
    for step, state in STATES.items():
        checkpoint.save(folder, step, state)
    return folder


def damage(place: Path, what: Damage) -> None:
    how, name, where, content = what
    file = place / name
    before = file.read_bytes()
    at = int(where * len(before))
    if how in ("delete", "folder"):
        file.unlink()
    if how == "folder":
        file.mkdir()
    after = {
        "replace": content,
        "truncate": before[:at],
        "flip": before[:at] + bytes([before[at] ^ (content[0] or 1)]) + before[at + 1 :],
        "insert": before[:at] + content + before[at:],
        "deep": b"[" * 100_000,
    }
    if how in after:
        file.write_bytes(after[how])


def loaded(folder: Path) -> tuple[int | None, list[str]]:
    """The step that is gone on with, after checking that its state is the one that was saved; what was warned of."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        try:
            found = checkpoint.load(folder)
        except ValueError as error:
            return None, [str(error)]
    assert found is not None
    step, state = found
    assert equal(state, STATES[step])
    return step, [str(warning.message) for warning in heard]


def check_damaged(saved: Path, newest: list[Damage], older: list[Damage]) -> None:
    """Whatever happens to its files, a checkpoint is loaded as it was saved or passed over, and that is said."""
    with scratch() as folder:
        shutil.copytree(saved, folder / "checkpoints")
        places = {step: folder / "checkpoints" / f"step-{step:09d}" for step in STATES}
        for step, harm in ((8, newest), (3, older)):
            for what in harm:
                if (places[step] / what[1]).is_file() and (places[step] / what[1]).stat().st_size:
                    damage(places[step], what)
        step, told = loaded(folder / "checkpoints")
        if step == 3:
            assert len(told) == 1 and "step 8" in told[0]
        if step is None:
            assert newest and older and "damaged" in told[0]


@SHORT
@given(st.lists(damages, max_size=2), st.lists(damages, max_size=1))
def test_a_damaged_checkpoint_is_passed_over(saved, newest, older):
    """Bytes lost, changed, added, exchanged: the state saved, or the one before with a warning, or an error."""
    check_damaged(saved, newest, older)


@pytest.mark.soak
@LONG
@given(st.lists(damages, max_size=2), st.lists(damages, max_size=2))
def test_damaged_checkpoints_are_passed_over_for_long(saved, newest, older):
    """The same, many times."""
    check_damaged(saved, newest, older)


def put(place: Path, content: bytes, step: int) -> None:
    """Another state.pt, with a manifest that vouches for it: what somebody who means harm would write."""
    (place / "state.pt").write_bytes(content)
    manifest = {"step": step, "sha256": hashlib.sha256(content).hexdigest(), "size": len(content), "erlangen": "0.1.0"}
    (place / "manifest.json").write_text(json.dumps(manifest))


def check_signed(saved: Path, content: bytes) -> None:
    """A file that is no state is passed over even if its checksum is right."""
    with scratch() as folder:
        shutil.copytree(saved, folder / "checkpoints")
        put(folder / "checkpoints" / "step-000000008", content, 8)
        step, told = loaded(folder / "checkpoints")
        assert step == 3 and any("step 8" in text for text in told)


@st.composite
def broken_states(draw: st.DrawFn) -> bytes:
    """Bytes, pickles of plain values, and states of which a part is lost or garbled inside the archive."""
    kind = draw(st.sampled_from(["bytes", "pickle", "cut", "member"]))
    if kind == "bytes":
        return draw(st.binary(max_size=200))
    if kind == "pickle":
        return pickle.dumps(draw(JSON), protocol=draw(st.integers(0, 5)))
    buffer = io.BytesIO()
    torch.save(STATES[8], buffer)
    content = buffer.getvalue()
    if kind == "cut":
        return content[: draw(st.integers(0, len(content) - 1))]
    source, target = zipfile.ZipFile(io.BytesIO(content)), io.BytesIO()
    names = source.namelist()
    changed = draw(st.sampled_from([name for name in names if name.endswith("data.pkl")]))
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in names:
            archive.writestr(name, draw(st.binary(max_size=60)) if name == changed else source.read(name))
    return target.getvalue()


@SHORT
@given(broken_states())
def test_a_state_that_is_none_is_passed_over(saved, content):
    """With a checksum that is right."""
    check_signed(saved, content)


@pytest.mark.soak
@LONG
@given(broken_states())
def test_states_that_are_none_are_passed_over_for_long(saved, content):
    """The same, many times."""
    check_signed(saved, content)


class Bomb:
    """What a pickle of it would call when it is loaded."""

    def __init__(self, call: Callable[..., object], *args: object) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call, self.args


def bombs(mark: Path) -> dict[str, Bomb]:
    """Ways to leave a mark."""
    return {
        "shell": Bomb(os.system, f"touch {mark}"),
        "eval": Bomb(eval, f"__import__('pathlib').Path({str(mark)!r}).touch()"),
        "exec": Bomb(exec, f"import pathlib; pathlib.Path({str(mark)!r}).touch()"),
        "method": Bomb(Path.touch, mark),
        "import": Bomb(getattr, Bomb(__import__, "os"), "system"),
        "ours": Bomb(stored, mark.parent),
        "torch": Bomb(torch.load, str(mark)),
    }


@pytest.mark.parametrize("kind", list(bombs(Path())))
@pytest.mark.parametrize("packed", ["archive", "pickle", "legacy", "deep"])
def test_nothing_in_a_checkpoint_is_run(kind, packed, saved, tmp_path):
    """A pickle that would call something is passed over, wherever it lies, its checksum being right."""
    shutil.copytree(saved, tmp_path / "checkpoints")
    mark, buffer = tmp_path / "mark", io.BytesIO()
    bomb: Any = bombs(mark)[kind]
    if packed == "pickle":
        buffer.write(pickle.dumps(bomb))
    else:
        state = bomb if packed != "deep" else {**STATES[8], "probes": {"a": [bomb]}}
        torch.save(state, buffer, _use_new_zipfile_serialization=packed != "legacy")
    put(tmp_path / "checkpoints" / "step-000000008", buffer.getvalue(), 8)
    step, told = loaded(tmp_path / "checkpoints")
    assert step == 3 and any("step 8" in text for text in told) and not mark.exists()


@pytest.mark.parametrize("kind", ["shell", "eval", "exec", "method"])
def test_the_bombs_would_go_off(kind, tmp_path):
    """What the test above relies on: unpickled without care, they leave the mark."""
    pickle.loads(pickle.dumps(bombs(tmp_path / "mark")[kind]))
    assert (tmp_path / "mark").exists()


# nothing between: what fits into no memory is refused, what almost does would be tried
INTEGERS = st.sampled_from([-(2**70), -1, 0, 1, 2, 3, 16, 2**62, 10**30]).map(str)
FLOATS = st.sampled_from(["nan", "-inf", "inf", "1e400", "-1", "-0.0", "0", "1e-320", "0.5", "1", "3", "1e30"])
ANY = st.one_of(INTEGERS, FLOATS, st.sampled_from(["None", "True", "", "digits", "small"]), st.text(max_size=12))


@st.composite
def options(draw: st.DrawFn, values: dict[str, Any]) -> list[str]:
    """An option of a recipe with what it might take, or with anything."""
    name = draw(st.sampled_from(sorted(values)))
    place, _, last = name.replace("_", "-").rpartition(".")
    value = values[name]
    flag = "--" + ".".join(part for part in (place, f"no-{last}" if value is True else last) if part)
    if isinstance(value, bool):
        return [flag]
    sample = value[0] if isinstance(value, list) else value
    fitting = FLOATS if isinstance(sample, float) else INTEGERS if isinstance(sample, int) else ANY
    fitting = st.one_of(fitting, fitting, ANY)
    return [flag, *(draw(fitting) for _ in (value if isinstance(value, list) else [value]))]


@st.composite
def commands(draw: st.DrawFn) -> list[str]:
    """A recipe and what is typed after it."""
    recipe = draw(st.sampled_from(["simclr", "byol", "quickstart-duet"]))
    values = {k: v for k, v in flat(resolved(RECIPES[recipe])).items() if not k.endswith(("class", "groups"))}
    others = st.sampled_from(["--out", "--resume", "--slurm", "--help", "--", "-x", "--train", "--train.foo"])
    words = st.one_of(options(values), options(values), options(values), st.lists(others | ANY, max_size=2))
    return [recipe, *(word for some in draw(st.lists(words, max_size=3)) for word in some)]


def check_command(command: list[str]) -> None:
    """A plan or the help, or exit status 2 and one line; nothing is written."""
    out, err = io.StringIO(), io.StringIO()
    with scratch() as folder, pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["erlangen", "train", *command[:1], "--dry-run", *command[1:]])
        try:
            cli.main()
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        assert list(folder.iterdir()) == []
    if status == 2:
        assert err.getvalue().startswith("erlangen: error: ") and err.getvalue().count("\n") == 1
        assert out.getvalue() == ""
    else:
        assert status == 0 and out.getvalue() and err.getvalue() == ""


@settings(SHORT, max_examples=6)
@given(commands())
def test_any_arguments_are_a_plan_or_one_line(command):
    """Whatever is typed after a recipe."""
    check_command(command)


@pytest.mark.soak
@settings(LONG, max_examples=150)
@given(commands())
def test_any_arguments_are_a_plan_or_one_line_for_long(command):
    """The same, many times."""
    check_command(command)


FIELDS = sorted(flat(json.loads(json.dumps(resolved(RECIPES["duet-simclr"])))))
edits = st.one_of(
    st.binary(max_size=200), st.lists(st.tuples(st.sampled_from(FIELDS), st.just(...) | JSON), max_size=3)
)


def check_recipe(edit: bytes | list[tuple[str, Any]]) -> None:
    """A recipe, or an error that names the file."""
    values = json.loads(json.dumps(resolved(RECIPES["duet-simclr"])))
    for path, new in edit if isinstance(edit, list) else []:
        *above, last = path.split(".")
        place = values
        for name in above:
            place = place[name]
        if new is ...:
            place.pop(last, None)
        else:
            place[last] = new
    content = edit if isinstance(edit, bytes) else json.dumps({"command": [], "values": values}).encode()
    with scratch() as folder:
        (folder / "recipe.json").write_bytes(content)
        try:
            assert isinstance(stored(folder), Recipe)
        except ValueError as error:
            assert str(folder / "recipe.json") in str(error)


@SHORT
@given(edits)
def test_any_recipe_json_is_a_recipe_or_an_error(edit):
    """Bytes, or a recipe in which values and classes are exchanged or missing."""
    check_recipe(edit)


@pytest.mark.soak
@LONG
@given(edits)
def test_any_recipe_json_is_a_recipe_or_an_error_for_long(edit):
    """The same, many times."""
    check_recipe(edit)


def encoded(size: tuple[int, int], mode: str, kind: str) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, size, 77).save(buffer, kind)
    return buffer.getvalue()


def vast(width: int, height: int) -> bytes:
    """A PNG whose header declares so many pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk)) + b"\0" * 30


WHOLE = [
    encoded((9, 7), "RGB", "PNG"),
    encoded((5, 12), "L", "JPEG"),
    encoded((1, 1), "P", "GIF"),
    encoded((3, 3), "I;16", "PNG"),
]
contents = st.one_of(
    st.sampled_from(WHOLE),
    st.sampled_from(WHOLE),
    st.sampled_from(WHOLE).flatmap(lambda whole: st.integers(0, len(whole)).map(lambda end: whole[:end])),
    st.sampled_from([b"", vast(2**31 - 1, 2**31 - 1), vast(10**6, 1), vast(0, 0)]),
    st.binary(max_size=80),
)
parts = st.sampled_from(["train", "test", "val", "a", "b", " ", "-", "...", "\n", "ü", "日本", "\udcff", "x.png"])
suffixes = st.sampled_from([".png", ".png", ".JPG", ".gif", ".txt", ""])
files = st.tuples(st.lists(parts, max_size=3), parts, suffixes, contents)
links = st.tuples(st.lists(parts, max_size=3), parts, suffixes, st.sampled_from(["..", ".", "nowhere", "train"]))
trees = st.lists(st.one_of(files, files, links), max_size=6)


def check_folder(tree: list[tuple[list[str], str, str, bytes | str]], kind: str) -> None:
    """A data set of whole images of one size, or an error that names a path."""
    with scratch() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's, of large and odd images
        for above, name, suffix, content in tree:
            place = folder.joinpath(*above) / (name + suffix)
            try:
                place.parent.mkdir(parents=True, exist_ok=True)
                if isinstance(content, bytes):
                    place.write_bytes(content)
                else:
                    place.symlink_to(content)
            except OSError:
                continue  # a second one of that name, below a file, through a link that leads nowhere
        try:
            data = open_dataset(f"{kind}:{folder}", image_size=8)
        except ValueError as error:
            assert str(folder) in str(error)
            return
    assert isinstance(data, Data)
    for split in [data.train, *([data.test] if data.test else [])]:
        assert split.images.dtype == torch.uint8 and split.images.shape[1:] in ((1, 8, 8), (3, 8, 8))
        assert split.labels is None or len(split.labels) == len(split) > 0


kinds = st.sampled_from(["folder", "native"])


@settings(SHORT, max_examples=40)
@given(trees, kinds)
def test_any_folder_is_data_or_an_error(tree, kind):
    """Images, what only looks like them, odd names, links in circles."""
    check_folder(tree, kind)


@pytest.mark.soak
@LONG
@given(trees, kinds)
def test_any_folder_is_data_or_an_error_for_long(tree, kind):
    """The same, many times."""
    check_folder(tree, kind)
