"""Any model of timm as an encoder: `timm/vit_small_patch16_224`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from difflib import get_close_matches

from jaxtyping import Float
from torch import Tensor

from erlangen.names import lookup, unknown
from erlangen.nets import Encoder, Normalize


@contextmanager
def fitting(name: str, size: Sequence[int]) -> Iterator[None]:
    """A `ValueError` that names the encoder and the size (height and width) where timm asserts that they fit."""
    try:
        yield
    except AssertionError as error:
        raise ValueError(
            f"encoder {name} does not take images of {size[0]} x {size[1]} pixels ({error}): give it another size "
            "or take an encoder that takes any, as ResNets and timm/vit_small_patch16_224 do"
        ) from error


class Timm(Encoder):
    """A timm model without its classifier; `features` are what its `forward_intermediates` gives, in maps."""

    def __init__(self, name: str, normalize: Normalize, size: int, pretrained: bool = False) -> None:
        super().__init__()
        import timm

        if not timm.is_model(name):
            raise unknown("timm model", name, get_close_matches(name, timm.list_models(), n=20, cutoff=0.0))
        arguments = {"num_classes": 0, "in_chans": len(normalize.mean), "pretrained": pretrained}
        # Vision transformers must know the size of the image, most of them take crops of others besides (padded to
        # whole patches, or of some sizes only); convnets need neither.
        known, others = {"img_size": size}, {"dynamic_img_size": True}
        with fitting(f"timm/{name}", (size, size)):
            for sizes in ({**known, **others, "dynamic_img_pad": True}, {**known, **others}, known):
                with suppress(TypeError):
                    self.model = timm.create_model(name, **sizes, **arguments)
                    break
            else:
                self.model = timm.create_model(name, **arguments)
        self.name, self.normalize = f"timm/{name}", normalize
        self.dim = getattr(self.model, "head_hidden_size", None) or self.model.num_features
        self.layers = tuple(info["module"] for info in self.model.feature_info)

    def features(self, images: Float[Tensor, "n c h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        places = sorted(lookup("layer", name, {x: i for i, x in enumerate(self.layers)}) for name in layers)
        with fitting(self.name, images.shape[-2:]):
            maps = self.model.forward_intermediates(self.normalize(images), indices=places, intermediates_only=True)
        return {self.layers[place]: x for place, x in zip(places, maps, strict=True)}

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        with fitting(self.name, images.shape[-2:]):
            h: Tensor = self.model(self.normalize(images))
        return h
