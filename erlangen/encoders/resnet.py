"""Residual networks (He et al. 2015, arXiv:1512.03385) in plain torch, with torchvision's names for the weights.

The stem depends on the image: `imagenet` (7x7, stride 2, then max-pool), `cifar` (3x3, stride 1, no pool: below 50 px),
`issl` (3x3, stride 1, ISSL's initial weights, with pool from 50 px, as ISSL has it for TinyImageNet).
"""

import re
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen.encoders.expansion import BottleneckExpand, standard_
from erlangen.names import lookup
from erlangen.nets import Encoder, Normalize

LAYERS = ("layer1", "layer2", "layer3", "layer4")
NAMES = re.compile(r"resnet(?P<depth>18|50)(w(?P<widen>[1-9]\d*))?(d(?P<width>[1-9]\d*))?|resnet18-kth")


def conv(a: int, b: int, size: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(a, b, size, stride, size // 2, bias=False)


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        out: Tensor = self.relu(self.bn2(self.conv2(y)) + shortcut)
        return out


class Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, downsample: nn.Module | None) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, 4 * width, 1), nn.BatchNorm2d(4 * width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        out: Tensor = self.relu(self.bn3(self.conv3(y)) + shortcut)
        return out


class ResNet(Encoder):
    """Images to the mean of the last map: (n, 512) for basic blocks, (n, 2048) for bottlenecks.

    All is `widen` times as wide, and changed to `width` last if that is given.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        normalize: Normalize,
        stem: str,
        pool: bool,
        widen: int = 1,
        width: int | None = None,
    ) -> None:
        super().__init__()
        channels, inputs = len(normalize.mean), 64 * widen
        self.normalize = normalize
        self.conv1 = conv(channels, inputs, 7, 2) if stem == "imagenet" else conv(channels, inputs, 3)
        self.bn1, self.relu = nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1) if pool else nn.Identity()
        for i, (name, depth) in enumerate(zip(LAYERS, depths, strict=True)):
            planes, blocks = 64 * widen * 2**i, []
            for j in range(depth):
                stride, outputs = (2 if i and not j else 1), planes * block.expansion
                downsample = None
                if stride != 1 or inputs != outputs:
                    downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
                blocks.append(block(inputs, planes, stride, downsample))
                inputs = outputs
            self.add_module(name, nn.Sequential(*blocks))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if stem == "issl":
            standard_(self.conv1)
        self.dim, self.layers = inputs, LAYERS
        if width:  # named as in the files of ISSL's hub
            self.dim, self.layers, self.resizer = width, (*LAYERS, "resizer"), BottleneckExpand(inputs, width)

    def features(self, images: Float[Tensor, "n c h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        maps, x = {}, self.maxpool(self.relu(self.bn1(self.conv1(self.normalize(images)))))
        for name in self.layers:
            maps[name] = x = self.get_submodule(name)(x)
        return {name: lookup("layer", name, maps) for name in layers}

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.features(images, self.layers[-1:])[self.layers[-1]].mean((2, 3))


def resnet(name: str, normalize: Normalize, stem: str, size: int) -> ResNet:
    """One of `NAMES`: `resnet50`, `resnet18w3` (three times as wide), `resnet50d8192` (wider at the end), both.

    `resnet18-kth` is that of the study of BYOL, SimSiam and DirectPred.
    """
    found = NAMES.fullmatch(name)
    assert found, name
    pool = stem != "cifar" and (stem != "issl" or size >= 50)
    widen, width = int(found["widen"] or 1), found["width"]
    shape = (normalize, stem, pool, widen, int(width) if width else None)
    if found["depth"] == "50":
        return ResNet(Bottleneck, (3, 4, 6, 3), *shape)
    net = ResNet(BasicBlock, (2, 2, 2, 2), *shape)
    return keras_(net) if name == "resnet18-kth" else net


def keras_(net: ResNet) -> ResNet:
    """As Keras makes it, in place: biases, Glorot's uniform weights, its BatchNorm. Padding is torch's."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight)
            module.bias = nn.Parameter(torch.zeros_like(module.weight[:, 0, 0, 0]))
        elif isinstance(module, nn.BatchNorm2d):
            module.eps, module.momentum = 1e-3, 0.01
    return net
