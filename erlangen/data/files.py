"""Images from files: folders of any shape, and the idx files of the MNIST family."""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from erlangen.data.base import Data, Split

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


def folder(path: Path, size: int, native: bool = False) -> Data:
    """All images below `path`, resized (short side) and cropped (centre) to `size`, in memory as uint8.

    With `native` they are kept at their own sizes besides, for views that are made from those.

    `train/` and `test/` (or `val/`) inside are the splits; without them all images are for training. If every image of
    a split lies in a sub-folder, the sub-folders directly below the split are the classes; else there are no labels.
    All colour unless all are grey. `ValueError` for an empty folder or an image that cannot be read, with its path.
    """
    if not path.is_dir():
        raise ValueError(f"no folder {path}: give folder:PATH with the path of a folder of images")
    train, test = path / "train", next((path / name for name in ("test", "val") if (path / name).is_dir()), None)
    roots = [train, *([test] if test else [])] if train.is_dir() else [path]
    files = {root: sorted(f for f in root.rglob("*") if f.suffix.lower() in SUFFIXES and f.is_file()) for root in roots}
    for root, found in files.items():
        if not found:
            raise ValueError(f"folder {root} holds no images; looked for {' '.join(SUFFIXES)}")
    grey = all(_is_grey(file) for found in files.values() for file in found)
    classes = {root: [_class(file, root) for file in found] for root, found in files.items()}
    names = sorted({name for found in classes.values() for name in found})
    splits = []
    for root, found in files.items():
        images = torch.from_numpy(np.stack([_read(file, size, grey) for file in found]))
        known = len(names) > 1 and "" not in classes[root]
        labels = torch.tensor([names.index(name) for name in classes[root]]) if known else None
        originals = tuple(torch.from_numpy(_read(file, None, grey)).permute(2, 0, 1) for file in found if native)
        splits.append(Split(images.permute(0, 3, 1, 2).contiguous(), labels, native=originals if native else None))
    return Data(f"{'native' if native else 'folder'}:{path}", *splits)


def _class(file: Path, root: Path) -> str:
    """The sub-folder directly below the root; none for an image that lies in the root itself."""
    parts = file.relative_to(root).parts
    return parts[0] if len(parts) > 1 else ""


def _is_grey(file: Path) -> bool:
    from PIL import Image

    try:
        with Image.open(file) as image:
            return image.mode in ("1", "L", "I;16")
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read the image {file}: {error}") from error


def _read(file: Path, size: int | None, grey: bool) -> "np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]":
    """(height, width, channels): `size` in both directions, or the image's own size without it."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode == "I;16":  # Pillow's own conversion would clip all above 255 to white
                upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
            upright = upright.convert("L" if grey else "RGB")
            if size:
                upright = ImageOps.fit(upright, (size, size), Image.Resampling.BILINEAR)
            return np.array(upright).reshape(upright.height, upright.width, -1)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read the image {file}: {error}") from error


def read_image(file: Path, size: int) -> UInt8[Tensor, "3 {size} {size}"]:
    """The middle of an image file, in colour, at `size` pixels."""
    return torch.from_numpy(_read(file, size, grey=False)).permute(2, 0, 1)


def idx(roots: Sequence[Path], name: str) -> Data | None:
    """A data set of the MNIST family from its four idx files, packed or not, in the first of `roots` that has them."""
    for root in roots:
        parts = [
            root / f"{split}-{kind}-ubyte" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
        ]
        files = [file if file.exists() else file.with_name(file.name + ".gz") for file in parts]
        if all(file.exists() for file in files):
            x, y, x_test, y_test = (_read_idx(file) for file in files)
            return Data(name, Split(x[:, None], y.long()), Split(x_test[:, None], y_test.long()))
    return None


def _read_idx(file: Path) -> UInt8[Tensor, "..."]:
    try:
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"cannot read {file}, it may be cut off: {error}") from error
    if content[:3] != b"\x00\x00\x08" or len(content) < 8 or len(content) < 4 + 4 * content[3]:
        raise ValueError(f"{file} is no idx file of bytes")
    shape = np.frombuffer(content, ">i4", content[3], 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * content[3])
    if values.size != int(np.prod(shape)):
        raise ValueError(f"{file} is cut off: it holds {values.size} values, its header says {int(np.prod(shape))}")
    return torch.from_numpy(values.reshape(shape).copy())
