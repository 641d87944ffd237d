"""Encoders that others have trained: timm's and torchvision's classifiers, with their weights."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen.encoders.timm import Timm, fitting
from erlangen.names import lookup, unknown
from erlangen.nets import Encoder, Grey, Normalize


class Torchvision(Encoder):
    """A classifier of torchvision without its last linear layer, with these weights or new ones.

    What follows a dot in the name says which weights, and is no part of the model's own.
    """

    def __init__(self, name: str, weights: Any, normalize: Normalize) -> None:
        super().__init__()
        from torchvision.models import get_model

        model = known_torchvision(name.partition(".")[0])
        with downloading(f"torchvision/{name}", getattr(weights, "url", None), None):
            self.model: nn.Module = get_model(model, weights=weights)
        place, last = list(self.model.named_modules())[-1]
        if not isinstance(last, nn.Linear):
            raise ValueError(
                f"`name` (='torchvision/{name}') ends with {type(last).__name__}, not with a linear classifier whose "
                "inputs could be the features: take a network that does, as ResNets and vision transformers do"
            )
        self.model.set_submodule(place, nn.Identity())
        if hasattr(self.model, "aux_logits"):
            self.model.aux_logits = False  # Inception's second output in train mode
        self.name, self.normalize, self.dim = f"torchvision/{name}", normalize, last.in_features

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        with fitting(self.name, images.shape[-2:]):
            h: Tensor = self.model(self.normalize(images))
        return h


@contextmanager
def downloading(name: str, url: str | None, repository: str | None) -> Iterator[None]:
    """A `ValueError` that says where the weights could be put by hand, where they cannot be downloaded."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "hash" not in str(error):
            raise  # which is none of a download
        home = os.environ.get("HF_HOME") or "~/.cache/huggingface"
        place = f"{torch.hub.get_dir()}/checkpoints/{Path(url or '').name}, from {url}"
        if repository:
            place = f"the Hugging Face cache, HF_HOME (={home}), as `hf download {repository}` does"
        raise ValueError(
            f"the weights of `name` (={name!r}) cannot be downloaded ({' '.join(str(error).split())}): where there is "
            f"a network, get them and put them into {place}"
        ) from error


def pretrained(name: str, channels: int = 3, size: int | None = None) -> Encoder:
    """An encoder with the weights that timm or torchvision publish; it normalises images in [0, 1] as they do.

    `timm/NAME`, or one of torchvision's classifiers, `resnet50` or `torchvision/resnet50`, with the weights' name if
    they are not the default's: `resnet50.IMAGENET1K_V1`. `size` is that of the images, which a vision transformer must
    know, else the size that the weights were made for; `spec["size"]` tells it. An image of one channel is taken as
    three that are alike. `ValueError` for names that do not exist and for weights that cannot be downloaded.
    """
    if channels not in (1, 3):
        raise ValueError(f"`channels` (={channels}) must be 1 or 3: the weights are for colour images, take those")
    if size is not None and size < 1:
        raise ValueError(f"`size` (={size}) must be at least 1, or None for the size that the weights were made for")
    take = Grey if channels == 1 else Normalize
    encoder: Encoder
    if name.startswith("timm/"):
        model = name.removeprefix("timm/")
        given = timm_weights(model)
        mean, std, size = given.mean, given.std, size or int(given.input_size[-1])
        with downloading(name, given.url, given.hf_hub_id):
            encoder = Timm(model, take(mean, std), size, pretrained=True)
    else:
        model, _, version = name.removeprefix("torchvision/").partition(".")
        weights = torchvision_weights(model, version)
        views = weights.transforms()
        mean, std, size = views.mean, views.std, size or int(views.crop_size[0])
        encoder, name = Torchvision(model, weights, take(mean, std)), f"torchvision/{model}.{weights.name}"
    encoder.spec = {
        "name": name,
        "channels": channels,
        "size": size,
        "stem": "imagenet",
        "mean": json.dumps(list(mean)),
        "std": json.dumps(list(std)),
    }
    return encoder


def timm_weights(model: str) -> Any:
    """What timm knows of the weights of a model, with or without their name after a dot."""
    import timm

    if not timm.models.is_model_pretrained(model):
        known = timm.list_models(pretrained=True)
        raise unknown("timm model with weights", model, get_close_matches(model, known, n=20, cutoff=0.0))
    return timm.models.get_pretrained_cfg(model)


def torchvision_weights(model: str, version: str) -> Any:
    """One of the weights of a classifier of torchvision, the default ones if `version` is empty."""
    from torchvision import models

    return lookup(
        f"weights of {model}", version or "DEFAULT", models.get_model_weights(known_torchvision(model)).__members__
    )


def known_torchvision(model: str) -> str:
    """The name itself; `ValueError` if torchvision has no classifier of it."""
    from torchvision import models

    known = models.list_models(models)
    if model not in known:
        raise unknown("torchvision model", model, get_close_matches(model, known, n=20, cutoff=0.0))
    return model


def published_size(name: str) -> int:
    """The size of the images that such weights were made for; `ValueError` for names that do not exist."""
    if name.startswith("timm/"):
        return int(timm_weights(name.removeprefix("timm/")).input_size[-1])
    model, _, version = name.removeprefix("torchvision/").partition(".")
    return int(torchvision_weights(model, version).transforms().crop_size[0])


def is_published(name: str) -> bool:
    """Whether the name is that of weights which timm or torchvision might have."""
    from torchvision import models

    return name.startswith(("timm/", "torchvision/")) or name.partition(".")[0] in models.list_models(models)
