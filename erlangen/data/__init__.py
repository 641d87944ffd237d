"""Data sets by name: whole in memory as uint8 tensors on the device, or streamed from their files."""

import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from erlangen.data.arrays import STL10, idx, stl10
from erlangen.data.base import Data, Source, Split
from erlangen.data.causal3dident import renderings
from erlangen.data.landmarks import celeba, faces_300w, leeds_sports_pose
from erlangen.data.photos import photographs
from erlangen.data.shapes import UPRIGHT, draw_shapes
from erlangen.data.shapes3d import draw_shapes3d
from erlangen.data.streamed import Streamed
from erlangen.data.tasks import caltech101, flowers
from erlangen.data.threediebench import objects
from erlangen.data.trees import folder, imagenet, tiny_imagenet
from erlangen.names import unknown

__all__ = ["DATASETS", "Data", "Source", "Split", "Streamed", "open_dataset"]

DATASETS = {
    "digits": "1,797 real handwritten digits, 8 px (scikit-learn; always there); shown at 16 px",
    "shapes": "procedural shapes with known pose, scale, position and hues, 32 px; always there",
    "shapes-upright": "the same, all upright and of one colour: what is done to them shows; always there",
    "shapes3d": "procedural solids with known pose in space, light and hues, 32 px; always there",
    "photographs": "tiles of 8 colour photographs, each a class, 64 px (with scikit-image installed)",
    "mnist": "handwritten digits, 28 px (torchvision, or a local copy of its idx files)",
    "fashion-mnist": "articles of clothing, 28 px (torchvision, or a local copy of its idx files)",
    "cifar10": "photographs of 10 classes, 32 px (torchvision)",
    "cifar100": "photographs of 100 classes, 32 px (torchvision)",
    "tiny-imagenet": "TinyImageNet-200, photographs of 200 classes, 64 px (a local copy)",
    "stl10": "photographs of 10 classes, 96 px, 5,000 to train on (a local copy)",
    "stl10-unlabeled": "STL-10's 100,000 photographs without labels to train on",
    "stl10-train+unlabeled": "both, without labels",
    "imagenet": "photographs of 1,000 classes, streamed from their files, at 224 px (a local copy)",
    "imagenet-native": "the same, at their own sizes besides: views are made from those, one by one",
    "caltech101": "objects of 102 classes, 30 of each to train on, streamed, at 224 px (a local copy)",
    "caltech101:distinct": "the same, no image more than once",
    "flowers": "flowers of 102 classes, streamed, at 224 px (a local copy)",
    "300w": "faces with 68 landmarks, streamed, at 224 px (a local copy)",
    "celeba": "faces with 5 landmarks, in whole pixels, streamed, at 224 px (a local copy)",
    "celeba:exact": "the same, with fractions of pixels",
    "leeds-sports-pose": "people with 14 joints, streamed, at 224 px (a local copy)",
    "causal3dident": "renderings of 7 objects with ten known latents, streamed, at 224 px (a local copy)",
    "3diebench": "52,472 objects, two views of each at a time, with latents, streamed, 256 px (a local copy)",
    "3diebench:VIEWS": "the same, so many views of an object at a time",
    "folder:PATH": "your own images; sub-folders are classes, labels are optional",
    "native:PATH": "the same, kept at their own sizes besides",
    "stream:PATH": "your own images, more than memory holds: those of the next step are read during a step",
    "stream-native:PATH": "the same, at their own sizes besides",
}
PROCEDURAL: Mapping[str, Callable[..., tuple[Split, Split]]] = {
    "shapes": draw_shapes,
    "shapes-upright": partial(draw_shapes, fixed=UPRIGHT),
    "shapes3d": draw_shapes3d,
}
TASKS: Mapping[str, Callable[[Path, int], Data]] = {
    "caltech101": partial(caltech101, "caltech101"),
    "caltech101:distinct": partial(caltech101, "caltech101:distinct"),
    "flowers": flowers,
    "300w": faces_300w,
    "celeba": partial(celeba, "celeba"),
    "celeba:exact": partial(celeba, "celeba:exact"),
    "leeds-sports-pose": leeds_sports_pose,
}
FOLDERS = ("folder", "native", "stream", "stream-native")
TORCHVISION = {"mnist": "MNIST", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR10", "cifar100": "CIFAR100"}


def open_dataset(
    name: str, root: str | None = None, image_size: int | None = None, device: torch.device | str = "cpu"
) -> Data:
    """The data set of this name, on `device`, its images `image_size` pixels wide if given (else their own size).

    `root` is where files are looked for and downloaded to: the environment variable ERLANGEN_DATA, or else
    `~/.cache/erlangen`. `ValueError` for a name that does not exist, a set that is not there (it says where to get it),
    an empty folder, an image that cannot be read.
    """
    if image_size is not None and image_size < 8:
        raise ValueError(f"`image_size` (={image_size}) must be at least 8 pixels")
    place = home_of(root)
    kind, _, path = name.partition(":")
    if kind in FOLDERS and path:
        data = folder(Path(path).expanduser(), image_size or 64, kind)
    elif name in ("imagenet", "imagenet-native"):
        data = imagenet(name, place, image_size or 224)
    elif name in TASKS:
        data = TASKS[name](place, image_size or 224)
    elif name == "tiny-imagenet":
        data = tiny_imagenet(place, image_size or 64)
    elif name == "causal3dident":
        data = renderings(place, image_size or 224)
    elif kind == "3diebench":
        data = objects(name, place, image_size or 256)
    elif name in STL10:
        data = stl10(name, place)
    elif name == "digits":
        data, image_size = digits(), image_size or 16
    elif name == "photographs":
        data = photographs()
    elif name in PROCEDURAL:
        train, test = PROCEDURAL[name](size=image_size or 32)
        data = Data(name, train, test)
    elif name in TORCHVISION:
        own = {name, TORCHVISION[name]}
        others = {*TORCHVISION, *TORCHVISION.values()} - own  # the files of all have the same names
        here = [place / name, place / TORCHVISION[name] / "raw", Path("/usr/share/datasets") / name]
        here += [] if place.name in others else [place]
        data = (idx(here, name) if "mnist" in name else None) or from_torchvision(name, place)
    else:
        raise unknown("data set", name, DATASETS)
    return resize(data, image_size or data.size).to(device)


def home_of(root: str | None) -> Path:
    """Where data sets are: `root`, the environment variable ERLANGEN_DATA, or else `~/.cache/erlangen`."""
    return Path(root or os.environ.get("ERLANGEN_DATA", "~/.cache/erlangen")).expanduser()


def digits() -> Data:
    """scikit-learn's copy of the UCI handwritten digits, 1 x 8 x 8; a fixed stratified quarter is the test split."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    source = load_digits()
    images = torch.from_numpy(source.images).mul(255 / 16).round().to(torch.uint8)[:, None]
    labels = torch.from_numpy(source.target).long()
    parts = train_test_split(range(len(images)), test_size=0.25, random_state=0, stratify=source.target)
    rows, test = (torch.tensor(part) for part in parts)
    return Data("digits", Split(images[rows], labels[rows]), Split(images[test], labels[test]))


def from_torchvision(name: str, root: Path) -> Data:
    """A data set that torchvision loads, or downloads if it is not below `root`."""
    try:
        from torchvision import datasets
    except (ImportError, RuntimeError) as error:
        raise ValueError(f"data set {name!r} needs torchvision, which cannot be imported here: {error}") from error
    own = root / TORCHVISION[name]  # a folder for each set
    root = own if (own / "cifar-10-batches-py").is_dir() or (own / "cifar-100-python").is_dir() else root
    splits = []
    for train in (True, False):
        try:
            source = getattr(datasets, TORCHVISION[name])(str(root), train=train, download=True)
        except (OSError, RuntimeError) as error:
            raise ValueError(f"data set {name!r} is not below {root} and cannot be downloaded: {error}") from error
        images = torch.as_tensor(source.data)
        images = images.permute(0, 3, 1, 2).contiguous() if images.ndim == 4 else images[:, None]
        splits.append(Split(images, torch.as_tensor(source.targets).long()))
    return Data(name, *splits)


def resize(data: Data, size: int) -> Data:
    """Square images of another size: bilinear, antialiased, back to uint8."""

    def of(split: Source) -> Source:
        if not isinstance(split, Split) or split.size == size:
            return split  # what comes from image files has its size from there
        images = split.images.new_empty(len(split), split.channels, size, size)  # once: it may be most of the memory
        for i in range(0, len(split), 1024):
            images[i : i + 1024] = _resize(split.images[i : i + 1024], size)
        return Split(images, split.labels, split.latents)

    return Data(data.name, of(data.train), None if data.test is None else of(data.test))


def _resize(images: Tensor, size: int) -> Tensor:
    scaled = F.interpolate(images.float(), size=(size, size), mode="bilinear", antialias=True)
    return scaled.round().clamp(0, 255).to(torch.uint8)
