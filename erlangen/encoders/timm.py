"""Any model of timm as an encoder: `timm/vit_small_patch16_224`."""

from collections.abc import Sequence
from contextlib import suppress
from difflib import get_close_matches

from jaxtyping import Float
from torch import Tensor

from erlangen.names import lookup, unknown
from erlangen.nets import Encoder, Normalize


class Timm(Encoder):
    """A timm model without its classifier; `features` are what its `forward_intermediates` gives, in maps."""

    def __init__(self, name: str, normalize: Normalize, size: int) -> None:
        super().__init__()
        import timm

        if not timm.is_model(name):
            raise unknown("timm model", name, get_close_matches(name, timm.list_models(), n=20, cutoff=0.0))
        arguments = {"num_classes": 0, "in_chans": len(normalize.mean)}
        # Vision transformers must know the size of the image, most of them take small crops besides; convnets neither.
        for sizes in ({"img_size": size, "dynamic_img_size": True}, {"img_size": size}):
            with suppress(TypeError):
                self.model = timm.create_model(name, **sizes, **arguments)
                break
        else:
            self.model = timm.create_model(name, **arguments)
        self.normalize = normalize
        self.dim = getattr(self.model, "head_hidden_size", None) or self.model.num_features
        self.layers = tuple(info["module"] for info in self.model.feature_info)

    def features(self, images: Float[Tensor, "n c h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        places = sorted(lookup("layer", name, {x: i for i, x in enumerate(self.layers)}) for name in layers)
        maps = self.model.forward_intermediates(self.normalize(images), indices=places, intermediates_only=True)
        return {self.layers[place]: x for place, x in zip(places, maps, strict=True)}

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        h: Tensor = self.model(self.normalize(images))
        return h
