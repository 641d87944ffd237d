"""Classifiers of images: a head on the encoder, trained on views, or together with it."""

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor, nn

from erlangen.data.base import Source
from erlangen.encoders.frozen import Frozen
from erlangen.nets import Encoder
from erlangen.probes.base import Fitted
from erlangen.probes.trained import Descent, Head, Start, head
from erlangen.views import Draws, ViewPolicy, generator, to_float


class Classifier(nn.Module):
    """Images, bytes or in [0, 1], to scores of classes."""

    def __init__(self, encoder: Encoder, classifier: Head) -> None:
        super().__init__()
        self.encoder, self.head = encoder, classifier

    def forward(self, images: Shaped[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        scores: Tensor = self.head(self.encoder(to_float(images)))
        return scores


@dataclass(frozen=True)
class Finetuned:
    """A linear head on the encoder, trained on images, or on one view of each that is drawn anew in every step.

    `frozen` keeps the encoder as it is, BatchNorm's statistics too (the linear evaluation of MoCo and its like); else
    all of it is trained, at the rates that the optimiser's group `encoder` has. The last epoch counts.
    """

    descent: Descent
    views: ViewPolicy | None = None  # of which the first is taken; none: the images as they are
    frozen: bool = True
    hidden: tuple[int, ...] = ()
    start: Start = "torch"

    def fit_images(self, encoder: nn.Module, train: Source, rows: Int[Tensor, " k"], classes: int, seed: int) -> Fitted:
        """The encoder itself is not touched: a copy is trained. `ValueError` for an encoder that has no `dim`."""
        if not isinstance(encoder, Encoder):
            raise ValueError(f"a {type(encoder).__name__} cannot be fine-tuned: an encoder must say its `dim`")
        if not self.frozen and not any(True for _ in encoder.parameters()):
            raise ValueError(f"a {type(encoder).__name__} has no weights: there is nothing to fine-tune")
        assert train.labels is not None
        device = next(encoder.parameters(), torch.zeros(0, device=train.device)).device
        copied = copy.deepcopy(encoder.encoder if isinstance(encoder, Frozen) else encoder)
        whole = Frozen(copied) if self.frozen else copied.requires_grad_(True)
        net = Classifier(whole, head(encoder.dim, self.hidden, classes, self.start, seed).to(device))
        views = None if self.views is None else self.views.build(train.channels, train.size)

        def inputs(places: Int[Tensor, " b"], step: int) -> Tensor:
            batch = train.take(rows[places.to(rows.device)])
            if views is None:
                return batch.images.to(device)
            return views(batch, Draws(generator(seed, "probe views", step)))[0].images.to(device)

        self.descent.run(net, inputs, train.labels[rows.to(train.labels.device)].to(device), seed)
        return Fitted(Classifier(copied, net.head).eval().requires_grad_(False), {"selection": "none: the last epoch"})
