"""`small`: a convnet that trains in seconds on two CPU cores."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from erlangen.nets import Encoder, Normalize


class Small(Encoder):
    """Three 3x3 convolutions of stride 2, then a mean and a BatchNorm without ReLU: (n, 256) around zero."""

    layers = ("conv1", "conv2", "conv3")
    dim = 256

    def __init__(self, normalize: Normalize) -> None:
        super().__init__()
        self.normalize = normalize
        widths = (len(normalize.mean), 32, 64, self.dim)
        for name, a, b in zip(self.layers, widths[:-1], widths[1:], strict=True):
            self.add_module(name, nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.ReLU()))

    def features(self, images: Float[Tensor, "n c h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        maps, x = {}, self.normalize(images)
        for name in self.layers:
            maps[name] = x = self.get_submodule(name)(x)
        return {name: maps[name] for name in layers}

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.features(images, self.layers[-1:])[self.layers[-1]].mean((2, 3))
