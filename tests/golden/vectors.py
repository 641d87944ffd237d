"""Golden vectors: numbers that the original code gave. The folder is ERLANGEN_GOLDEN, or the copy beside this file.

A case is a file and the prefix of its arrays. A kind of case that the folder does not hold is skipped by name; a case
that lacks an array, and an array that no test claims (test_claims.py), fail.
"""

import os
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

FOLDER = Path(os.environ.get("ERLANGEN_GOLDEN") or Path(__file__).parent / "data")


@cache
def load(file: str) -> dict[str, np.ndarray]:
    with np.load(FOLDER / file) as arrays:
        return dict(arrays)


@dataclass(frozen=True)
class Case:
    """The arrays of `file` whose names begin with `prefix`; asking for one that is missing fails the test."""

    file: str
    prefix: str = ""

    def __str__(self) -> str:
        return f"{self.file}:{self.prefix}"

    def holds(self, name: str) -> bool:
        """Whether there is an array of this name, or one whose name begins so."""
        return any(key.startswith(self.prefix + name) for key in load(self.file))

    def __getitem__(self, name: str) -> Tensor:
        return torch.from_numpy(np.array(self._array(name)))  # a copy: what is loaded stays as it is

    def value(self, name: str) -> Any:
        """An array without dimensions as a number or a string."""
        return self._array(name).item()

    def under(self, name: str) -> dict[str, Tensor]:
        """The arrays whose names begin with `name`, by what follows."""
        if not self.holds(name):
            pytest.fail(f"{self.file} lacks {self.prefix}{name}*")
        start = self.prefix + name
        return {
            key.removeprefix(start): self[key[len(self.prefix) :]] for key in load(self.file) if key.startswith(start)
        }

    def _array(self, name: str) -> np.ndarray:
        if self.prefix + name not in load(self.file):
            pytest.fail(f"{self.file} lacks {self.prefix}{name}")
        return load(self.file)[self.prefix + name]


def cases(files: str, key: str = "()") -> pytest.MarkDecorator:
    """One test per case in the files of this name; `key` is an expression that matches arrays of every case.

    Its group is the prefix of the case. Without `key` a file is one case.
    """
    found = []
    for path in sorted(FOLDER.glob(files)):
        matches = [re.fullmatch(key, name) for name in ("", *load(path.name))]
        found += [Case(path.name, prefix) for prefix in sorted({m[1] for m in matches if m})]
    absent = pytest.param(None, marks=pytest.mark.skip(reason=f"{FOLDER} holds no {files} with {key}"))
    return pytest.mark.parametrize("case", found or [absent], ids=str)


def check_close(value: Tensor | float, golden: Tensor | float, rtol: float, atol: float) -> None:
    """Fails with both numbers."""
    value, golden = (torch.as_tensor(x, dtype=torch.float64).detach() for x in (value, golden))
    torch.testing.assert_close(value, golden, rtol=rtol, atol=atol)
