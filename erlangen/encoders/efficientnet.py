"""EfficientNetV2-S (Tan, Le 2021, arXiv:2104.00298) as ReLIC takes it: torchvision's, its last map averaged."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from erlangen.names import lookup
from erlangen.nets import Encoder, Normalize


class EfficientNetV2S(Encoder):
    """Images to (n, 1280); the strides together are 32, also for small images."""

    layers = tuple(f"stages.{i}" for i in range(8))  # the stem, six stages, and the 1x1 convolution after them
    dim = 1280

    def __init__(self, normalize: Normalize) -> None:
        super().__init__()
        try:
            from torchvision.models import efficientnet_v2_s
        except (ImportError, RuntimeError) as error:
            raise ValueError(
                f"encoder 'efficientnet_v2_s' needs torchvision, which cannot be imported here: {error}"
            ) from error
        self.normalize = normalize
        self.stages: nn.Sequential = efficientnet_v2_s().features
        if len(normalize.mean) != 3:
            first = nn.Conv2d(len(normalize.mean), 24, 3, 2, 1, bias=False)
            nn.init.kaiming_normal_(first.weight, mode="fan_out")
            self.stages.get_submodule("0").register_module("0", first)

    def features(self, images: Float[Tensor, "n c h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        maps, x = {}, self.normalize(images)
        for name in self.layers:
            maps[name] = x = self.get_submodule(name)(x)
        return {name: lookup("layer", name, maps) for name in layers}

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        return self.features(images, self.layers[-1:])[self.layers[-1]].mean((2, 3))
