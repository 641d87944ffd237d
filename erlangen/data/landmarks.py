"""Faces and bodies whose landmarks are known: 300-W, CelebA, Leeds Sports Pose (Ericsson et al. 2021).

An image is cut to a square first; the latents `landmarks` are x, y, x, y, ... in pixels of the square at the size that
is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from erlangen.data.base import Data
from erlangen.data.files import Pixels, absent, images_below, read
from erlangen.data.streamed import WithLatents
from erlangen.data.tasks import Rows, matlab

Table = np.ndarray[tuple[int, ...], np.dtype[np.float64]]
ALIGNED = (178, 218)  # width and height of CelebA's aligned images
POINTS = 68  # of a face of 300-W
JOINTS = 14


@dataclass(eq=False)
class Squares(WithLatents):
    """Streamed images that are cut first: left, top, right, bottom in pixels; what reaches out of an image is black."""

    boxes: Int[Tensor, "n 4"] = field(default_factory=lambda: torch.zeros(0, 4, dtype=torch.long))

    def _pixels(self, row: int) -> Pixels:
        from PIL import Image

        image = Image.fromarray(read(self.root / self.files[row]))
        left, top, right, bottom = self.boxes[row].tolist()
        return np.array(image.crop((left, top, right, bottom)))


def in_square(points: Table, corner: Table, side: float | Table, size: int) -> Table:
    """Points (..., p, 2) of an image in pixels of its square (corner: left, top) when that is `size` pixels wide."""
    return (points - corner) / side * size


def square_around(points: Table) -> tuple[Table, int]:
    """Corner and side of the square of a face (p, 2): from its left and upper end, as wide as the longer side is."""
    corner, far = points.min(0), points.max(0)
    return corner, int(np.ceil(far - corner).max())


def square_within(width: int, height: int) -> tuple[Table, int]:
    """Corner and side of the largest square in the middle, on whole pixels."""
    side = min(width, height)
    return np.array([(width - side) // 2, (height - side) // 2], dtype=np.float64), side


def shuffled(n: int, *ends: float) -> list[Rows]:
    """The rows of n in an order that numpy's generator gives from seed 0, cut at these shares."""
    order = np.arange(n)
    np.random.RandomState(0).shuffle(order)
    return np.split(order, [int(end * n) for end in ends])


def saved_or_shuffled(home: Path, names: Sequence[str], n: int, *ends: float) -> list[Rows]:
    """The splits that lie in the folder as NAME.npy, else `shuffled`; `ValueError` for rows that there are not."""
    files = [home / f"{name}.npy" for name in names]
    if not all(file.is_file() for file in files):
        return shuffled(n, *ends)
    splits = []
    for file in files:
        try:
            rows = np.load(file, allow_pickle=False).reshape(-1).astype(np.int64)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(f"cannot read the split {file}: {error}") from error
        if len(rows) and (rows.min() < 0 or rows.max() >= n):
            raise ValueError(f"the split {file} must hold rows from 0 to {n - 1}, of the {n} images")
        splits.append(rows)
    return splits


def squares(place: Path, files: Sequence[str], rows: Rows, boxes: Table, targets: Table, size: int) -> Squares:
    """A split: these rows of all images."""
    whole = torch.from_numpy(np.round(boxes[rows]).astype(np.int64))  # half to even, as Pillow rounds boxes
    landmarks = torch.from_numpy(targets[rows].reshape(len(rows), -1)).float()
    return Squares(place, [files[i] for i in rows], size, latents={"landmarks": landmarks}, boxes=whole)


def faces_300w(root: Path, size: int) -> Data:
    """300-W, streamed: 68 points of each face, cut to the square of its points; trained on 60 % of the images.

    `ValueError` for images without points and points that cannot be read.
    """
    homes = (root / "300W", root / "300w")
    home = next((place for place in homes if (place / "01_Indoor").is_dir() and (place / "02_Outdoor").is_dir()), None)
    if home is None:
        raise absent(
            "300w",
            homes[0],
            "https://ibug.doc.ic.ac.uk/resources/300-W/",
            "01_Indoor/indoor_001.png, indoor_001.pts ... and 02_Outdoor/outdoor_001.png, outdoor_001.pts ...",
        )
    files = sorted(
        str(file.relative_to(home)) for part in ("01_Indoor", "02_Outdoor") for file in (home / part).glob("*.png")
    )
    if not files:
        raise ValueError(f"{home} holds no .png in 01_Indoor and 02_Outdoor")
    points = [read_points((home / file).with_suffix(".pts")) for file in files]
    places = [square_around(face) for face in points]
    boxes = np.stack([np.concatenate([corner, corner + side]) for corner, side in places])
    targets = np.stack([in_square(face, *place, size) for face, place in zip(points, places, strict=True)])
    names = [f"indoor+outdoor_{split}" for split in ("train", "valid", "test")]
    train, valid, test = saved_or_shuffled(home, names, len(files), 0.3, 0.6)
    splits = (np.concatenate([train, valid]), test)
    return Data("300w", *(squares(home, files, rows, boxes, targets, size) for rows in splits))


def read_points(file: Path) -> Table:
    """The points (68, 2) of a .pts file: one on each line between the braces."""
    try:
        inside = file.read_text().partition("{")[2].partition("}")[0]
        points: Table = np.array([line.split() for line in inside.strip().splitlines()], dtype=np.float64)
    except (OSError, ValueError) as error:
        raise ValueError(f"cannot read the points {file}: {error}") from error
    if points.shape != (POINTS, 2) or not np.isfinite(points).all() or not square_around(points)[1]:
        raise ValueError(f"{file} {points.shape} must hold {POINTS} points, x and y on a line each, between braces")
    return points


def leeds_sports_pose(root: Path, size: int) -> Data:
    """Leeds Sports Pose, streamed: 14 joints of each person, in the middle square; trained on 60 % of the images.

    `ValueError` if there are not as many images as joints.
    """
    homes = (root / "LeedsSportsPose", root / "lsp_dataset", root / "lsp")
    home = next((place for place in homes if (place / "joints.mat").is_file() and (place / "images").is_dir()), None)
    if home is None:
        raise absent(
            "leeds-sports-pose",
            homes[0],
            "https://github.com/axelcarlier/lsp (the authors' page sam.johnson.io/research/lsp.html describes it)",
            "images/im0001.jpg ... and joints.mat",
        )
    files, found = images_below(home / "images"), matlab(home / "joints.mat")
    joints = np.asarray(found.get("joints", ()), dtype=np.float64)
    if joints.shape[1:] != (JOINTS, len(files)) or joints.shape[0] < 2:
        raise ValueError(
            f"`joints` {joints.shape} of {home / 'joints.mat'} must be x, y and visibility of {JOINTS} joints of the "
            f"{len(files)} images in {home / 'images'}"
        )
    places = [square_within(*size_of(home / "images" / file)) for file in files]
    boxes = np.stack([np.concatenate([corner, corner + side]) for corner, side in places])
    targets = pose_targets(joints, places, size)
    splits = saved_or_shuffled(home, ("train", "test"), len(files), 0.6)
    return Data("leeds-sports-pose", *(squares(home / "images", files, rows, boxes, targets, size) for rows in splits))


def pose_targets(joints: Table, places: Sequence[tuple[Table, int]], size: int) -> Table:
    """Joints (x, y, ...; joint; image) in pixels of the squares of their images."""
    people = joints[:2].transpose(2, 1, 0)
    return np.stack([in_square(person, *place, size) for person, place in zip(people, places, strict=True)])


def size_of(file: Path) -> tuple[int, int]:
    """Width and height of an image, of which no more than the head is read."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.size
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read the image {file}: {error}") from error


def celeba(name: str, root: Path, size: int) -> Data:
    """CelebA's aligned faces, streamed: five landmarks; trained on its train and validation images together.

    As published the targets are cut off to whole pixels: `celeba:exact` leaves them as they are. `ValueError` for lists
    that name other images.
    """
    homes = (root / "CelebA" / "celeba", root / "CelebA", root / "celeba")
    lists = ("list_eval_partition.txt", "list_landmarks_align_celeba.txt")
    home = next((place for place in homes if (place / "img_align_celeba").is_dir()), None)
    if home is None or not all((home / file).is_file() for file in lists):
        raise absent(
            name,
            home or homes[2],
            "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (Align&Cropped Images, Landmarks, Eval)",
            f"img_align_celeba/000001.jpg ..., {lists[0]} and {lists[1]}",
        )
    parts, rows = named_numbers(home / lists[0], 0, 1), named_numbers(home / lists[1], 2, 10)
    if parts.keys() != rows.keys():
        raise ValueError(f"{home / lists[0]} and {lists[1]} name other images: {min(parts.keys() ^ rows.keys())}")
    files = list(rows)
    if (found := size_of(home / "img_align_celeba" / files[0])) != ALIGNED:
        raise ValueError(f"the images in {home / 'img_align_celeba'} are {found}, not {ALIGNED}: take the aligned ones")
    targets = face_targets(np.array(list(rows.values())), size, whole=not name.endswith(":exact"))
    corner, side = square_within(*ALIGNED)
    boxes = np.tile(np.concatenate([corner, corner + side]), (len(files), 1))
    part = np.array([parts[file][0] for file in files])
    splits = (np.flatnonzero(part < 2), np.flatnonzero(part == 2))
    return Data(name, *(squares(home / "img_align_celeba", files, rows, boxes, targets, size) for rows in splits))


def face_targets(landmarks: Table, size: int, whole: bool) -> Table:
    """Landmarks (n, 10) of aligned images in pixels of the middle square; `whole` ones, towards zero, as published."""
    targets = in_square(landmarks.reshape(len(landmarks), -1, 2), *square_within(*ALIGNED), size)
    targets = targets.reshape(len(landmarks), -1)
    return np.trunc(targets) if whole else targets


def named_numbers(file: Path, skipped: int, count: int) -> dict[str, list[float]]:
    """Of each line but the first ones the name of an image and its numbers."""
    found = {}
    for i, line in enumerate(file.read_text(encoding="utf-8").splitlines()[skipped:], skipped + 1):
        name, *values = line.split() or [""]
        try:
            found[name] = [float(value) for value in values]
        except ValueError:
            values = []
        if not name or len(values) != count:
            raise ValueError(f"line {i} of {file} ({line!r}) must be the name of an image and {count} numbers")
    if not found:
        raise ValueError(f"{file} names no images")
    return found
