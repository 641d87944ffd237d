"""Probes that run beside a training: how useful is the encoder so far?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from erlangen.data.base import Data
from erlangen.dist import gather
from erlangen.methods.base import Clock, Learner, Output
from erlangen.probes import features, labelled
from erlangen.solvers import knn_accuracy
from erlangen.views import Batch, generator


@dataclass
class OnlineKNN:
    """Accuracy of the nearest neighbours on the test images of `data`, every `every` epochs and at the end.

    The bank is the first `bank` train images of a fixed shuffle; k = 20 and temperature 0.07 as in DINO.
    """

    data: Data
    every: int
    bank: int = 5000

    def __call__(self, clock: Clock, learner: Learner[Any], output: Output, batch: Batch) -> Mapping[str, float]:
        if clock.step % (self.every * clock.steps_per_epoch) and clock.step != clock.steps:
            return {}
        train, test = labelled(self.data)
        assert train.labels is not None and test.labels is not None
        known = torch.randperm(len(train), generator=generator("online knn"))[: self.bank]
        bank, x = features(learner.encoder, train, known), features(learner.encoder, test)
        return {"online_knn": knn_accuracy(bank, train.labels[known.to(train.device)], x, test.labels)}


class OnlineLinear(nn.Module):
    """A linear classifier trained beside the encoder, on detached features of the batch's first view.

    Its gradient never reaches the encoder. BatchNorm without parameters, then one linear layer; Adam at 1e-3, no decay.
    Tested every `every` epochs on the test images of `data`; batches without labels are passed over.
    """

    def __init__(self, data: Data, every: int, dim: int) -> None:
        super().__init__()
        self.data, self.every = data, every
        train, _ = labelled(data)
        assert train.labels is not None
        self.norm = nn.BatchNorm1d(dim, affine=False)
        self.linear = nn.Linear(dim, int(train.labels.max()) + 1)
        nn.init.zeros_(self.linear.weight)
        self.to(train.device)
        self.adam = torch.optim.Adam(self.linear.parameters(), lr=1e-3)

    def __call__(self, clock: Clock, learner: Learner[Any], output: Output, batch: Batch) -> Mapping[str, float]:
        if batch.labels is not None:
            self.fit(gather(output.features[0].detach()).to(self.linear.weight), gather(batch.labels))
        if clock.step % (self.every * clock.steps_per_epoch) and clock.step != clock.steps:
            return {}
        return {"online_linear": self.accuracy(learner)}

    def fit(self, h: Tensor, labels: Tensor) -> None:
        loss = F.cross_entropy(self.linear(self.norm.train()(h)), labels)
        self.adam.zero_grad()
        torch.autograd.backward(loss)
        self.adam.step()

    @torch.no_grad()
    def accuracy(self, learner: Learner[Any]) -> float:
        _, test = labelled(self.data)
        assert test.labels is not None
        h = features(learner.encoder, test).to(self.linear.weight)
        logits = self.linear(self.norm.eval()(h))
        return float((logits.argmax(1) == test.labels).float().mean())

    def get_extra_state(self) -> dict[str, Any]:
        return self.adam.state_dict()

    def set_extra_state(self, state: dict[str, Any]) -> None:
        self.adam.load_state_dict(state)
