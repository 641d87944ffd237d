"""Data sets that are folders of images: one's own, ImageNet, TinyImageNet."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from erlangen.data.base import Data
from erlangen.data.files import absent, class_of, images_below, is_grey
from erlangen.data.streamed import Streamed


def folder(path: Path, size: int, kind: str = "folder") -> Data:
    """All images below `path`, resized (short side) and cropped (centre) to `size`, in memory as uint8.

    Of the kind `native` they are kept at their own sizes besides, for views that are made from those. `stream` and
    `stream-native` leave them in their files: a step reads what it needs.

    `train/` and `test/` (or `val/`) inside are the splits; without them all images are for training. If every image of
    a split lies in a sub-folder, the sub-folders directly below the split are the classes; else there are no labels.
    The classes of both splits are numbered together, by name: one of the test split alone is learned by no probe.
    All colour unless all are grey; streamed ones are colour, for nobody has looked at all of them. `ValueError` for an
    empty folder or an image that cannot be read, with its path.
    """
    if not path.is_dir():
        raise ValueError(f"no folder {path}: give {kind}:PATH with the path of a folder of images")
    train, test = path / "train", next((path / name for name in ("test", "val") if (path / name).is_dir()), None)
    roots = [train, *([test] if test else [])] if train.is_dir() else [path]
    splits = streamed(roots, size, kind)
    return Data(f"{kind}:{path}", *(splits if kind.startswith("stream") else [split.in_memory() for split in splits]))


def streamed(roots: Sequence[Path], size: int, kind: str) -> list[Streamed]:
    """The splits below these folders; a class has the same number in all, also if it is not in all."""
    files = {root: images_below(root) for root in roots}
    native, in_memory = kind.endswith("native"), not kind.startswith("stream")
    grey = in_memory and all(is_grey(root / file) for root, found in files.items() for file in found)
    classes = {root: [class_of(file) for file in found] for root, found in files.items()}
    names = sorted({name for found in classes.values() for name in found} - {""})
    known = {root: len(names) > 1 and "" not in found for root, found in classes.items()}
    return [
        Streamed(root, files[root], size, numbered(classes[root], names) if known[root] else None, native, grey)
        for root in roots
    ]


def imagenet(name: str, root: Path, size: int) -> Data:
    """`imagenet` or `imagenet-native`, streamed; its validation images are the test split."""
    home = root / "imagenet"
    missing = absent(
        name,
        home,
        "https://www.image-net.org/download.php",
        "train/CLASS/*.JPEG and val/CLASS/*.JPEG, a sub-folder for each class in both (n01440764 ...)",
    )
    roots = [home / "train", home / "val"]
    if not all(place.is_dir() for place in roots):
        raise missing
    train, test = streamed(roots, size, "stream-native" if name.endswith("native") else "stream")
    if train.labels is None or test.labels is None:  # as unpacked, val/ has no sub-folders
        raise missing
    if strange := sorted({class_of(file) for file in train.files} ^ {class_of(file) for file in test.files}):
        raise ValueError(f"the class {strange[0]} must be in both or in none of {roots[0]} and {roots[1]}")
    return Data(name, train, test)


def tiny_imagenet(root: Path, size: int) -> Data:
    """TinyImageNet-200, in memory; its validation images are the test split, for those of the test have no labels.

    As the original zip has it or as ISSL has, with the validation images in a folder for each class.
    """
    home = root / "tiny-imagenet-200"
    if not (home / "train").is_dir():
        raise not_tiny_imagenet(home)
    train = images_below(home / "train")
    names = sorted({class_of(file) for file in train})
    place, test, classes = validation(home, names)
    fit = Streamed(home / "train", train, size, numbered([class_of(file) for file in train], names))
    return Data("tiny-imagenet", fit.in_memory(), Streamed(place, test, size, numbered(classes, names)).in_memory())


def validation(home: Path, names: Sequence[str]) -> tuple[Path, list[str], list[str]]:
    """Where the validation images of TinyImageNet are, which there are, and their classes."""
    annotations, images = home / "val" / "val_annotations.txt", home / "val" / "images"
    if annotations.is_file() and images.is_dir():
        lines = [line.split("\t") for line in annotations.read_text().splitlines()]
        table = {line[0]: line[1] for line in lines if len(line) > 1}
        files = images_below(images)
        unknown = [file for file in files if table.get(file) not in names]
        if unknown:
            raise ValueError(f"{annotations} does not give one of the train classes for the image {unknown[0]}")
        return images, files, [table[file] for file in files]
    for place in (home / "test", home / "val"):  # the zip's own test/ holds one folder, images/, which is no class
        if any((place / name).is_dir() for name in names):
            files = images_below(place)
            classes = [class_of(file) for file in files]
            if strange := sorted(set(classes) - set(names)):
                raise ValueError(f"{place / strange[0]} is not one of the {len(names)} classes in {home / 'train'}")
            return place, files, classes
    raise not_tiny_imagenet(home)


def not_tiny_imagenet(home: Path) -> ValueError:
    return absent(
        "tiny-imagenet",
        home,
        "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
        "train/CLASS/images/*.JPEG, val/images/*.JPEG and val/val_annotations.txt as unpacked, or train/CLASS/*.JPEG "
        "and test/CLASS/*.JPEG, the latter the official validation images",
    )


def numbered(classes: Sequence[str], names: Sequence[str]) -> Int[Tensor, " n"]:
    """The place of each class among `names`."""
    places: Mapping[str, int] = {name: i for i, name in enumerate(names)}
    return torch.tensor([places[name] for name in classes])
