"""Encoders that others wrote: entries of torch.hub repositories, vision models of Hugging Face, any Python callable.

Their code is run, so name only what you trust. All are read from this machine; nothing is downloaded.
"""

import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen.encoders.frozen import evaluating
from erlangen.names import lookup
from erlangen.nets import IMAGENET, Encoder, Normalize


@dataclass(frozen=True)
class Prepared:
    """How images must come: the side in pixels, mean and deviation per channel, and where that was found."""

    size: int = 224
    mean: tuple[float, ...] = IMAGENET[0]
    std: tuple[float, ...] = IMAGENET[1]
    source: str = "assumed, ImageNet's: the encoder does not say"


class Foreign(Encoder):
    """A network, or any function, from normalised images to vectors; maps and tokens are averaged.

    Grey images are taken as three that are alike where it takes colours.
    """

    def __init__(self, name: str, network: Callable[..., Any], prepared: Prepared) -> None:
        super().__init__()
        channels = len(prepared.mean)
        self.normalize = Normalize(prepared.mean, prepared.std)
        self.model = network if isinstance(network, nn.Module) else Function(network)
        self.name = name
        with torch.no_grad(), evaluating(self):
            trial = self(torch.zeros(2, channels, prepared.size, prepared.size))
        self.dim = trial.shape[1]
        self.spec = {
            "name": name,
            "channels": channels,
            "size": prepared.size,
            "stem": "imagenet",
            "mean": json.dumps(list(prepared.mean)),
            "std": json.dumps(list(prepared.std)),
            "preprocessing": prepared.source,
        }

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        colours = images.expand(-1, len(self.normalize.mean), -1, -1) if images.shape[1] == 1 else images
        return vectors(self.model(self.normalize(colours)), self.name)


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, images: Tensor) -> Any:
        return self.function(images)


def vectors(output: Any, name: str) -> Float[Tensor, "n d"]:
    """One vector for each image: pooled as the network does, or maps and tokens averaged."""
    for field in ("pooler_output", "last_hidden_state"):
        if isinstance(found := getattr(output, field, None), Tensor):
            output = found
            break
    if not isinstance(output, Tensor) or output.ndim < 2 or not output.is_floating_point():
        raise ValueError(
            f"encoder {name!r} gives {told(output)}, not vectors (n, d), maps (n, c, h, w) or tokens (n, t, c) of "
            "floats: wrap it in a function that does, and name that as python:FILE.py:NAME"
        )
    if output.ndim == 3:
        return output.mean(1)
    return output if output.ndim == 2 else output.flatten(2).mean(2)


def told(output: Any) -> str:
    return f"a tensor {tuple(output.shape)}" if isinstance(output, Tensor) else f"a {type(output).__name__}"


def is_foreign(name: str) -> bool:
    kind, _, rest = name.partition(":")
    return kind in LOADERS and bool(rest)


def foreign(name: str) -> Encoder:
    """The encoder of this name, in eval mode: `hub:FOLDER:ENTRY`, an entry of the hubconf.py of a local clone;
    `hf:FOLDER`, a vision model that `save_pretrained` wrote; or `python:FILE.py:NAME`, a module, a function of images,
    or a class or function that makes one.

    It normalises images in [0, 1] as it was trained: where mean, deviation and size were found stands in
    `spec["preprocessing"]`. `ValueError` for what does not exist, and for what gives no vectors.
    """
    kind, _, rest = name.partition(":")
    network, prepared = LOADERS[kind](name, rest)
    return Foreign(name, network, prepared).eval()


def from_hub(name: str, rest: str) -> tuple[Callable[..., Any], Prepared]:
    folder, _, entry = rest.rpartition(":")
    file = Path(folder) / "hubconf.py"
    if not file.is_file():
        raise ValueError(f"encoder {name!r}: there is no hubconf.py in {folder or '.'}; name it hub:FOLDER:ENTRY")
    return split(lookup(f"entry of {folder}", entry, callables(file))(), "the entry's own attributes")


def from_hugging_face(name: str, folder: str) -> tuple[Callable[..., Any], Prepared]:
    try:
        from transformers import AutoModel
    except ImportError as error:
        raise ValueError(f"encoder {name!r} needs the package transformers: pip install transformers") from error
    if not (Path(folder) / "config.json").is_file():
        raise ValueError(f"encoder {name!r}: there is no config.json in {folder}; `save_pretrained` writes one")
    file = Path(folder) / "preprocessor_config.json"
    found = of_dictionary(json.loads(file.read_text()), file.name) if file.is_file() else None
    return AutoModel.from_pretrained(folder, local_files_only=True), found or Prepared()


def from_python(name: str, rest: str) -> tuple[Callable[..., Any], Prepared]:
    file, _, attribute = rest.rpartition(":")
    if not Path(file).is_file():
        raise ValueError(f"encoder {name!r}: there is no file {file or rest}; name it python:FILE.py:NAME")
    network = lookup(f"callable in {file}", attribute, callables(Path(file)))
    if isinstance(network, type) or not (isinstance(network, nn.Module) or takes_images(network)):
        network = network()
    return split(network, f"{attribute}'s own attributes")


LOADERS = {"hub": from_hub, "hf": from_hugging_face, "python": from_python}


def callables(file: Path) -> dict[str, Callable[..., Any]]:
    """Whatever a file of Python defines or imports that can be called, by name; the file may import its neighbours."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(file.resolve().parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.pop(0)
    return {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}


def takes_images(function: Callable[..., Any]) -> bool:
    """Whether it must be given something; what needs nothing makes an encoder."""
    return any(p.default is p.empty for p in inspect.signature(function).parameters.values())


def split(made: Any, source: str) -> tuple[Callable[..., Any], Prepared]:
    """The network, and how its images must come: what stands beside it in a tuple, or what it says of itself."""
    parts = made if isinstance(made, tuple) else (made,)
    networks = [part for part in parts if isinstance(part, nn.Module) and not hasattr(part, "transforms")]
    network = networks[0] if networks else parts[0]
    found = [of_transforms(part, "the transforms beside it") for part in parts if part is not network] + [
        of_dictionary(config, source) for key in CONFIGS if isinstance(config := getattr(network, key, None), Mapping)
    ]
    return network, next((one for one in found if one is not None), Prepared())


CONFIGS = ("pretrained_cfg", "default_cfg", "preprocessing")  # timm's names, and ours


def of_transforms(chain: Any, source: str) -> Prepared | None:
    """Of torchvision's transforms: the last size, and what they normalise by."""
    steps = getattr(chain, "transforms", [chain])
    known: dict[str, Any] = {}
    for step in steps:
        if hasattr(step, "mean") and hasattr(step, "std"):
            known |= {"mean": step.mean, "std": step.std}
        if isinstance(size := getattr(step, "size", None), int | list | tuple):
            known["size"] = size
    return of_dictionary(known, source) if known else None


def of_dictionary(values: Mapping[str, Any], source: str) -> Prepared | None:
    """Of a configuration of timm, Hugging Face, or ours; None if it says nothing of the kind."""
    mean, std = (values.get(key) or values.get(f"image_{key}") for key in ("mean", "std"))
    side = values.get("crop_size") or values.get("size") or values.get("input_size")
    if isinstance(side, Mapping):
        side = side.get("height") or side.get("shortest_edge")
    if isinstance(side, list | tuple):
        side = side[-1]
    if not (mean and std) and side is None:
        return None
    plain = Prepared()
    return Prepared(
        int(side or plain.size),
        tuple(map(float, mean or plain.mean)),
        tuple(map(float, std or plain.std)),
        source if mean and std and side else f"{source}; the rest assumed",
    )
