"""Classifiers trained by gradient descent on frozen features: linear, or an MLP."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from erlangen.heads import blocks, std_init_
from erlangen.optim import SGD, Constant, Optim, schedule_
from erlangen.solvers import standardisation
from erlangen.views import generator, mix


class Head(nn.Module):
    """Features to scores of classes; what they are shifted and divided by belongs to it."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, hidden: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.net = nn.Sequential(*blocks(dim, *hidden), nn.Linear((dim, *hidden)[-1], classes))

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        scores: Tensor = self.net((x.to(self.mean) - self.mean) / self.std)
        return scores


@dataclass(frozen=True)
class Trained:
    """Cross-entropy on frozen features, its last epoch.

    `hidden` are widths of an MLP (Linear, BatchNorm, ReLU); without them it is linear.
    """

    optim: Optim = SGD(lr=0.1, weight_decay=0.0, schedule=Constant())
    epochs: int = 100
    batch_size: int = 256
    hidden: tuple[int, ...] = ()
    drop_last: bool = False  # the rows of an epoch that fill no batch; a training set of less than one is a batch
    standardise: bool = False  # divide by the train features' deviations, about their means
    clip: float | None = None  # the largest absolute value of an entry of the gradient
    start: Literal["torch", "normal", "glorot"] = "torch"  # normal: .02, biases 0 (ISSL, DINO); glorot: Keras's

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1:
            raise ValueError(
                f"`epochs` (={self.epochs}) and `batch_size` (={self.batch_size}) of a probe must be at least 1"
            )

    def build(self, x: Float[Tensor, "n d"], classes: int, seed: int) -> Head:
        """The head before training."""
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(mix(seed, "head"))
            head = Head(x.shape[1], self.hidden, classes)
            if self.start == "normal":
                std_init_(head)
            elif self.start == "glorot":
                for layer in head.net:
                    if isinstance(layer, nn.Linear):
                        nn.init.xavier_uniform_(layer.weight)
                        nn.init.zeros_(layer.bias)
        if self.standardise:
            mean, std = standardisation(x.float())
            head.mean.copy_(mean)
            head.std.copy_(std)
        return head.to(x.device)

    def fit(
        self,
        x: Float[Tensor, "n d"],
        labels: Int[Tensor, " n"],
        classes: int,
        seed: int = 0,
        watch: Callable[[int, Head], None] | None = None,
    ) -> Head:
        """The trained head, in eval mode; `watch` sees it, in eval mode, after each epoch (its number from 1).

        The same seed gives the same bits. An epoch's order is a permutation from the seed and its number.
        """
        head = self.build(x, classes, seed)
        optimizer = self.optim.build(head)
        size = min(self.batch_size, len(x))
        per_epoch = len(x) // size if self.drop_last else -(-len(x) // size)
        with torch.enable_grad():
            for epoch in range(self.epochs):
                order = torch.randperm(len(x), generator=generator(seed, "head", epoch)).to(x.device)
                head.train()
                for i, rows in enumerate(torch.split(order, size)[:per_epoch]):
                    optimizer.zero_grad()
                    torch.autograd.backward(F.cross_entropy(head(x[rows]), labels[rows]))
                    if self.clip is not None:
                        nn.utils.clip_grad_value_(head.parameters(), self.clip)
                    step = epoch * per_epoch + i
                    schedule_(optimizer, self.optim, step, self.epochs * per_epoch, per_epoch, self.batch_size)
                    optimizer.step()
                head.eval()
                if watch is not None:
                    watch(epoch + 1, head)
        return head.requires_grad_(False)
