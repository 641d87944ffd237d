"""What a measure has found so far, on the disk, so that one that was stopped goes on."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from erlangen.disk import write_whole
from erlangen.features import digest
from erlangen.measures.pieces import Partial, Piece
from erlangen.measures.synthetic import Progress
from erlangen.probes.stored import load_tensors, save_tensors


class Kept:
    """Files of one encoder, under keys of all that a piece depends on; `about` is what they have in common."""

    def __init__(self, folder: Path, about: Sequence[str]) -> None:
        self.folder, self.about = folder, about

    def path(self, piece: Piece, kind: str) -> Path:
        return self.folder / f"{digest([*self.about, piece.section, piece.name, str(piece.views), piece.told])}.{kind}"

    def made(self, piece: Piece, progress: Progress) -> Any:
        """The result of a piece, from its file, or made now: from where it was stopped, if it was."""
        path = self.path(piece, "json")
        if path.exists():
            progress(piece.views)
            return json.loads(path.read_text())
        begun = self.begun(piece)
        if begun is not None:
            progress(begun.views)
        try:
            result = piece.make(begun, progress)
        except BaseException:  # Ctrl-C among others: whatever it is, what was found is not lost
            if begun is not None and begun.whole:
                self.folder.mkdir(parents=True, exist_ok=True)
                save_tensors(self.path(piece, "safetensors"), begun.state())
            raise
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(result).encode())
        self.path(piece, "safetensors").unlink(missing_ok=True)
        return result

    def begun(self, piece: Piece) -> Partial | None:
        """What was found of a piece before, or nothing yet; None for one that is made at once."""
        if piece.begin is None:
            return None
        path = self.path(piece, "safetensors")
        return piece.begin(load_tensors(path) if path.exists() else None)

    def tensor(self, name: str, make: Callable[[], Tensor]) -> Tensor:
        """A tensor that takes long to make."""
        path = self.folder / f"{digest([*self.about, name])}.safetensors"
        if not path.exists():
            x = make()
            self.folder.mkdir(parents=True, exist_ok=True)
            save_tensors(path, {"x": x})
        return load_tensors(path)["x"]

    def forget(self) -> None:
        """Deletes the folder."""
        shutil.rmtree(self.folder, ignore_errors=True)


def duration(seconds: float) -> str:
    """In the unit that one would say it in."""
    minutes = seconds / 60
    return f"{seconds:.0f} s" if seconds < 90 else f"{minutes:.0f} min" if minutes < 90 else f"{minutes / 60:.1f} h"
