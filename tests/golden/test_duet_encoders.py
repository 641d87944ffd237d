"""DUET's encoders, heads and online classifier against the authors' code (`duet_encoder*`, `duet_tracking_head`)."""

import json
import re
from typing import Any

import pytest
import torch
from issl_heads import Given
from torch import Tensor, nn
from vectors import FOLDER, Case, cases, check_close

from erlangen.data import Data, Split
from erlangen.encoders import build_encoder
from erlangen.methods.base import Learner
from erlangen.methods.duet import DUET
from erlangen.methods.simclr import SimCLR
from erlangen.nets import Encoder
from erlangen.observers.probes import OnlineLinear
from erlangen.terms.essl import TransformPrediction, classes, classified
from erlangen.transforms.duet import CODES

VALUE, GRADIENT = {"rtol": 1e-5, "atol": 1e-6}, {"rtol": 1e-4, "atol": 1e-6}
DIM = 512
HEAD = {"temperature": 0.1, "hidden": (2048, 2048), "hidden_bias": True, "last_norm": True}


FILES = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("duet_encoders*.json"))]


def entries(section: str) -> pytest.MarkDecorator:
    """One test per entry of this section of the files of sizes; of a list, which has no names, one."""
    sections = [file[section] for file in FILES]
    pairs = [pair for each in sections for pair in (each.items() if isinstance(each, dict) else [(section, each)])]
    absent = pytest.param(None, None, marks=pytest.mark.skip(reason=f"{FOLDER} holds no duet_encoders*.json"))
    return pytest.mark.parametrize("name, golden", [pytest.param(*pair, id=pair[0]) for pair in pairs] or [absent])


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def own(encoder: Encoder) -> dict[str, Tensor]:
    """What is saved beside the parameters."""
    parameters = dict(encoder.named_parameters())
    return {name: x for name, x in encoder.state_dict().items() if name not in parameters}


@entries("encoders")
def test_sizes(name, golden):
    """Parameters, buffers, convolutions, blocks of each stage and the shape of what comes out, without any memory."""
    kind, channels = re.fullmatch(r"(\w+)/in(\d+)", name).groups()
    assert int(channels) == golden["input_channels"]
    with torch.device("meta"):
        encoder = build_encoder(kind, int(channels), 32)
    found: dict[str, Any] = {
        "input_channels": encoder.conv1.in_channels,
        "parameters": count(encoder),
        "buffer_elements": sum(x.numel() for x in own(encoder).values()),
        "parameter_tensors": len(list(encoder.parameters())),
        "conv_layers": sum(isinstance(module, nn.Conv2d) for module in encoder.modules()),
        "output_for_2xCx32x32": [*encoder(torch.empty(2, int(channels), 32, 32, device="meta")).shape, 1, 1],
    }
    assert {**golden, **found} == golden and found.keys() == golden.keys() - {"blocks_per_stage"}
    assert [len(encoder.get_submodule(stage)) for stage in encoder.layers] == 3 * [golden["blocks_per_stage"]]


@entries("state_dict_first_keys")
def test_names_of_weights(name, golden):
    """The first entries of the original's state, which a checkpoint of it has, are ours in the same order."""
    with torch.device("meta"):
        assert list(build_encoder("cifar10_resnet20", 3, 32).state_dict())[: len(golden)] == golden


@entries("models")
def test_heads(name, golden):
    """Parameters outside of the encoder: projector, online classifier, and what predicts a transformation."""
    kind, _, of = name.partition("_")
    method = DUET(bins=int(of.removeprefix("G"))) if kind == "duet" else SimCLR(**HEAD)
    data = Split(torch.zeros(10, 1, 8, 8, dtype=torch.uint8), torch.arange(10))
    classifier = OnlineLinear(Data("ten", data, data), every=1, dim=DIM)
    found = {"head": count(method.build(Given(DIM)).projector), "heads": count(classifier.linear)}
    if kind == "essl":
        transform = CODES[of](32, 32).transform
        width = classes(transform.spaces[transform.name]) or 1
        found["predictor_essl"] = count(TransformPrediction(width=width).build(Given(DIM)))
    assert found == golden["modules_without_encoder"] and sum(found.values()) == golden["total_without_encoder"]


def formula_(net: nn.Module, case: Case) -> nn.Module:
    """The golden weights of the convolutions, in place: whole numbers of a quadratic congruence."""
    a, b, c, p = (case.value(f"w_{name}") for name in "abcp")
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            k = torch.arange(module.weight.numel())
            u = ((a * k % p * k + b * k + c) % p).double() / p - 0.5
            fan_in = module.weight[0].numel()
            module.weight.data = ((24 / fan_in) ** 0.5 * u).view_as(module.weight).float()
    return net


@cases("duet_encoder_forward*.npz", r"(c\d+_)(?:encoder|input|out_eval|out_train)")
def test_forward(case):
    """The output in eval mode, then in train mode, with the authors' weights and without our normalisation."""
    images = case["input"]
    channels = images.shape[1]
    encoder = build_encoder(
        case.value("encoder"), channels, images.shape[-1], mean=[0.0] * channels, std=[1.0] * channels
    )
    formula_(encoder, Case(case.file))
    with torch.no_grad():
        for mode in ("eval", "train"):
            golden = case[f"out_{mode}"].flatten(1)
            tolerance = 1e-5 * float(golden.abs().max()) if mode == "eval" else 1e-3
            check_close(encoder.train(mode == "train")(images), golden, rtol=0, atol=tolerance)


@cases("duet_tracking_head*.npz")
def test_classifier(case):
    """Mean cross-entropy, its gradient, top-1 and top-5 in percent, as E-SSL's term has them."""
    logits, labels = case["logits"].requires_grad_(), case["labels"]
    value = classified(logits, labels)
    value.loss.backward()
    check_close(value.loss, case["loss"], **VALUE)
    check_close(value.logs["essl_top1"], case["top1"], **VALUE)
    check_close(value.logs["essl_top5"], case["top5"], **VALUE)
    check_close(logits.grad, case["grad_logits"], **GRADIENT)


@cases("duet_tracking_head*.npz")
def test_online_classifier(case):
    """The linear layer that learns beside the encoder has the same gradient and the same top-1."""
    logits, labels = case["logits"], case["labels"]
    data = Split(torch.zeros(len(labels), 1, 8, 8, dtype=torch.uint8), torch.full_like(labels, logits.shape[1] - 1))
    classifier = OnlineLinear(Data("given", data, data), every=1, dim=logits.shape[1])
    classifier.norm = nn.Identity()
    nn.init.eye_(classifier.linear.weight)
    nn.init.zeros_(classifier.linear.bias)
    data.labels.copy_(labels)
    learner = Learner(SimCLR(), Replaced(logits))
    check_close(100 * classifier.accuracy(learner), case["top1"], **VALUE)
    leaf = logits.clone().requires_grad_()
    classifier.fit(leaf, labels)
    check_close(leaf.grad, case["grad_logits"], **GRADIENT)


class Replaced(Encoder):
    """Gives these representations, whatever it sees."""

    def __init__(self, h: Tensor) -> None:
        super().__init__()
        self.h, self.dim = h, h.shape[1]

    def forward(self, images: Tensor) -> Tensor:
        return self.h


CLAIMS = {
    "duet_encoder_forward*.npz": r"w_[abcp]|c\d+_(encoder|input|out_(eval|train))",
    "duet_tracking_head*.npz": "logits|labels|loss|top[15]|grad_logits",
}
