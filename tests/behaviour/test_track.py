"""The numbers of a run in TensorBoard and Weights & Biases; the key of the latter nowhere but there."""

import json
import socket
import sys
from types import SimpleNamespace

import pytest

from erlangen.track import tracker

RECIPE = {"method": {"class": "SimCLR", "temperature": 0.2}, "data": "digits"}
KEY = "0123456789abcdef" * 3


def points(folder, tag="loss"):
    """Steps and values of a scalar as TensorBoard itself reads them."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def test_tensorboard_has_every_number_once(tmp_path):
    """Each step and value of each name is there, and the recipe as text."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tracker("tensorboard", tmp_path, RECIPE) as log:
        assert not list(tmp_path.iterdir())  # a run that never starts leaves nothing behind
        for step in (2, 4, 6):
            log(step, {"loss": 1 / step, "lr": step * 0.5})
    assert points(tmp_path) == [(2, 0.5), (4, 0.25), (6, pytest.approx(1 / 6))]
    assert points(tmp_path, "lr") == [(2, 1.0), (4, 2.0), (6, 3.0)]
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    (text,) = events.Tensors("recipe/text_summary")
    assert '"temperature": 0.2' in text.tensor_proto.string_val[0].decode()


def test_tensorboard_forgets_what_came_after_the_checkpoint(tmp_path):
    """A run killed at step 11 and resumed from 6 has one point at each step, that of the resumed run."""
    first = tracker("tensorboard", tmp_path, RECIPE)
    log = first.__enter__()
    for step in (2, 4, 6, 8, 10):
        log(step, {"loss": 1.0})
    assert [step for step, _ in points(tmp_path)] == [2, 4, 6, 8, 10]  # on the disk, though nothing was closed
    with tracker("tensorboard", tmp_path, RECIPE) as log:
        for step in (8, 10, 12):
            log(step, {"loss": 2.0})
    assert points(tmp_path) == [(2, 1.0), (4, 1.0), (6, 1.0), (8, 2.0), (10, 2.0), (12, 2.0)]
    first.__exit__(None, None, None)


def test_nothing_is_tracked_unless_asked(tmp_path):
    """Without a kind there is no tracker and no file."""
    with tracker(None, tmp_path, RECIPE) as log:
        assert log is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind, module", [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_a_missing_package_is_named(kind, module, tmp_path, monkeypatch):
    """Before the first step, with the command that installs it."""
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"package {kind}: pip install erlangen\[track\]"):
        tracker(kind, tmp_path, RECIPE).__enter__()


class FakeWandb:
    """Records what it is told; a run is the module itself."""

    def __init__(self, default_server: str) -> None:
        self.default_server = default_server
        self.started, self.logged, self.finished = [], [], []
        self.refusal = None
        self.in_use, self.broken = False, False

    def Settings(self, **values):
        return SimpleNamespace(**{"base_url": self.default_server, **values})

    def teardown(self):
        self.in_use = False

    def init(self, **values):
        if self.refusal and values["mode"] == "online":
            self.in_use = True
            raise RuntimeError(self.refusal)
        assert not self.in_use, "run ID is in use"
        self.started.append(values)
        return self

    def log(self, numbers, step):
        if self.broken:
            raise BrokenPipeError
        self.logged.append((step, numbers))

    def finish(self, exit_code):
        if self.broken:
            raise BrokenPipeError
        self.finished.append(exit_code)


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    """A fake wandb whose server listens on this machine; no credentials; working directory and home are empty."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        fake = FakeWandb(f"http://127.0.0.1:{server.getsockname()[1]}")
        monkeypatch.setitem(sys.modules, "wandb", fake)
        names = ("API_KEY", "ENTITY", "PROJECT", "MODE", "BASE_URL")
        for name in [*(f"WANDB_{name}" for name in names), "NETRC", "http_proxy", "HTTP_PROXY"]:
            monkeypatch.delenv(name, raising=False)
        for name in ("home", "work", "run"):
            (tmp_path / name).mkdir()
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        monkeypatch.chdir(tmp_path / "work")
        yield fake


def texts(folder):
    return [path.read_text() for path in folder.rglob("*") if path.is_file()]


def test_wandb_goes_on_under_the_same_id(wandb, tmp_path, monkeypatch):
    """Two starts in one folder are one run: same id, project and entity; every number reaches it; each is finished."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_ENTITY", "team")
    run = tmp_path / "run"
    with tracker("wandb", run, RECIPE) as log:
        assert not wandb.started and not list(run.iterdir())
        log(2, {"loss": 1})
        log(4, {"loss": 0.5})
    monkeypatch.setenv("WANDB_ENTITY", "another")
    with pytest.raises(KeyboardInterrupt), tracker("wandb", run, RECIPE) as log:
        log(6, {"loss": 0.25})
        raise KeyboardInterrupt
    first, second = wandb.started
    assert first["id"] == second["id"] == json.loads((run / "wandb.json").read_text())["id"]
    assert (first["project"], first["entity"]) == (second["project"], second["entity"]) == ("erlangen", "team")
    assert first["mode"] == "online" and first["resume"] == "allow" and first["config"] == RECIPE
    assert first["dir"] == str(run) and first["settings"].console == "off" and first["settings"].silent
    assert wandb.logged == [(2, {"loss": 1.0}), (4, {"loss": 0.5}), (6, {"loss": 0.25})]
    assert wandb.finished == [0, 1]
    other = tmp_path / "other"
    other.mkdir()
    with tracker("wandb", other, RECIPE) as log:
        log(1, {"loss": 1.0})
    assert wandb.started[-1]["id"] != first["id"]


def test_the_key_of_a_file_reaches_wandb_and_no_file(wandb, tmp_path):
    """From `.wandb.yaml`, that of the working directory before that at home; nothing below the run has it."""
    (tmp_path / "home" / ".wandb.yaml").write_text("api_key: another\n")
    (tmp_path / "work" / ".wandb.yaml").write_text(f"api_key: {KEY}\nproject: turned\n")
    with tracker("wandb", tmp_path / "run", RECIPE) as log:
        log(2, {"loss": 1.0})
    (started,) = wandb.started
    assert started.pop("settings").api_key == KEY and started["project"] == "turned"
    assert KEY not in repr(started)
    assert texts(tmp_path / "run") and not any(KEY in text for text in texts(tmp_path / "run"))


@pytest.mark.parametrize("mode", ["offline", "disabled"])
def test_wandb_mode_has_the_last_word(mode, wandb, tmp_path, monkeypatch):
    """WANDB_MODE is obeyed, without a word, and the key stays here."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_MODE", mode)
    with tracker("wandb", tmp_path / "run", RECIPE) as log:
        log(2, {"loss": 1.0})
    assert wandb.started[0]["mode"] == mode and not hasattr(wandb.started[0]["settings"], "api_key")


def test_wandb_is_offline_without_a_key(wandb, tmp_path):
    """It says so, and what to do; after `wandb login` it is online."""
    with (
        tracker("wandb", tmp_path / "run", RECIPE) as log,
        pytest.warns(UserWarning, match="no key: set WANDB_API_KEY"),
    ):
        log(2, {"loss": 1.0})
    assert wandb.started[0]["mode"] == "offline"
    (tmp_path / "home" / ".netrc").write_text(f"machine api.wandb.ai login user password {KEY}\n")
    (tmp_path / "home" / ".netrc").chmod(0o600)
    with tracker("wandb", tmp_path / "run", RECIPE) as log:
        log(4, {"loss": 1.0})
    assert wandb.started[1]["mode"] == "online" and not hasattr(wandb.started[1]["settings"], "api_key")


def test_wandb_is_offline_where_the_server_is_not(wandb, tmp_path, monkeypatch):
    """With a key, and nothing that listens at WANDB_BASE_URL, or at the proxy before it."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        closed = f"http://127.0.0.1:{server.getsockname()[1]}"
    monkeypatch.setenv("WANDB_BASE_URL", closed)
    with tracker("wandb", tmp_path / "run", RECIPE) as log, pytest.warns(UserWarning, match=f"{closed} did not answer"):
        log(2, {"loss": 1.0})
    monkeypatch.setenv("WANDB_BASE_URL", "http://far.example")
    monkeypatch.setenv("http_proxy", wandb.default_server)
    with tracker("wandb", tmp_path / "run", RECIPE) as log:
        log(4, {"loss": 1.0})
    assert [started["mode"] for started in wandb.started] == ["offline", "online"]
    assert wandb.started[1]["settings"].base_url == "http://far.example"


def test_a_refusal_makes_wandb_offline_and_is_told_without_the_key(wandb, tmp_path, monkeypatch):
    """A server that does not take the run stops no training; the warning has its words, the key struck from them."""
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    wandb.refusal = f"bad key {KEY}"
    with tracker("wandb", tmp_path / "run", RECIPE) as log, pytest.warns(UserWarning, match="bad key") as told:
        log(2, {"loss": 1.0})
    assert KEY[:8] not in str(told[0].message)
    assert wandb.started[0]["mode"] == "offline" and wandb.logged == [(2, {"loss": 1.0})]


def test_wandb_that_breaks_stops_no_training_and_hides_no_signal(wandb, tmp_path, monkeypatch):
    """Its errors while logging and finishing are warnings; what stops the run is raised all the same."""
    monkeypatch.setenv("WANDB_MODE", "offline")
    wandb.broken = True
    with (
        pytest.warns(UserWarning, match=r"lost step 2 \(BrokenPipeError"),
        pytest.warns(UserWarning, match="not ended well"),
        pytest.raises(KeyboardInterrupt),
        tracker("wandb", tmp_path / "run", RECIPE) as log,
    ):
        log(2, {"loss": 1.0})
        raise KeyboardInterrupt
    assert len(wandb.started) == 1


@pytest.mark.parametrize(
    "text, message",
    [
        (f"api_key: [{KEY}\n", "is no YAML at line 2"),
        (f"apikey: {KEY}\n", "something else than credentials"),
        (f"{KEY}\n", "something else than credentials"),
        (f"api_key: {KEY}\nproject: 7\n", "project must be text"),
    ],
)
def test_a_wrong_credentials_file_is_told_without_its_content(text, message, wandb, tmp_path):
    """Before the first step, with the names that are allowed."""
    (tmp_path / "work" / ".wandb.yaml").write_text(text)
    with pytest.raises(ValueError, match=f"{message}.*api_key, entity, project") as raised:
        tracker("wandb", tmp_path / "run", RECIPE).__enter__()
    assert KEY[:8] not in str(raised.value) and ".wandb.yaml" in str(raised.value)
