"""Classifiers trained by gradient descent: linear or an MLP, on frozen features."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from erlangen.heads import blocks, std_init_
from erlangen.optim import SGD, Constant, Optim, schedule_
from erlangen.probes.base import Fitted, Sample, needs_test
from erlangen.solvers import standardisation
from erlangen.views import generator, mix


class Head(nn.Module):
    """Features to scores of classes; what they are shifted and divided by belongs to it."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, hidden: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.dim, self.hidden, self.classes = dim, hidden, classes
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.net = nn.Sequential(*blocks(dim, *hidden), nn.Linear((dim, *hidden)[-1], classes))

    def forward(self, x: Float[Tensor, "n d"]) -> Float[Tensor, "n k"]:
        scores: Tensor = self.net((x.to(self.mean) - self.mean) / self.std)
        return scores


@dataclass(frozen=True)
class Descent:
    """How a classifier is trained: cross-entropy, so many epochs of batches in an order drawn anew for each epoch."""

    optim: Optim = SGD(lr=0.1, weight_decay=0.0, schedule=Constant())
    epochs: int = 100
    batch_size: int = 256
    drop_last: bool = False  # the rows of an epoch that fill no batch; a training set of less than one is a batch
    clip: float | None = None  # the largest absolute value of an entry of the gradient

    def __post_init__(self) -> None:
        if min(self.epochs, self.batch_size) < 1:
            raise ValueError(
                f"`epochs` (={self.epochs}) and `batch_size` (={self.batch_size}) of a probe must be at least 1"
            )

    def run(
        self,
        net: nn.Module,
        inputs: Callable[[Int[Tensor, " b"], int], Tensor],
        labels: Int[Tensor, " n"],
        seed: int,
        watch: Callable[[int], None] | None = None,
    ) -> None:
        """Trains `net` on what `inputs` gives for rows of a step (its number from 0), and leaves it in eval mode.

        `watch` is called after each epoch (its number from 1). An epoch's order is a permutation from the seed and its
        number.
        """
        optimizer = self.optim.build(net)
        size = min(self.batch_size, len(labels))
        per_epoch = len(labels) // size if self.drop_last else -(-len(labels) // size)
        with torch.enable_grad():
            for epoch in range(self.epochs):
                order = torch.randperm(len(labels), generator=generator(seed, "head", epoch)).to(labels.device)
                net.train()
                for i, rows in enumerate(torch.split(order, size)[:per_epoch]):
                    step = epoch * per_epoch + i
                    optimizer.zero_grad()
                    torch.autograd.backward(F.cross_entropy(net(inputs(rows, step)), labels[rows]))
                    if self.clip is not None:
                        nn.utils.clip_grad_value_(net.parameters(), self.clip)
                    schedule_(optimizer, self.optim, step, self.epochs * per_epoch, per_epoch, self.batch_size)
                    optimizer.step()
                net.eval()
                if watch is not None:
                    watch(epoch + 1)


Start = Literal["torch", "glorot"] | float  # a number: a normal of this deviation, biases 0


def head(dim: int, hidden: tuple[int, ...], classes: int, start: Start, seed: int) -> Head:
    """A new one; it begins as torch has it, as Keras has it, or with normal weights (ISSL .02, MoCo .01)."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix(seed, "head"))
        made = Head(dim, hidden, classes)
        if isinstance(start, float):
            std_init_(made, start)
        elif start == "glorot":
            for layer in made.net:
                if isinstance(layer, nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)
                    nn.init.zeros_(layer.bias)
    return made


@dataclass(frozen=True)
class Trained:
    """A classifier of frozen features, trained by gradient descent; `hidden` are widths of an MLP with BatchNorm.

    The last epoch counts; or, as in the official code of DirectPred, the one that is best on test (`best_on_test`).
    """

    descent: Descent = Descent()
    hidden: tuple[int, ...] = ()
    standardise: bool = False  # divide by the train features' deviations, about their means
    start: Start = "torch"
    best_on_test: bool = False

    def build(self, x: Float[Tensor, "n d"], classes: int, seed: int) -> Head:
        """The head before training."""
        made = head(x.shape[1], self.hidden, classes, self.start, seed)
        if self.standardise:
            mean, std = standardisation(x.float())
            made.mean.copy_(mean)
            made.std.copy_(std)
        return made.to(x.device)

    def fit(self, train: Sample, test: Sample | None, seed: int) -> Fitted:
        """The trained head, in eval mode. The same seed gives the same bits."""
        net, x = self.build(train.x, train.classes, seed), train.x.float()
        if not self.best_on_test:
            self.descent.run(net, lambda rows, _: x[rows], train.y, seed)
            return Fitted(net.requires_grad_(False), {"selection": "none: the last epoch"})
        held = needs_test(test, "the best epoch")
        best: tuple[float, int] = (-1.0, 0)
        kept: dict[str, Tensor] = {}

        def watch(epoch: int) -> None:
            nonlocal best, kept
            with torch.no_grad():
                accuracy = float((net(held.x).argmax(1) == held.y).double().mean())
            if accuracy > best[0]:
                best, kept = (accuracy, epoch), {name: p.detach().clone() for name, p in net.state_dict().items()}

        self.descent.run(net, lambda rows, _: x[rows], train.y, seed, watch)
        net.load_state_dict(kept)
        return Fitted(net.requires_grad_(False), {"selection": "the best epoch ON TEST", "epoch": best[1]})
