"""Strips of pictures: an image at some points of each sweep, to be seen beside what was measured."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor

from erlangen.cli.naming import file_name
from erlangen.data.files import jpeg
from erlangen.disk import write_whole
from erlangen.measures.invariances import axis
from erlangen.measures.synthetic import views_at
from erlangen.transforms.sweeps import Sweep

SHOWN, SIDE = 16, 96  # points of a sweep, and pixels of a picture at least


def written(image: UInt8[Tensor, "1 c h w"], sweeps: Mapping[str, Sweep], folder: Path) -> dict[str, Any]:
    """One file for each sweep, its pictures side by side; by name its points and the size of a picture.

    The points are taken evenly in the order of `axis`, where nothing is done among them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    zoom = -(-SIDE // image.shape[-1])
    found = {}
    for name, sweep in sweeps.items():
        at = points(sweep)
        pictures = torch.cat([views_at(image, sweep, point)[0] for point in at], 2)
        pictures = pictures.repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
        write_whole(folder / f"{file_name(name)}.jpg", jpeg((255 * pictures.clamp(0, 1)).round().to(torch.uint8)))
        height, width = (zoom * side for side in image.shape[-2:])
        found[name] = {"points": at, "width": width, "height": height}
    return found


def points(sweep: Sweep) -> list[int]:
    """At most 16 points of a sweep, in the order of the axis."""
    where = axis(sweep)
    order = torch.tensor(where["values"]).argsort(stable=True)
    shown: list[int] = order[torch.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().long()].tolist()
    if where["identity"] is None:
        return shown
    nearest = int((torch.tensor(where["values"]) - where["identity"]).abs().argmin())
    if nearest not in shown:
        closest = min(range(len(shown)), key=lambda i: abs(where["values"][shown[i]] - where["values"][nearest]))
        shown[closest] = nearest
    return shown


def strips_in(folder: Path, strips: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of those that there are."""
    files = {name: folder / f"{file_name(name)}.jpg" for name in strips}
    return {name: path.read_bytes() for name, path in files.items() if path.exists()}
