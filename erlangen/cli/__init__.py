"""The command line: quickstart, train, replay, probe, measure, study, report, show, list."""

import shlex
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from erlangen.cli.catalogue import first_line, run_list
from erlangen.cli.measuring import run_measure
from erlangen.cli.options import List, Measure, Probe, Quickstart, Replay, Report, Show, Study, Train
from erlangen.cli.parsing import parsed
from erlangen.cli.pictures import run_replay, run_show
from erlangen.cli.probing import run_probe
from erlangen.cli.progress import progress
from erlangen.cli.training import run_train, status
from erlangen.names import lookup
from erlangen.report import run_report
from erlangen.report.page import text_table
from erlangen.studies import STUDIES
from erlangen.studies.quickstart import quickstart


def run_quickstart(args: list[str]) -> None:
    command = parsed(Quickstart, args, "quickstart")
    out, start = Path(command.out), time.perf_counter()
    known = (out / "report.json").exists() and not command.fresh
    try:
        with progress() as bar:
            report = quickstart(out, command.seed, command.fresh, (bar,))
    except KeyboardInterrupt as error:
        again = f"erlangen quickstart --out {shlex.quote(command.out)} --seed {command.seed}"
        print(f"\n{str(error) or 'stopped'}; go on with: {again}", file=sys.stderr)
        sys.exit(status(error))
    print(text_table(report["rows"]) + "\n")
    for claim in report["claims"]:
        print(f"{'yes' if claim['holds'] else 'NO '}  {claim['text']}")
    done = "made before, --fresh makes it again" if known else f"{time.perf_counter() - start:.0f} s"
    print(f"\nreport ({done}): {out / 'report.html'}")


def run_study(args: list[str]) -> None:
    command = parsed(Study, args, "study")
    study = lookup("study", command.name, STUDIES)
    if not command.seeds or len(set(command.seeds)) < len(command.seeds):
        raise ValueError(f"`seeds` (={command.seeds}) must name one at least, and each once")
    out = Path(command.out or f"runs/{command.name}{'-fast' * command.fast}")
    if out.exists() and not out.is_dir():
        raise ValueError(f"`out` (={out}) is a file: name a folder")
    out.mkdir(parents=True, exist_ok=True)
    with progress() as bar:
        tables = study.run(out, command.seeds, command.fast, (bar,))
    for title, rows in tables.items():
        print(f"{title}\n{text_table(rows)}\n")
    print(f"numbers and page: {out / command.name}.json, {out / command.name}.html")


def run_report_(args: list[str]) -> None:
    command = parsed(Report, args, "report")
    print(run_report(Path(command.run)))


COMMANDS: Mapping[str, tuple[Callable[[list[str]], None], type[Any]]] = {
    "quickstart": (run_quickstart, Quickstart),
    "train": (run_train, Train),
    "replay": (run_replay, Replay),
    "probe": (run_probe, Probe),
    "measure": (run_measure, Measure),
    "study": (run_study, Study),
    "report": (run_report_, Report),
    "show": (run_show, Show),
    "list": (run_list, List),
}


def main() -> None:
    """One line and exit status 2 for a mistake of the user's, never a traceback."""
    name, *args = sys.argv[1:] or ["--help"]
    if name in ("-h", "--help"):
        lines = [f"  {command:<12} {first_line(cls)}" for command, (_, cls) in COMMANDS.items()]
        print("\n".join(["usage: erlangen COMMAND [--help]", "", *lines]))
        return
    try:
        with warnings.catch_warnings():
            warnings.showwarning = warned
            lookup("command", name, COMMANDS)[0](args)
    except (ValueError, OSError) as error:
        refused(str(error))
    except (MemoryError, OverflowError, RuntimeError, TypeError) as error:
        if not too_large(error):
            raise
        refused(f"a value is too large for this machine: {(str(error) or type(error).__name__).splitlines()[0]}")
    except KeyboardInterrupt as error:
        print(f"\nerlangen: {str(error) or 'stopped'}", file=sys.stderr)
        sys.exit(status(error))


def warned(message: Warning | str, *_: object, **__: object) -> None:
    """A warning in one line, for it is about the data and not about a line of code."""
    print(f"erlangen: warning: {' '.join(str(message).split())}", file=sys.stderr)


def refused(why: str) -> NoReturn:
    print(f"erlangen: error: {' '.join(why.split())}", file=sys.stderr)
    sys.exit(2)


def too_large(error: Exception) -> bool:
    """Whether Python or torch says of a number, or of the memory for it, that it has no room: torch has no class."""
    told = ("overflow", "out of memory", "allocate memory")
    return isinstance(error, MemoryError | OverflowError) or any(words in str(error).lower() for words in told)
