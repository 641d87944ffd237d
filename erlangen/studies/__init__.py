"""Studies: several recipes, one table."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from erlangen.studies import equivariance, generation, groups
from erlangen.train import Observer

Tables = Mapping[str, Sequence[Mapping[str, object]]]  # by title


@runtime_checkable
class Run(Protocol):
    """Trains what is missing below the folder `out`, writes NAME.json and NAME.html there, returns what to print."""

    def __call__(self, out: Path, seeds: Sequence[int], fast: bool, observers: Sequence[Observer]) -> Tables: ...


@dataclass(frozen=True)
class Study:
    line: str  # what it asks
    run: Run


STUDIES: Mapping[str, Study] = {
    "equivariance": Study("what 11 methods keep of shapes and shapes3d, whose latents are known", equivariance.run),
    "groups": Study("what it costs SimCLR, E-SSL and DUET to keep one transformation", groups.run),
    "generation": Study("images made from representations, turned by rolling DUET's group axis", generation.run),
}
