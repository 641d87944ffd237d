"""How useful a frozen encoder is: probes whose numbers come with everything that they depend on."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import nn

from erlangen.data.base import Data, Source
from erlangen.features import Features, Preparation, features
from erlangen.names import lookup
from erlangen.probes.experiment import examine
from erlangen.probes.protocols import PROBES, PROTOCOLS, Named
from erlangen.probes.uncertainty import paired

__all__ = ["PROBES", "PROTOCOLS", "Named", "Preparation", "features", "labelled", "paired", "probe"]


def labelled(data: Data) -> tuple[Source, Source]:
    """The two labelled halves that a probe needs; `ValueError` if the data lack one."""
    if data.train.labels is None or data.test is None or data.test.labels is None:
        raise ValueError(f"a probe needs labelled train and test images; data {data.name!r} lack them: name other data")
    return data.train, data.test


def named(probes: Sequence[str] | Mapping[str, Named]) -> dict[str, Named]:
    """Probes and protocols by their names; those that are given as they are stay so."""
    if isinstance(probes, Mapping):
        return dict(probes)
    known = {**PROBES, **PROTOCOLS}
    return {name: lookup("probe", name, known) for name in probes}


def probe(
    encoder: nn.Module,
    data: Data,
    probes: Sequence[str] | Mapping[str, Named] = ("knn", "linear"),
    seed: int = 0,
    seeds: int | None = None,
    budgets: Sequence[float] | None = None,
    target: str | None = None,
    cache: Path | None = None,
) -> dict[str, dict[str, Any]]:
    """What probes find in the features of an encoder, in eval mode, on the test images of `data`, by name.

    Each with `accuracy`, `mean_per_class` and `per_class` (or `r2`, and for landmarks `nme` and `pck`), `interval`
    (95 % bootstrap over test images), `seeds` (mean and standard error), `runs` (every seed and label budget), and
    `protocol`: all that the number depends on.

    `probes` are names of `PROBES` or `PROTOCOLS`, or your own as {name: Named(...)}. Subsets of the labels of the sizes
    `budgets` (fractions), and what is random in a probe, follow from `seed` and the `seeds` - 1 after it. `target`
    names the latents that probes of numbers predict. In the folder `cache`, if given, features are kept.
    """
    source = Features(encoder, data, cache)
    return {
        name: examine(name, one, source, seed, seeds, budgets, target).report for name, one in named(probes).items()
    }
