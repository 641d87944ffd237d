"""Studies: several recipes, one table."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from erlangen.studies import equivariance, generation, groups
from erlangen.train import Observer

Tables = Mapping[str, Sequence[Mapping[str, object]]]  # by title


@dataclass(frozen=True)
class Study:
    """`run(out, seeds, fast, observers)` trains what is missing below `out`, writes NAME.json and NAME.html there."""

    line: str  # what it asks
    run: Callable[[Path, Sequence[int], bool, Sequence[Observer]], Tables]  # returns what to print


STUDIES: Mapping[str, Study] = {
    "equivariance": Study("what 11 methods keep of shapes and shapes3d, whose latents are known", equivariance.run),
    "groups": Study("what it costs SimCLR, E-SSL and DUET to keep one transformation", groups.run),
    "generation": Study("images made from representations, turned by rolling DUET's group axis", generation.run),
}
