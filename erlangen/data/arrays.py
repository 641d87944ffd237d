"""Data sets that come as arrays in files: the idx files of the MNIST family, STL-10's own."""

import gzip
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from erlangen.data.base import Data, Split
from erlangen.data.files import absent

STL10 = {"stl10": ("train",), "stl10-unlabeled": ("unlabeled",), "stl10-train+unlabeled": ("train", "unlabeled")}


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


def stl10(name: str, root: Path) -> Data:
    """STL-10: 96 px, of its three parts those that `name` says to train on, of which `train` alone has labels."""
    home = root / "stl10_binary"
    train = [home / f"{part}_X.bin" for part in STL10[name]]
    x, y, y_train = home / "test_X.bin", home / "test_y.bin", home / "train_y.bin"
    if not all(file.is_file() for file in (*train, x, y, y_train)):
        raise absent(
            name,
            home,
            "https://cs.stanford.edu/~acoates/stl10/",
            "train_X.bin, train_y.bin, test_X.bin, test_y.bin and unlabeled_X.bin (of the archive of binary files)",
        )
    images = _photographs(train)
    labels = _read_labels(y_train, len(images)) if STL10[name] == ("train",) else None
    held_out = _photographs([x])
    return Data(name, Split(images, labels), Split(held_out, _read_labels(y, len(held_out))))


def _photographs(files: Sequence[Path]) -> UInt8[Tensor, "n 3 96 96"]:
    """All in one tensor; the files hold each channel column by column."""
    parts = []
    for file in files:
        count, rest = divmod(file.stat().st_size, 3 * 96 * 96)
        if rest or not count:
            raise ValueError(f"{file} is cut off: its {file.stat().st_size} bytes are no whole images of 3 x 96 x 96")
        parts.append(np.memmap(file, np.uint8, "r", shape=(count, 3, 96, 96)))
    images = torch.empty(sum(len(part) for part in parts), 3, 96, 96, dtype=torch.uint8)
    for place, part in zip(torch.split(images, [len(part) for part in parts]), parts, strict=True):
        np.copyto(place.numpy(), part.swapaxes(2, 3))
    return images


def _read_labels(file: Path, count: int) -> Int[Tensor, " {count}"]:
    """1 to 10 in the file, 0 to 9 here."""
    labels = torch.from_numpy(np.fromfile(file, np.uint8).astype(np.int64)) - 1
    if len(labels) != count or not bool(((labels >= 0) & (labels < 10)).all()):
        raise ValueError(f"{file} does not hold a label, 1 to 10, for each of {count} images")
    return labels
