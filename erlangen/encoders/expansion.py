"""ISSL's change of width (arXiv:2209.06235), for a linear probe needs more dimensions than a ResNet has."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

TRUNCATION = 0.87962566103423978  # standard deviation of a normal that is cut off at twice its own


def standard_(net: nn.Module) -> nn.Module:
    """ISSL's initial weights of convolutions, in place: normal, of standard deviation sqrt(1 / fan_in) / 0.88.

    The division makes up for a cut at twice the standard deviation; the original cuts at +-2, which is as good as none.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            std = math.sqrt(1 / module.weight[0].numel()) / TRUNCATION
            nn.init.trunc_normal_(module.weight, std=std, a=-2.0, b=2.0)
    return net


class BottleneckExpand(nn.Module):
    """A bottleneck block, 1x1 to `hidden` channels, 3x3, 1x1 to `outputs`, before a map is averaged.

    If `outputs` is a multiple of `inputs`, which may be 1, the map itself is added so many times, one after the other;
    if it is less, nothing is. `ValueError` for another width.
    """

    def __init__(self, inputs: int, outputs: int, hidden: int = 512) -> None:
        super().__init__()
        self.times, rest = divmod(outputs, inputs)
        if self.times and rest:
            raise ValueError(
                f"`outputs` (={outputs}) of a block after {inputs} channels must be a multiple of {inputs}, or less "
                f"than it: take {self.times * inputs} or {(self.times + 1) * inputs}"
            )
        self.conv1, self.bn1 = nn.Conv2d(inputs, hidden, 1, bias=False), nn.BatchNorm2d(hidden)
        self.conv2, self.bn2 = nn.Conv2d(hidden, hidden, 3, padding=1, bias=False), nn.BatchNorm2d(hidden)
        self.conv3, self.bn3 = nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        standard_(self)
        nn.init.normal_(self.conv1.weight, std=math.sqrt(1 / hidden))  # a Johnson-Lindenstrauss projection

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d h w"]:
        y = torch.relu(self.bn1(self.conv1(x)))
        y = self.bn3(self.conv3(torch.relu(self.bn2(self.conv2(y)))))
        return torch.relu(y + x.repeat(1, self.times, 1, 1) if self.times else y)
