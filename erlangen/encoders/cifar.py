"""DUET's encoders (arXiv:2306.16058): CIFAR's ResNets, 8 times as wide, with the original's names for the weights.

Three stages of equally many blocks; every stage begins with a convolution in the shortcut; no ReLU after the last
BatchNorm, which DUET's group marginal, a softmax of the representation, needs. The file that the original has them in
quotes 0.27 to 19.4 million parameters, those of the narrow networks; these have 17 to 1,238 million.
"""

import re
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen.encoders.lifting import MAPS, lift
from erlangen.encoders.resnet import conv
from erlangen.names import lookup
from erlangen.nets import Encoder, Normalize

WIDTHS, STRIDES = (128, 256, 512), (1, 2, 2)
NAMES = re.compile(r"(?P<lifted>lifted_)?cifar10_resnet(?P<depth>20|32|44|56|110|1202)|Cifar10_ResNet")
DEFAULT_DEPTH = 32  # of `Cifar10_ResNet`, the class itself: the original offers it too, and cannot build it


class Block(nn.Module):
    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        changed = stride != 1 or inputs != width
        self.shortcut = nn.Sequential(*([conv(inputs, width, 1, stride), nn.BatchNorm2d(width)] if changed else []))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.shortcut(x))


class CifarResNet(Encoder):
    """Images of any size to (n, 512), around zero: the mean of the last map, then a BatchNorm.

    A `lifted` one takes the 54 maps of three colours' `lift`, or makes them of three colours itself.
    """

    layers = ("layer1", "layer2", "layer3")
    dim = WIDTHS[-1]

    def __init__(self, normalize: Normalize, blocks: int, lifted: bool) -> None:
        super().__init__()
        channels = len(normalize.mean)
        if lifted and channels not in (3, 3 * MAPS):
            raise ValueError(
                f"`channels` (={channels}) of a lifted encoder are 3, which it lifts itself, or {3 * MAPS}, lifted "
                "already; for others take cifar10_resnet32"
            )
        self.normalize, self.lifts = normalize, lifted and channels == 3
        self.conv1, self.bn1 = conv(3 * MAPS if lifted else channels, 64, 3), nn.BatchNorm2d(64)
        inputs = 64
        for name, width, stride in zip(self.layers, WIDTHS, STRIDES, strict=True):
            first, rest = Block(inputs, width, stride), (Block(width, width, 1) for _ in range(blocks - 1))
            self.add_module(name, nn.Sequential(first, *rest))
            inputs = width
        self.final_bn = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(self.dim))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def features(self, images: Float[Tensor, "n c h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        x = self.normalize(images)
        x = torch.relu(self.bn1(self.conv1(lift(x) if self.lifts else x)))
        maps = {}
        for name in self.layers:
            maps[name] = x = self.get_submodule(name)(x)
        return {name: lookup("layer", name, maps) for name in layers}

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        h: Tensor = self.final_bn(self.features(images, self.layers[-1:])[self.layers[-1]])
        return h.flatten(1)


def cifar(name: str, normalize: Normalize) -> CifarResNet:
    """One of `NAMES`: the depth counts convolutions that are not shortcuts, and a linear layer that is not there."""
    found = NAMES.fullmatch(name)
    assert found, name
    return CifarResNet(normalize, (int(found["depth"] or DEFAULT_DEPTH) - 2) // 6, found["lifted"] is not None)
