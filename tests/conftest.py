"""Shapes of every annotated function are checked while the tests run; what methods support is written into the docs."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side

from pathlib import Path

import jaxtyping
import pytest

PACKAGE = Path(__file__).parents[1] / "erlangen"
LOOPS = {"lbfgs", "logistic", "hinge"}  # of the solvers: checks would take twice as long as thousands of short steps
ROOMS = [f"erlangen.{path.stem}" for path in PACKAGE.iterdir() if path.stem not in ("__init__", "solvers")]
SOLVERS = [f"erlangen.solvers.{path.stem}" for path in (PACKAGE / "solvers").glob("*.py") if path.stem not in LOOPS]
jaxtyping.install_import_hook([*ROOMS, *SOLVERS], "typed.typed")

import torch  # noqa: E402

torch.set_num_threads(1)

FEATURES = ("2 ranks", "FSDP2", "compile", "accumulate", "bf16", "resume")
LONG = ("test_readme.py", "test_quickstart.py", "test_ranks.py", "test_engine.py", "test_imports.py", "test_cli.py")
BEGIN, END = "<!-- made by make matrix -->\n", "<!-- end -->\n"


@pytest.fixture(scope="session", autouse=True)
def features_elsewhere(tmp_path_factory):
    """What the command line keeps of features is not kept where the user's are."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ERLANGEN_CACHE", str(tmp_path_factory.mktemp("features")))
        yield


@pytest.fixture
def unchecked():
    """Without the checks, as a user has it, for what the library itself must refuse."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def pytest_collection_modifyitems(items):
    """A file is the work of one process: those that take longest come first, so that both end together."""
    items.sort(key=lambda item: LONG.index(item.path.name) if item.path.name in LONG else len(LONG))


def pytest_addoption(parser):
    parser.addoption("--matrix", type=Path, help="write which method supports what, by the tests that passed, into it")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A test marked `supports(feature)`, of a method called `name`, says so in its report."""
    report = yield
    mark = item.get_closest_marker("supports")
    if mark and report.when == "call":
        report.user_properties.append(("supports", (item.callspec.params["name"], mark.args[0])))
    return report


def pytest_terminal_summary(terminalreporter, config):
    path = config.getoption("--matrix")
    if path:
        passed = {tuple(value) for report in terminalreporter.stats.get("passed", []) for _, value in supported(report)}
        from erlangen.methods import discover

        names = sorted(discover())
        rows = [["method", *FEATURES], ["---", *[":---:"] * len(FEATURES)]]
        rows += [[name, *("yes" if (name, feature) in passed else "no" for feature in FEATURES)] for name in names]
        before, rest = path.read_text().split(BEGIN)
        table = "".join(f"| {' | '.join(row)} |\n" for row in rows)
        path.write_text(before + BEGIN + table + END + rest.split(END)[1])


def supported(report):
    return [entry for entry in report.user_properties if entry[0] == "supports"]
