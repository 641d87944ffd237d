"""Regression by a small network."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from erlangen.solvers.linear import standardisation
from erlangen.views import generator, mix


def perceptron(
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "n e"],
    hidden: Sequence[int] = (1024, 1024),
    epochs: int = 100,
    lr: float = 1e-3,
    batch_size: int = 256,
    seed: int = 0,
) -> Callable[[Float[Tensor, "m d"]], Float[Tensor, "m e"]]:
    """Regression by a ReLU network, its last epoch: squared error, Adam, in float32, on standardised x and y.

    `ValueError` unless `epochs` and `batch_size` are at least 1.
    """
    if min(epochs, batch_size) < 1:
        raise ValueError(
            f"a perceptron learns for `epochs` (={epochs}) of batches of `batch_size` (={batch_size}): >= 1"
        )
    (mean, std), (middle, scale) = standardisation(x.float()), standardisation(y.float())
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix(seed, "perceptron"))
        layers = [layer for a, b in pairwise((x.shape[1], *hidden)) for layer in (nn.Linear(a, b), nn.ReLU())]
        net = nn.Sequential(*layers, nn.Linear((x.shape[1], *hidden)[-1], y.shape[1]))
    net = net.to(x.device, torch.float32)
    features, targets = (x.float() - mean) / std, (y.float() - middle) / scale
    adam = torch.optim.Adam(net.parameters(), lr)
    with torch.enable_grad():
        for epoch in range(epochs):
            order = torch.randperm(len(x), generator=generator(seed, "perceptron", epoch)).to(x.device)
            for rows in torch.split(order, batch_size):
                adam.zero_grad()
                torch.autograd.backward(F.mse_loss(net(features[rows]), targets[rows]))
                adam.step()

    @torch.no_grad()
    def predict(new: Tensor) -> Tensor:
        return torch.addcmul(middle, net((new.float() - mean) / std), scale)

    return predict
