"""What a command examines: an encoder by what it is called, or several fused, and the data that it is examined on."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from erlangen.cli.naming import file_name
from erlangen.cli.options import Subject
from erlangen.data import Data, open_dataset
from erlangen.encoders import build_encoder, load_encoder
from erlangen.encoders.foreign import foreign, is_foreign
from erlangen.encoders.fused import Fused, How
from erlangen.encoders.pretrained import is_published, pretrained, published_size
from erlangen.names import unknown
from erlangen.nets import Encoder
from erlangen.recipes.projected import with_first_block

KINDS = (
    *("RUN_FOLDER", "FILE.safetensors", "timm/NAME", "torchvision's NAME", "pixels", "random:NAME"),
    *("hub:FOLDER:ENTRY", "hf:FOLDER", "python:FILE.py:NAME"),
)


@dataclass(frozen=True)
class Examined:
    """An encoder on its device, the data on the same, and the folder to write to."""

    encoder: Encoder
    data: Data
    out: Path


def examined(subject: Subject, fuse: How = "cat", block: bool = False) -> Examined:
    """What the options say; `ValueError` for what does not exist, and for encoders that cannot be fused.

    The first of several encoders says which images are seen. With `block` the first block of a run's projector belongs
    to its encoder.
    """
    names = parts_of(subject.encoder)
    name, root, size = subject.data, subject.data_root, subject.image_size
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if block and (others := [part for part in names if not Path(part).is_dir()]):
        raise ValueError(f"`--projector-block` takes a run folder, of whose checkpoint the block is; not {others[0]}")
    stored = {part: opened(part, block) for part in names if is_stored(part) or is_foreign(part)}
    first = Path(names[0])
    if first.is_dir() and (name is None or (first / "recipe.json").exists()):
        values = json.loads((first / "recipe.json").read_text())["values"]
        own = values["probe_data"] or values["data"]
        if name in (None, own):
            name, root = own, root or values["data_root"]
    sizes = [own_size(part, stored) for part in names]
    size = size or next((own for own in sizes if own), None)
    data = open_dataset(name or "digits", root, size, device)
    encoders = [stored[part] if part in stored else made(part, data, subject.seed) for part in names]
    encoder = encoders[0] if len(encoders) == 1 else Fused(encoders, fuse)
    out = place_of(subject, fuse)
    out.mkdir(parents=True, exist_ok=True)
    return Examined(encoder.to(device).eval(), data, out)


def place_of(subject: Subject, fuse: How = "cat") -> Path:
    """The folder to write to: the one that is named, that of the run, or one called after the encoders."""
    names = parts_of(subject.encoder)
    if subject.out or (Path(names[0]).is_dir() and len(names) == 1):
        return Path(subject.out or names[0])
    stems = [Path(name).stem if is_stored(name) else name for name in names]
    return Path("runs") / file_name("+".join(stems) + (f"-{fuse}" if len(names) > 1 else ""))


def parts_of(source: str) -> list[str]:
    """The encoders that `+` joins; a path that exists is one, whatever is in it."""
    return [source] if Path(source).exists() else [part for part in source.split("+") if part] or [source]


def is_stored(name: str) -> bool:
    return Path(name).is_dir() or Path(name).suffix == ".safetensors"


def opened(name: str, block: bool) -> Encoder:
    if is_foreign(name):
        return foreign(name)
    return with_first_block(Path(name)) if block else load_encoder(name)


def own_size(name: str, stored: Mapping[str, Encoder]) -> int | None:
    """The size of the images that an encoder was made for, if it was for any."""
    if name in stored:
        return int(stored[name].spec["size"])
    return published_size(name) if not is_new(name) and is_published(name) else None


def is_new(name: str) -> bool:
    """Whether it has learned nothing; what is asked first, for the lists of published ones take seconds to load."""
    return name == "pixels" or name.startswith("random:")


def made(name: str, data: Data, seed: int) -> Encoder:
    """A published encoder, or one that has learned nothing, for these data."""
    if is_new(name):
        torch.manual_seed(seed)
        return build_encoder(name.removeprefix("random:"), data.channels, data.size)
    if is_published(name):
        return pretrained(name, data.channels, data.size)
    raise unknown("encoder", name, KINDS)
