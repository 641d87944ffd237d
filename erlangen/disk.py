"""Putting files on the disk, so that a power cut finds each whole or not there."""

import errno
import os
from pathlib import Path
from typing import IO, Any


def sync_file(file: IO[Any]) -> None:
    """Puts what was written on the disk."""
    file.flush()
    os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Puts names on the disk, as fsync of a file puts its content; Windows and some network file systems cannot."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file beside its place, and puts it there when it is on the disk."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(content)
        sync_file(file)
    part.replace(path)
    sync_folder(path.parent)
