"""No array of a golden file is left out: each is claimed by the tests that look at it, in the `CLAIMS` of their module.

CLAIMS: files of these names -> an expression for the names of the arrays. One file may be claimed by several modules.
"""

import re
from collections.abc import Iterable
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import vectors
from vectors import FOLDER, Case, load

HERE = Path(__file__).parent
MODULES = [import_module(path.stem) for path in sorted(HERE.glob("test_*.py")) if path.stem != Path(__file__).stem]
CLAIMS = [claim for module in MODULES for claim in module.CLAIMS.items()]


def patterns(file: str, claims: Iterable[tuple[str, str]] = CLAIMS) -> list[str]:
    return [pattern for files, pattern in claims if fnmatch(file, files)]


def stray(file: str, names: Iterable[str], claims: Iterable[tuple[str, str]] = CLAIMS) -> list[str]:
    """The arrays that nobody claims."""
    claimed = patterns(file, claims)
    return [name for name in names if not any(re.fullmatch(pattern, name) for pattern in claimed)]


@pytest.mark.parametrize("file", sorted(path.name for path in FOLDER.glob("*.npz") if patterns(path.name)))
def test_every_array_is_claimed(file):
    """Of the files that a test looks at."""
    assert not (left := stray(file, load(file))), f"{file}: no test looks at {left}"


def test_every_file_is_claimed():
    """The copy beside the tests holds no file that none of them looks at."""
    names = {path.name for path in (HERE / "data").glob("*.npz")}
    assert names and not {name for name in names if not patterns(name)}


def test_a_renamed_array_is_stray():
    """Claims are whole names, of the module's own files; a file may have several."""
    claims = [("a*.npz", r"c\d+_(z|grad_z)"), ("a_1.npz", "loss"), ("b*.npz", ".*")]
    assert stray("a_1.npz", ["c0_z", "loss", "c0_grad_zz", "c_z"], claims) == ["c0_grad_zz", "c_z"]
    assert stray("a_2.npz", ["c12_grad_z", "loss"], claims) == ["loss"] and stray("c.npz", ["z"], claims) == ["z"]


def test_a_missing_array_fails(tmp_path, monkeypatch):
    """A case that lacks what a test asks for is no case to skip; what it may lack is asked for before."""
    np.savez(tmp_path / "lacking.npz", c0_z=np.ones(2))
    monkeypatch.setattr(vectors, "FOLDER", tmp_path)
    case = Case("lacking.npz", "c0_")
    assert case["z"].sum() == 2 and case.holds("z") and not case.holds("grad_z")
    for ask in (lambda: case["grad_z"], lambda: case.value("loss"), lambda: case.under("log.")):
        with pytest.raises(pytest.fail.Exception, match=r"lacking\.npz lacks c0_(grad_z|loss|log\.\*)"):
            ask()
