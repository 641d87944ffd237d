"""Encoders by name, and as one file that needs nothing else."""

import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from erlangen.encoders.cifar import NAMES as CIFAR
from erlangen.encoders.cifar import cifar
from erlangen.encoders.frozen import Frozen, Pixels
from erlangen.encoders.fused import Fused, lookup_how
from erlangen.encoders.resnet import NAMES, resnet
from erlangen.encoders.small import Small
from erlangen.names import lookup, unknown
from erlangen.nets import IMAGENET, Encoder, Grey, Normalize, differing

ENCODERS = {
    "small": "a convnet that trains in seconds on two CPU cores",
    "resnet18": "ResNet-18, its stem chosen by the size of the image",
    "resnet50": "ResNet-50, its stem chosen by the size of the image",
    "resnet50w3": "any ResNet so many times as wide: resnet18w3, resnet18w2",
    "resnet50d8192": "any ResNet with ISSL's block that changes its width at the end: resnet18d128, resnet18w2d2048",
    "resnet18-kth": "ResNet-18 as Keras makes it (KTH's study of BYOL, SimSiam and DirectPred)",
    "cifar10_resnet32": "DUET's wide CIFAR ResNets: 20, 32 (also called Cifar10_ResNet), 44, 56, 110, 1202",
    "lifted_cifar10_resnet32": "the same, of the 54 maps of a steerable pyramid",
    "efficientnet_v2_s": "EfficientNetV2-S as ReLIC takes it (torchvision)",
    "pixels": "no network: the image itself, the baseline of every table",
    "timm/NAME": "any model of timm, e.g. timm/vit_small_patch16_224",
    "torchvision/NAME": "any classifier of torchvision without its last layer, e.g. torchvision/convnext_tiny",
}
STEMS = ("cifar", "issl", "imagenet")


def build_encoder(
    name: str,
    channels: int = 3,
    size: int = 224,
    stem: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Encoder:
    """A new encoder for square images of `channels` and `size` pixels.

    Its first layer normalises by `mean` and `std` per channel: ImageNet's unless given (0.5 and 0.25 if the images do
    not have three channels). `stem` is that of a ResNet: `cifar` below 50 px, `issl` below 100 px, else `imagenet`; of
    `resnet18-kth`: `cifar` at 32 px, else `imagenet`. `ValueError` for a name that does not exist, with the nearest
    that does, and for a width that a ResNet cannot be changed to.
    """
    if channels == 3:
        mean, std = mean or IMAGENET[0], std or IMAGENET[1]
    mean, std = tuple(mean or (0.5,) * channels), tuple(std or (0.25,) * channels)
    colours = 3 if channels == 1 and len(mean) == 3 else channels  # a grey image taken as three channels
    if not len(mean) == len(std) == colours or not min(std) > 0:
        raise ValueError(
            f"`mean` (={mean}) and `std` (={std}) need one number for each of `channels` (={channels}), `std` above 0; "
            "None stands for the usual ones"
        )
    stem = stem or usual_stem(name, size)
    lookup("stem", stem, dict.fromkeys(STEMS))
    normalize = Normalize(mean, std) if colours == channels else Grey(mean, std)
    encoder: Encoder
    if name == "small":
        encoder = Small(normalize)
    elif NAMES.fullmatch(name):
        encoder = resnet(name, normalize, stem, size)
    elif CIFAR.fullmatch(name):
        encoder = cifar(name, normalize)
    elif name == "efficientnet_v2_s":
        from erlangen.encoders.efficientnet import EfficientNetV2S

        encoder = EfficientNetV2S(normalize)
    elif name == "pixels":
        encoder = Pixels(channels, size)
    elif name.startswith("timm/"):
        from erlangen.encoders.timm import Timm

        encoder = Timm(name.removeprefix("timm/"), normalize, size)
    elif name.startswith("torchvision/"):
        from erlangen.encoders.pretrained import Torchvision

        encoder = Torchvision(name.removeprefix("torchvision/"), None, normalize)
    else:
        raise unknown("encoder", name, ENCODERS)
    encoder.spec = {
        "name": name,
        "channels": channels,
        "size": size,
        "stem": stem,
        "mean": json.dumps(mean),
        "std": json.dumps(std),
    }
    return encoder


def usual_stem(name: str, size: int) -> str:
    """That of a ResNet of this name for images of `size` pixels."""
    if name == "resnet18-kth":
        return "cifar" if size == 32 else "imagenet"
    return "cifar" if size < 50 else "issl" if size < 100 else "imagenet"


def rebuilt(spec: Mapping[str, str | int]) -> Encoder:
    """A new encoder like the one whose `spec` this is, with new weights."""
    if "parts" in spec:
        return Fused([rebuilt(part) for part in json.loads(str(spec["parts"]))], lookup_how(str(spec["how"])))
    return build_encoder(
        str(spec["name"]),
        int(spec["channels"]),
        int(spec["size"]),
        str(spec["stem"]),
        json.loads(str(spec["mean"])),
        json.loads(str(spec["std"])),
    )


def save_encoder(path: str | Path, encoder: Encoder) -> None:
    """Weights and, as metadata, all that `load_encoder` needs to build the network again."""
    from safetensors.torch import save_file

    path, encoder = Path(path), encoder.encoder if isinstance(encoder, Frozen) else encoder
    if not encoder.spec:
        raise ValueError(f"{type(encoder).__name__} cannot be saved: only what `build_encoder` made can be built again")
    metadata = {**{key: str(value) for key, value in encoder.spec.items()}, "erlangen": version("erlangen")}
    part = path.with_suffix(".part")
    save_file({k: t.detach().cpu().contiguous() for k, t in encoder.state_dict().items()}, part, metadata)
    part.replace(path)


def load_encoder(path: str | Path) -> Encoder:
    """The encoder of a run folder or of a `.safetensors` file written by `save_encoder`, in eval mode."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    path = path / "encoder.safetensors" if path.is_dir() else path
    if not path.exists():
        raise ValueError(f"no encoder at {path}: a finished run has one; train it or give a .safetensors file")
    try:
        with safe_open(path, framework="pt") as file:
            spec = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error
    if not {"name", "channels", "size", "stem", "mean", "std"} <= spec.keys():
        raise ValueError(f"{path} does not say which encoder it holds: it was not written by `save_encoder`")
    encoder = rebuilt(spec)
    if wrong := differing(encoder.state_dict(), weights):
        raise ValueError(f"{path} does not fit {spec['name']}: they differ in {wrong}")
    encoder.load_state_dict(weights)
    return encoder.eval()
