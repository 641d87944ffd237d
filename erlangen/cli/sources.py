"""What a command examines: an encoder by what it is called, or several fused, and the data that it is examined on."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import torch

from erlangen.cli.naming import file_name
from erlangen.cli.options import Given
from erlangen.data import DATASETS, Data, open_dataset
from erlangen.encoders import build_encoder, load_encoder, rebuilt
from erlangen.encoders.foreign import foreign, is_foreign
from erlangen.encoders.frozen import Pixels
from erlangen.encoders.fused import Fused, How
from erlangen.encoders.pretrained import is_published, pretrained, published_size
from erlangen.features import cache_folder
from erlangen.names import unknown
from erlangen.nets import Encoder
from erlangen.recipes.projected import with_first_block

KINDS = (
    *("RUN_FOLDER", "FILE.safetensors", "timm/NAME", "torchvision's NAME", "pixels", "random:NAME"),
    *("hub:FOLDER:ENTRY", "hf:FOLDER", "python:FILE.py:NAME"),
)

ALSO = {"supervised": "resnet50"}  # the name of torchvision's ResNet-50 in the study of Ericsson et al.
THUMBNAIL = 16  # pixels
Opening = Callable[[str, str | None, int | None, str], Data]


@dataclass(frozen=True)
class Examined:
    """An encoder on its device, the data on the same, and the folder to write to."""

    name: str
    encoder: Encoder
    data: Data
    out: Path


def examined(
    source: str, given: Given, fuse: How = "cat", block: bool = False, opening: Opening | None = None
) -> Examined:
    """What the options say; `ValueError` for what does not exist, and for encoders that cannot be fused.

    The first of encoders that are fused says which images are seen. With `block` the first block of a run's projector
    belongs to its encoder.
    """
    names = parts_of(source)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if block and (others := [part for part in names if not Path(part).is_dir()]):
        raise ValueError(f"`--projector-block` takes a run folder, of whose checkpoint the block is; not {others[0]}")
    stored = {part: opened(part, block) for part in names if is_stored(part) or is_foreign(part)}
    name, root = data_of(source, given)
    sizes = [own_size(part, stored) for part in names]
    size = given.image_size or next((own for own in sizes if own), None)
    data = (opening or of_split)(name, root, size, str(device))
    encoders = [stored[part] if part in stored else made(part, data, given.seed) for part in names]
    encoder = encoders[0] if len(encoders) == 1 else Fused(encoders, fuse)
    out = place_of([source], given, fuse)
    out.mkdir(parents=True, exist_ok=True)
    return Examined(source, encoder.to(device).eval(), data, out)


def several(sources: Sequence[str], given: Given, fuse: How = "cat", opening: Opening | None = None) -> list[Examined]:
    """The same of each of several encoders, all on the data of the first, and one folder to write to."""
    once = cache(opening or of_split)  # those of one size share their images
    own = replace(given, out=str(place_of(sources, given, fuse)))
    first = examined(sources[0], own, fuse, opening=once)
    name, root = data_of(sources[0], given)
    own = replace(own, data=name, data_root=root)
    return [first, *(examined(source, own, fuse, opening=once) for source in sources[1:])]


def data_of(source: str, given: Given) -> tuple[str, str | None]:
    """The name of the data to look at and their root: those that are given, those of the run, or digits."""
    first = Path(parts_of(source)[0])
    if first.is_dir() and (given.data is None or (first / "recipe.json").exists()):
        values = json.loads((first / "recipe.json").read_text())["values"]
        own = values["probe_data"] or values["data"]
        if given.data in (None, own):
            return own, given.data_root or values["data_root"]
    return given.data or "digits", given.data_root


def with_references(every: Sequence[Examined], seed: int, wanted: bool = True) -> list[Examined]:
    """The encoders and, if `wanted`, what to compare them with: the same networks untrained, and pixels.

    Pixels are 16 x 16 means of larger images, for those of all are too many to be whitened; also where they are named.
    """
    found = {
        one.name: replace(one, encoder=pixels_of(one)) if isinstance(one.encoder, Pixels) else one for one in every
    }
    for one in every if wanted else ():
        if not isinstance(one.encoder, Pixels) and not one.name.startswith("random:"):
            name, encoder = untrained(one, seed)
            found.setdefault(name, replace(one, name=name, encoder=encoder))
    if wanted:
        found.setdefault("pixels", replace(every[0], name="pixels", encoder=pixels_of(every[0])))
    return list(found.values())


def pixels_of(one: Examined) -> Encoder:
    return Pixels(one.data.channels, one.data.size, THUMBNAIL).to(one.data.train.device)


def untrained(one: Examined, seed: int) -> tuple[str, Encoder]:
    """A network like the encoder that has learned nothing, or a ResNet-18 where it cannot be made."""
    spec = dict(getattr(one.encoder, "spec", {}))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            encoder, name = rebuilt(spec), str(spec["name"])
        except (ValueError, KeyError):  # somebody else's
            encoder, name = build_encoder("resnet18", one.data.channels, one.data.size), "resnet18"
    return f"random:{name}", encoder.to(one.data.train.device).eval()


def of_split(name: str, root: str | None, size: int | None, device: str) -> Data:
    """The data set; with `:train`, `:test` or `:val` after its name that split alone is measured."""
    whole, _, split = name.rpartition(":")
    if split not in ("train", "test", "val") or whole not in DATASETS:
        return open_dataset(name, root, size, device)
    data = open_dataset(whole, root, size, device)
    if split != "train" and data.test is None:
        raise ValueError(f"`data` (={name}): {whole!r} has no {split} split, leave it out")
    return Data(name, data.train, None) if split == "train" else replace(data, name=name)


def place_of(sources: Sequence[str], given: Given, fuse: How = "cat") -> Path:
    """The folder to write to: the one that is named, that of the run, or one called after the encoders."""
    names = [name for source in sources for name in parts_of(source)]
    if given.out or (Path(names[0]).is_dir() and len(names) == 1):
        return Path(given.out or names[0])
    stems = [Path(name).stem if is_stored(name) else name for name in names]
    fused = len(names) > len(sources)
    return Path("runs") / file_name("+".join(stems) + (f"-{fuse}" if fused else ""))


def folder_of(cache: str | None) -> Path | None:
    """Where features are kept; nowhere for `none`."""
    if cache == "none":
        return None
    return cache_folder() if cache is None else Path(cache).expanduser()


def parts_of(source: str) -> list[str]:
    """The encoders that `+` joins; a path that exists is one, whatever is in it."""
    if Path(source).exists():
        return [source]
    return [ALSO.get(part, part) for part in source.split("+") if part] or [source]


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
