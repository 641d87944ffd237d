"""A fitted probe as one file, which needs nothing else to predict: `probe-NAME.safetensors`."""

import json
import warnings
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from erlangen.data.base import Data
from erlangen.encoders import rebuilt
from erlangen.features import Preparation, extracted, features, weights
from erlangen.names import lookup
from erlangen.probes import checks
from erlangen.probes.base import Fitted, Model
from erlangen.probes.experiment import Asked, judged
from erlangen.probes.finetune import Classifier
from erlangen.probes.fits import Neighbours
from erlangen.probes.trained import Head
from erlangen.solvers import Calibrated, Kernel, Linear

# Dataclasses of tensors and numbers.
TABLES: Mapping[str, Any] = {cls.__name__: cls for cls in (Linear, Kernel, Calibrated, Neighbours)}
TESTED = "tested."  # before the names of what is kept beside the model, a row for each test image


def save_probe(path: Path, model: Model, about: Mapping[str, Any], tested: Mapping[str, Tensor]) -> None:
    """The model; as metadata what is said `about` it; and what it made of the test images, by name."""
    from safetensors.torch import save_file

    kind, arguments, tensors = taken_apart(model)
    tensors |= {TESTED + name: value for name, value in tested.items()}
    metadata = {"kind": kind, "arguments": json.dumps(arguments), "about": json.dumps(about)}
    part = path.with_suffix(".part")
    save_file({name: p.detach().cpu().contiguous().clone() for name, p in tensors.items()}, part, metadata)
    part.replace(path)


def load_probe(path: Path) -> tuple[Fitted, dict[str, Tensor]]:
    """The model with what was said about it, and what it made of the test images then.

    `ValueError` for a file that is not there, damaged, or not written by `save_probe`.
    """
    from safetensors import SafetensorError, safe_open

    if not path.exists():
        raise ValueError(f"no fitted probe at {path}: run `erlangen probe` without --evaluate first")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error
    if not {"kind", "arguments", "about"} <= metadata.keys():
        raise ValueError(f"{path} is no fitted probe: `erlangen probe` writes such files")
    tested = {name.removeprefix(TESTED): tensors.pop(name) for name in list(tensors) if name.startswith(TESTED)}
    model = put_together(metadata["kind"], json.loads(metadata["arguments"]), tensors)
    return Fitted(model, json.loads(metadata["about"])), tested


def save_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Tensors alone, the file being whole or not there."""
    from safetensors.torch import save_file

    part = path.with_suffix(".part")
    save_file({name: p.detach().cpu().contiguous() for name, p in tensors.items()}, part)
    part.replace(path)


def load_tensors(path: Path) -> dict[str, Tensor]:
    """What `save_tensors` wrote; `ValueError` for a damaged file."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged or no safetensors file: {error}") from error


def taken_apart(model: Model) -> tuple[str, dict[str, Any], dict[str, Tensor]]:
    """What kind of model it is, the numbers that it is built with, and its tensors."""
    if isinstance(model, Head):
        return "Head", {"dim": model.dim, "hidden": model.hidden, "classes": model.classes}, model.state_dict()
    if isinstance(model, Classifier):
        if not model.encoder.spec:
            name = type(model.encoder).__name__
            raise ValueError(f"a probe with a {name} in it cannot be saved: only what `build_encoder` made can be")
        _, arguments, _ = taken_apart(model.head)
        return "Classifier", {"head": arguments, "encoder": dict(model.encoder.spec)}, model.state_dict()
    assert is_dataclass(model) and not isinstance(model, type)
    values = {f.name: getattr(model, f.name) for f in fields(model)}
    tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
    return type(model).__name__, {name: value for name, value in values.items() if name not in tensors}, tensors


def put_together(kind: str, arguments: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Model:
    if kind in TABLES:
        model: Model = TABLES[kind](**arguments, **tensors)
        return model
    if kind == "Head":
        head = Head(arguments["dim"], tuple(arguments["hidden"]), arguments["classes"])
        head.load_state_dict(tensors)
        return head.eval().requires_grad_(False)
    if kind != "Classifier":
        raise ValueError(f"no fitted probe is of the kind {kind!r}: the file is of another version of Erlangen")
    spec = arguments["encoder"]
    inner = arguments["head"]
    net = Classifier(rebuilt(spec), Head(inner["dim"], tuple(inner["hidden"]), inner["classes"]))
    net.load_state_dict(tensors)
    return net.eval().requires_grad_(False)


def evaluated(fitted: Fitted, encoder: nn.Module, data: Data, cache: Path | None = None) -> dict[str, Any]:
    """The scores of a fitted probe on the test images of `data`, prepared as it was fitted; nothing is trained.

    A warning if the encoder is not the one that it was fitted to. `ValueError` for data that lack what it tells.
    """
    about, test = fitted.told["protocol"], checks.tested(data)
    if about["weights"] != weights(encoder):
        warnings.warn(f"probe {about['name']!r} was fitted to an encoder of other weights than this one", stacklevel=2)
    preparation = Preparation(about["preparation"]["resize"], about["preparation"]["filter"])
    if isinstance(fitted.model, Classifier):
        output = features(fitted.model.to(test.device), test, preparation=preparation)
    else:
        x = extracted(encoder, test, preparation, about["precision"], cache).x
        output = torch.cat([fitted.model(part) for part in torch.split(x, 4096)])
    if about["classes"]:
        if test.labels is None:
            raise ValueError(
                f"the test images of data {data.name!r} have no labels, which probe {about['name']!r} tells"
            )
        truth: Tensor = test.labels
    else:
        truth = lookup("target", about["target"], checks.latents(test)).float()
    return judged(output, Asked(truth[:0], truth, about["classes"], about["target"]), None)[0]
