"""`small`: a convnet that trains in seconds on two CPU cores."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from erlangen.names import lookup
from erlangen.nets import Encoder, Normalize

WIDTHS, STRIDES = (16, 32, 64, 256), (1, 2, 2, 1)


class Small(Encoder):
    """Four 3x3 convolutions, the mean of the last map, then a BatchNorm: (n, 256) around zero.

    The BatchNorm without a ReLU after it matters, as in DUET's own encoders: a mean of ReLUs has so little range that
    DUET's group marginal, a softmax of it, cannot follow the target.
    """

    layers = ("conv1", "conv2", "conv3", "conv4")
    dim = WIDTHS[-1]

    def __init__(self, normalize: Normalize) -> None:
        super().__init__()
        self.normalize = normalize
        inputs = len(normalize.mean)
        for name, width, stride in zip(self.layers, WIDTHS, STRIDES, strict=True):
            conv = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
            self.add_module(name, nn.Sequential(conv, nn.BatchNorm2d(width), nn.ReLU()))
            inputs = width
        self.norm = nn.BatchNorm1d(self.dim)

    def features(self, images: Float[Tensor, "n c h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        maps, x = {}, self.normalize(images)
        for name in self.layers:
            maps[name] = x = self.get_submodule(name)(x)
        return {name: lookup("layer", name, maps) for name in layers}

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        h: Tensor = self.norm(self.features(images, self.layers[-1:])[self.layers[-1]].mean((2, 3)))
        return h
