"""What the documents show is what the library does."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import BEGIN, END, FEATURES

from erlangen.methods import discover

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCKS = [
    (path, language, code)
    for path in DOCUMENTS
    for language, code in re.findall(r"```(python|console)\n(.*?)```", path.read_text(), re.S)
]
# One process for all commands of a block, as `erlangen` would run each: importing takes longer than most.
COMMANDS = """
import shlex, sys
from erlangen.cli import main
for command in sys.argv[1:]:
    print(command, file=sys.stderr)
    sys.argv = shlex.split(command)
    main()
"""


def commands(code: str) -> list[str]:
    return [line.removeprefix("$ ") for line in code.splitlines() if line.startswith("$ ")]


def check_runs(script: str, folder: Path, *arguments: str) -> None:
    """In a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments], cwd=folder, capture_output=True, text=True, timeout=400
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "path", [p for p in DOCUMENTS if any((p, "python") == block[:2] for block in BLOCKS)], ids=lambda path: path.name
)
def test_python_blocks_run(path, tmp_path):
    """Every Python block runs as it stands, in an empty folder and knowing nothing of the others."""
    for i, code in enumerate(code for p, language, code in BLOCKS if p == path and language == "python"):
        (tmp_path / f"{i}.py").write_text(code)
    places = sorted(map(str, tmp_path.glob("*.py")))
    script = "import os, runpy, sys, tempfile\nfor place in sys.argv[1:]:\n    os.chdir(tempfile.mkdtemp(dir='.'))\n"
    check_runs(script + "    runpy.run_path(place, run_name='__main__')", tmp_path, *places)


@pytest.mark.parametrize("path, code", [(p, c) for p, language, c in BLOCKS if language == "console"])
def test_commands_run(path, code, tmp_path):
    """Every `erlangen` command of a block runs, in order, in one folder; every `make` target exists."""
    run = []
    for command in commands(code):
        program, *rest = shlex.split(command)
        if program == "make":
            assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text(), re.M), command
        else:
            assert program == "erlangen", command
            run += [command] if rest[0] != "quickstart" else []  # three minutes: run by `make soak`
    if run:
        check_runs(COMMANDS, tmp_path, *run)


def test_documents_are_there_and_short():
    """The README stays within 150 lines and shows both kinds of blocks."""
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150
    assert {language for path, language, _ in BLOCKS if path.name == "README.md"} == {"python", "console"}


def test_pictures_exist():
    """Every picture and page that a document links to is in the repository."""
    for path in DOCUMENTS:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text()):
            assert (path.parent / target).exists(), f"{path.name}: {target}"


def test_the_table_is_the_measured_one():
    """The README's numbers are those of the committed results, seed 0; every claim holds for every seed."""
    reports = json.loads((ROOT / "benchmarks" / "results" / "quickstart.json").read_text())["reports"]
    shown = re.findall(r"^\| (.+) \|$", (ROOT / "README.md").read_text(), re.M)[2:]
    measured = [
        " | ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values())
        for row in reports[0]["rows"]
    ]
    assert shown == measured
    assert len(reports) == 3 and all(claim["holds"] for report in reports for claim in report["claims"])


def test_the_table_of_support_has_every_method():
    """docs/scale.md says of each method what it supports, and nothing is missing (`make matrix` writes it)."""
    made = (ROOT / "docs" / "scale.md").read_text().split(BEGIN)[1].split(END)[0]
    rows = re.findall(r"^\| (\w+) \|(.*)\|$", made, re.M)
    table = {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}
    assert table.pop("method") == list(FEATURES)
    assert set(discover()) == set(table)
    assert all(cells == ["yes"] * len(FEATURES) for cells in table.values())
