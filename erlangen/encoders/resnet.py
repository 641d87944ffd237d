"""Residual networks (He et al. 2015, arXiv:1512.03385) in plain torch, with torchvision's names for the weights.

The stem depends on the image: `imagenet` (7x7, stride 2, then max-pool), `cifar` (3x3, stride 1, no pool: below 50 px),
`issl` (3x3, stride 1, with pool: from 50 to 99 px, as ISSL has it for TinyImageNet).
"""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from erlangen.names import lookup
from erlangen.nets import Encoder, Normalize

LAYERS = ("layer1", "layer2", "layer3", "layer4")


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
    """Images to the mean of the last map: (n, 512) for basic blocks, (n, 2048) for bottlenecks."""

    layers = LAYERS

    def __init__(
        self, block: type[BasicBlock] | type[Bottleneck], depths: Sequence[int], normalize: Normalize, stem: str
    ) -> None:
        super().__init__()
        channels = len(normalize.mean)
        self.normalize = normalize
        self.conv1 = conv(channels, 64, 7, 2) if stem == "imagenet" else conv(channels, 64, 3)
        self.bn1, self.relu = nn.BatchNorm2d(64), nn.ReLU(inplace=True)
        self.maxpool = nn.Identity() if stem == "cifar" else nn.MaxPool2d(3, 2, 1)
        inputs = 64
        for i, (name, depth) in enumerate(zip(LAYERS, depths, strict=True)):
            width, blocks = 64 * 2**i, []
            for j in range(depth):
                stride, outputs = (2 if i and not j else 1), width * block.expansion
                downsample = None
                if stride != 1 or inputs != outputs:
                    downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))
                blocks.append(block(inputs, width, stride, downsample))
                inputs = outputs
            self.add_module(name, nn.Sequential(*blocks))
        self.dim = inputs
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, images: Float[Tensor, "n c h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        maps, x = {}, self.maxpool(self.relu(self.bn1(self.conv1(self.normalize(images)))))
        for name in LAYERS:
            maps[name] = x = self.get_submodule(name)(x)
        return {name: lookup("layer", name, maps) for name in layers}

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.features(images, LAYERS[-1:])[LAYERS[-1]].mean((2, 3))


def resnet(name: str, normalize: Normalize, stem: str) -> ResNet:
    """`resnet18` or `resnet50`."""
    if name == "resnet18":
        return ResNet(BasicBlock, (2, 2, 2, 2), normalize, stem)
    return ResNet(Bottleneck, (3, 4, 6, 3), normalize, stem)
