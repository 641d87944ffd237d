"""Classification tasks to which encoders are transferred: Caltech-101 and Oxford Flowers (Ericsson et al. 2021)."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from erlangen.data.base import Data
from erlangen.data.files import absent, class_of, images_below
from erlangen.data.streamed import Streamed

TRAIN_PER_CLASS = 30  # of Caltech-101
CATEGORIES = "101_ObjectCategories"
FLOWERS = ("setid.mat", "imagelabels.mat")
Rows = np.ndarray[tuple[int, ...], np.dtype[np.int64]]


def caltech101(name: str, root: Path, size: int) -> Data:
    """Caltech-101 with its background as the 102nd class, streamed; 30 images of each class to train on.

    They are drawn as published, by numpy's generator from seed 0, which takes an image more than once; of
    `caltech101:distinct` each is another one. The lists of the published code, train.txt and test.txt, are taken where
    they lie. `ValueError` for images that the lists name and that are not there.
    """
    homes = (root / "Caltech101" / "caltech101", root / "Caltech101", root / "caltech101", root / "caltech-101")
    home = next((place for place in homes if (place / CATEGORIES).is_dir()), None)
    if home is None:
        raise absent(
            name,
            homes[1],
            "https://data.caltech.edu/records/mzrjq-6wc02",
            f"{CATEGORIES}/CLASS/image_0001.jpg ..., by itself or in caltech101/, and perhaps train.txt and test.txt",
        )
    place, distinct = home / CATEGORIES, name.endswith(":distinct")
    lists = [
        folder for folder in (home, home.parent) if all((folder / f"{s}.txt").is_file() for s in ("train", "test"))
    ]
    if lists and not distinct:
        return Data(name, *(listed(lists[0] / f"{split}.txt", place, size) for split in ("train", "test")))
    files = images_below(place)
    names = sorted({class_of(file) for file in files})
    labels = np.array([names.index(class_of(file)) for file in files])
    train = drawn(labels, TRAIN_PER_CLASS, distinct, place)
    test = np.setdiff1d(np.arange(len(files)), train)
    return Data(name, *(chosen(place, files, rows, labels, size) for rows in (train, test)))


def drawn(labels: Rows, count: int, distinct: bool, place: Path) -> Rows:
    """So many rows of each class, one class after the other; unless `distinct` some more than once."""
    g, rows = np.random.RandomState(0), []
    for label in range(int(labels.max()) + 1):
        of_class = np.flatnonzero(labels == label)
        if distinct and len(of_class) <= count:
            raise ValueError(
                f"class {label} in {place} has {len(of_class)} images: {count} to train on and one to test are needed"
            )
        rows.append(np.sort(g.choice(of_class, count, replace=not distinct)))
    return np.concatenate(rows)


def chosen(place: Path, files: Sequence[str], rows: Rows, labels: Rows, size: int) -> Streamed:
    return Streamed(place, [files[i] for i in rows], size, torch.from_numpy(labels[rows].astype(np.int64)))


def listed(file: Path, place: Path, size: int) -> Streamed:
    """The images of a list: on each line a path from `place`, a space, and the number of the class."""
    files, labels = [], []
    for i, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        path, _, label = line.strip().rpartition(" ")
        if not path or not label.isdecimal():
            raise ValueError(f"line {i} of {file} ({line!r}) must be CLASS/IMAGE.jpg and the number of the class")
        if not (place / path).is_file():
            raise ValueError(f"line {i} of {file} names an image that is not in {place}: {path}")
        files.append(path)
        labels.append(int(label))
    if not files:
        raise ValueError(f"{file} names no images")
    return Streamed(place, files, size, torch.tensor(labels))


def flowers(root: Path, size: int) -> Data:
    """Oxford Flowers, 102 classes, streamed: trained on its train and validation images together.

    `ValueError` for files of numbers that do not fit each other or the images.
    """
    homes = (root / "Flowers", root / "flowers-102", root / "flowers102")
    home = next((place for place in homes if all((place / file).is_file() for file in FLOWERS)), None)
    if home is None or not (home / "jpg").is_dir():
        raise absent(
            "flowers",
            home or homes[0],
            "https://www.robots.ox.ac.uk/~vgg/data/flowers/102/",
            f"jpg/image_00001.jpg ..., {FLOWERS[0]} and {FLOWERS[1]}",
        )
    sets, labels = matlab(home / FLOWERS[0]), entry(matlab(home / FLOWERS[1]), "labels", home / FLOWERS[1])
    parts = {key: entry(sets, key, home / FLOWERS[0]) for key in ("trnid", "valid", "tstid")}
    places = np.concatenate(list(parts.values()))
    if places.min() < 1 or places.max() > len(labels):
        raise ValueError(f"{home / FLOWERS[0]} names images from 1 to {len(labels)}, those of {FLOWERS[1]}; not others")
    files = [f"image_{i + 1:05d}.jpg" for i in range(len(labels))]
    classes = np.unique(labels, return_inverse=True)[1].reshape(-1)
    train, test = np.concatenate([parts["trnid"], parts["valid"]]) - 1, parts["tstid"] - 1
    missing = next((files[i] for i in np.concatenate([train, test]) if not (home / "jpg" / files[i]).is_file()), None)
    if missing:
        raise ValueError(f"{home / 'jpg'} lacks {missing}, which {FLOWERS[0]} names")
    return Data("flowers", *(chosen(home / "jpg", files, rows, classes, size) for rows in (train, test)))


def matlab(file: Path) -> dict[str, Any]:
    """What is in a .mat file; `ValueError` if it cannot be read."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        found: dict[str, Any] = loadmat(str(file))
    except (MatReadError, zlib.error, OSError, ValueError, TypeError, NotImplementedError) as error:
        raise ValueError(f"cannot read {file}: {error}") from error
    return found


def entry(found: dict[str, Any], key: str, file: Path) -> Rows:
    """One array of it, as a row of whole numbers."""
    if key not in found:
        names = ", ".join(name for name in found if not name.startswith("__"))
        raise ValueError(f"{file} has no array {key!r}, only: {names}")
    return np.asarray(found[key]).reshape(-1).astype(np.int64)
