"""What is known of images besides their classes, as the targets of a regression."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.data import causal3dident, shapes, shapes3d, threediebench
from erlangen.data.base import Source
from erlangen.names import lookup, unknown
from erlangen.spaces import Space

SPACES: Mapping[str, Mapping[str, Space]] = {
    "shapes": shapes.SPACES,
    "shapes-upright": shapes.SPACES,
    "shapes3d": shapes3d.SPACES,
    "3diebench": threediebench.SPACES,
}
TEN = (  # of Causal3DIdent, in the order of its files: what Ericsson et al. (2021) predict
    *("position x", "position y", "position z", "angle x", "angle y", "angle z"),
    *("spotlight angle", "object hue", "spotlight hue", "background hue"),
)
assert len(TEN) == causal3dident.COLUMNS


def targets(name: str, split: Source, only: str | None = None) -> dict[str, Float[Tensor, "n _"]]:
    """Of the latents of a split of the data set `name`, all or one, what a regression predicts.

    Angles and hues are embedded, so that both ends of a circle are one; of Causal3DIdent there are its ten columns as
    they are, also called by their number; latents of unknown data are taken as they are. `ValueError` for data without
    latents, and for one that they lack.
    """
    latents: Mapping[str, Tensor] = getattr(split, "latents", None) or {}
    if name == "causal3dident":
        found = {TEN[i]: column for i, column in enumerate(torch.split(latents["columns"], 1, dim=1))}
        only = TEN[int(only)] if only is not None and only.isdigit() and int(only) < len(TEN) else only
    else:
        spaces = SPACES.get(name.partition(":")[0], {})
        known = {part: x for part, x in latents.items() if not spaces or part in spaces}
        found = {part: spaces[part].embed(x) if part in spaces else x for part, x in known.items()}
    if not found:
        raise unknown("data set with latents", name, (*SPACES, "causal3dident"))
    return found if only is None else {only: lookup("target", only, found)}
