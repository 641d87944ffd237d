"""The encoder of a run with a part of its projector, as KTH's study of BYOL evaluates it."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from erlangen import checkpoint
from erlangen.encoders import load_encoder
from erlangen.methods.base import Learner
from erlangen.nets import Encoder
from erlangen.recipes.stored import stored


class Projected(Encoder):
    """An encoder and what follows it; it cannot be saved, being a part of a run."""

    def __init__(self, encoder: Encoder, block: nn.Module, dim: int) -> None:
        super().__init__()
        self.encoder, self.block, self.dim = encoder, block, dim
        self.spec = {**encoder.spec, "name": f"{encoder.spec['name']} + first projector block"}

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
        h: Tensor = self.block(self.encoder(images))
        return h


def with_first_block(folder: Path) -> Encoder:
    """The encoder of a run folder and the first block of its projector, up to the first nonlinearity, in eval mode.

    The projector is that of the run's last checkpoint. `ValueError` for a folder that has none, and for a method
    without a projector of layers that follow each other and the encoder.
    """
    encoder, recipe = load_encoder(folder), stored(folder)
    found = checkpoint.load(folder / "checkpoints")
    if found is None:
        raise ValueError(f"{folder} has no checkpoint, in which the projector would be")
    nets = Learner(recipe.method, encoder, recipe.train.precision).nets
    nets.load_state_dict(found[1]["nets"])
    projectors = (net for name, net in nets.named_modules() if name.rpartition(".")[2] == "projector")
    projector = next(projectors, None)
    if not isinstance(projector, nn.Sequential):
        raise ValueError(f"{type(recipe.method).__name__}, the method of {folder}, has no projector made of layers")
    layers = list(projector)
    if isinstance(layers[0], nn.Linear) and layers[0].in_features != encoder.dim:
        raise ValueError(
            f"the projector of {type(recipe.method).__name__}, the method of {folder}, takes {layers[0].in_features} "
            f"numbers, not the {encoder.dim} that the encoder gives: there is no block to take along"
        )
    first = next((i for i, layer in enumerate(layers) if isinstance(layer, nn.ReLU | nn.GELU)), len(layers) - 1)
    block = nn.Sequential(*layers[: first + 1])
    with torch.no_grad():
        dim = block.eval()(torch.zeros(1, encoder.dim)).shape[1]
    return Projected(encoder, block, dim).eval().requires_grad_(False)
