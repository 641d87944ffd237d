"""Causal3DIdent (von Kügelgen et al. 2021, arXiv:2106.04619): renderings of seven objects whose ten latents are known.

The ranges of `SPACES` and the angles' units are those of 3DIdent's script, on which this set builds; its own was not
published. Nothing here depends on the ranges.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from types import MappingProxyType

import numpy as np
import torch

from erlangen.data.base import Data
from erlangen.data.files import absent, class_of, images_below
from erlangen.data.streamed import WithLatents
from erlangen.spaces import SO3, Circle, Interval, Space
from erlangen.spaces.rotations import from_euler

Table = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
CLASSES = ("teapot", "hare", "dragon", "cow", "armadillo", "horse", "head")  # in the order of their folders
COLUMNS = 10  # of the files: position x, y, z; angles about x, y, z; spotlight; hues of object, spotlight, background
SPACES: Mapping[str, Space] = MappingProxyType(
    {
        "x": Interval(-3.0, 3.0),
        "y": Interval(-3.0, 3.0),
        "z": Interval(-3.0, 3.0),
        "pose": SO3(limit=math.pi / 2),
        "spotlight": Circle(),  # where it stands on a circle above the object: radians
        "foreground": Circle(period=1.0),  # hue in turns; in the files 2 pi are one
        "spotlight.hue": Circle(period=1.0),
        "background": Circle(period=1.0),
    }
)


def renderings(root: Path, size: int) -> Data:
    """Both splits, streamed, at `size` pixels; `latents` are those of `SPACES`, and the files' own ten as `columns`."""
    home = root / "Causal3DIdent"
    places = [home / "trainset", home / "testset"]
    if not all(place.is_dir() for place in places):
        raise absent(
            "causal3dident",
            home,
            "https://zenodo.org/record/4784282",
            f"trainset/ and testset/, in both a folder of images for each class (images_0/00000.png ... images_6/, "
            f"which are {', '.join(CLASSES)}) and latents_0.npy ... latents_6.npy",
        )
    return Data("causal3dident", *(_split(place, size) for place in places))


def _split(place: Path, size: int) -> WithLatents:
    files = images_below(place)
    found = {name: list(group) for name, group in groupby(files, class_of)}
    if len(found) != len(CLASSES) or "" in found:
        raise ValueError(f"{place} must hold {len(CLASSES)} folders of images and no other images: {', '.join(found)}")
    tables = [_of_class(place / f"latents_{i}.npy", group) for i, group in enumerate(found.values())]
    columns = torch.from_numpy(np.concatenate(tables)).float()
    labels = torch.cat([torch.full((len(table),), i) for i, table in enumerate(tables)])
    x, y, z, _, _, _, spotlight, *hues = torch.split(columns, 1, dim=1)
    parts = (x, y, z, from_euler(columns[:, 3:6]), spotlight, *(hue / math.tau for hue in hues))
    latents = dict(zip(SPACES, parts, strict=True))
    return WithLatents(place, files, size, labels, latents={**latents, "columns": columns})


def _of_class(file: Path, images: Sequence[str]) -> Table:
    """The latents of a class, one row for each image in the order of their names."""
    table = numbers(file)
    if table.shape != (len(images), COLUMNS):
        raise ValueError(f"{file} {table.shape} must have a row of {COLUMNS} for each of the {len(images)} images")
    if len({len(name) for name in images}) > 1:
        raise ValueError(f"the names of the images of {file} must be filled up with zeros: which row belongs to which?")
    return table


def numbers(file: Path) -> Table:
    """What is in a .npy file; `ValueError` if it is missing, or no finite numbers are in it."""
    try:
        values: Table = np.load(file, allow_pickle=False).astype(np.float64)
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"cannot read the latents {file}: {error}") from error
    if not np.isfinite(values).all():
        raise ValueError(f"the latents {file} are not all finite")
    return values
