"""Where a run's numbers go besides metrics.jsonl: TensorBoard or Weights & Biases. On rank 0 only.

Credentials of the latter: the environment (WANDB_API_KEY, WANDB_ENTITY, WANDB_PROJECT), else `.wandb.yaml` (api_key,
entity, project) in the working directory or at home, else the key of `wandb login`. The key is given to wandb in
memory; nothing here writes or prints it.
"""

import json
import netrc
import os
import secrets
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from erlangen.names import lookup

Tracker = Callable[[int, Mapping[str, float]], None]  # step, values by name

CREDENTIALS = ("api_key", "entity", "project")
PATIENCE = 3.0  # seconds, for the server to answer
SETTINGS = {
    "silent": True,
    "console": "off",
    "finish_timeout": 30.0,  # seconds: a job that is being taken away has not many
    "save_code": False,
    "disable_code": True,
    "disable_git": True,  # whose diff might have `.wandb.yaml` in it
}


def tracker(
    kind: Literal["tensorboard", "wandb"] | None, folder: Path, values: Mapping[str, Any]
) -> AbstractContextManager[Tracker | None]:
    """What takes the numbers of each logged step of the run in `folder`; None if `kind` is None.

    `values` are those of the recipe, kept beside the numbers. Nothing is written before the first call, so that a run
    that never starts leaves nothing behind. wandb is offline, with a warning, where it cannot be online. `ValueError`
    for a package that is missing, a `.wandb.yaml` that cannot be read.
    """
    if kind is None:
        return nullcontext()
    return lookup("tracker", kind, {"tensorboard": _tensorboard, "wandb": _wandb})(folder, values)


@contextmanager
def _tensorboard(folder: Path, values: Mapping[str, Any]) -> Iterator[Tracker]:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise _missing("tensorboard") from None
    writer: SummaryWriter | None = None

    def log(step: int, numbers: Mapping[str, float]) -> None:
        nonlocal writer
        if writer is None:
            # hides what a killed run wrote after the checkpoint from which this one goes on
            writer = SummaryWriter(str(folder / "tensorboard"), purge_step=step)
            writer.add_text("recipe", f"```json\n{json.dumps(values, indent=2)}\n```", step)
        for name, number in numbers.items():
            writer.add_scalar(name, float(number), step)
        writer.flush()

    try:
        yield log
    finally:
        if writer is not None:
            writer.close()


@contextmanager
def _wandb(folder: Path, values: Mapping[str, Any]) -> Iterator[Tracker]:
    try:
        import wandb
    except ImportError:
        raise _missing("wandb") from None
    credentials = _credentials()
    run: Any = None
    exit_code = 1

    def log(step: int, numbers: Mapping[str, float]) -> None:
        nonlocal run
        if run is None:
            run = _start(wandb, folder, values, credentials)
        with _not_worth_a_training(f"has lost step {step}"):
            run.log({name: float(number) for name, number in numbers.items()}, step=step)

    try:
        yield log
        exit_code = 0
    finally:
        with _not_worth_a_training("has not ended well"):
            if run is not None:
                run.finish(exit_code=exit_code)


@contextmanager
def _not_worth_a_training(what: str) -> Iterator[None]:
    """wandb has many kinds of errors: they become warnings, and hide no `Stopped` that is on its way."""
    try:
        yield
    except Exception as error:
        warnings.warn(f"wandb {what} ({type(error).__name__}: {error}); metrics.jsonl has it all", stacklevel=2)


def _missing(package: str) -> ValueError:
    return ValueError(f"`track` (={package!r}) needs the package {package}: pip install erlangen[track]")


@dataclass(frozen=True)
class _Credentials:
    api_key: str | None = field(default=None, repr=False)
    entity: str | None = None
    project: str | None = None


def _credentials() -> _Credentials:
    """From the environment, else from the first `.wandb.yaml`."""
    paths = [place / ".wandb.yaml" for place in (Path.cwd(), Path.home())]
    filed = next((_read(path) for path in paths if path.exists()), {})
    return _Credentials(**{name: os.environ.get(f"WANDB_{name.upper()}") or filed.get(name) for name in CREDENTIALS})


def _read(path: Path) -> Mapping[str, str]:
    """The entries of a `.wandb.yaml`. Errors quote nothing of it: any part of it may be the key."""
    import yaml

    allowed = f"it holds `name: text`, the names among {', '.join(CREDENTIALS)}"
    try:
        found = yaml.safe_load(path.read_text()) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__}): {allowed}") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" at line {mark.line + 1}" if mark else ""
        raise ValueError(f"{path} is no YAML{where}: {allowed}") from None
    if not isinstance(found, dict) or not found.keys() <= set(CREDENTIALS):
        raise ValueError(f"{path} holds something else than credentials of wandb: {allowed}")
    if wrong := [name for name, value in found.items() if not isinstance(value, str)]:
        raise ValueError(f"{path}: {', '.join(wrong)} must be text, in quotes if need be: {allowed}")
    return found


def _start(wandb: Any, folder: Path, values: Mapping[str, Any], credentials: _Credentials) -> Any:
    """The run on the server, or offline, in files below `folder`: begun, or gone on with."""
    server = os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url
    same = _identity(folder / "wandb.json", credentials)

    def start(mode: str) -> Any:
        key = {"api_key": credentials.api_key} if mode == "online" and credentials.api_key else {}
        return wandb.init(
            **same,
            name=folder.resolve().name,
            dir=str(folder),  # wandb adds a folder "wandb"
            config=dict(values),
            mode=mode,
            resume="allow",
            settings=wandb.Settings(base_url=server, **SETTINGS, **key),
        )

    mode = _mode(server, credentials.api_key)
    if mode != "online":
        return start(mode)
    try:
        return start(mode)
    except Exception as error:  # of one of its many kinds
        told = str(error)
    told = told.replace(credentials.api_key, "(key)") if credentials.api_key else told
    _say_offline(f"{server} refuses the run: {told}")
    wandb.teardown()  # for its background process the id is in use
    return start("offline")


def _identity(path: Path, credentials: _Credentials) -> Mapping[str, str | None]:
    """Id, project and entity of the run: made once, so that a resumed run goes on under the same."""
    if not path.exists():
        made = {
            "id": secrets.token_hex(4),
            "project": credentials.project or "erlangen",
            "entity": credentials.entity,
        }
        path.write_text(json.dumps(made, indent=2))
    same: Mapping[str, str | None] = json.loads(path.read_text())
    return same


def _mode(server: str, key: str | None) -> str:
    """Online if there is a key and the server answers; WANDB_MODE has the last word."""
    wanted = os.environ.get("WANDB_MODE", "online")
    if wanted != "online":
        return wanted
    if not key and not _logged_in(server):
        why = "there is no key: set WANDB_API_KEY, write `.wandb.yaml` or run `wandb login`"
    elif not _answers(server):
        why = f"{server} did not answer within {PATIENCE:g} seconds"
    else:
        return "online"
    _say_offline(why)
    return "offline"


def _say_offline(why: str) -> None:
    warnings.warn(f"wandb is offline: {why}; `wandb sync` sends the run later", stacklevel=2)


def _logged_in(server: str) -> bool:
    """Whether `wandb login` has left a key."""
    try:
        known = netrc.netrc(os.environ.get("NETRC") or Path.home() / ".netrc")
    except (OSError, netrc.NetrcParseError):
        return False
    return any(known.authenticators(host) for host in (urlsplit(server).netloc, "api.wandb.ai"))


def _answers(server: str) -> bool:
    """Whether something listens there, or at the proxy before it.

    In a thread, because the look-up of a name cannot be told to hurry.
    """
    url = urlsplit(server)
    proxy = getproxies().get(url.scheme)
    if proxy and not proxy_bypass(url.hostname or ""):
        url = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    reached = []

    def connect() -> None:
        port = url.port or (443 if url.scheme == "https" else 80)
        with suppress(OSError), socket.create_connection((url.hostname or "", port), timeout=PATIENCE):
            reached.append(True)

    waiting = threading.Thread(target=connect, daemon=True)
    waiting.start()
    waiting.join(PATIENCE)
    return bool(reached)
