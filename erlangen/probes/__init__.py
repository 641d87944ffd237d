"""How useful a frozen encoder is."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from erlangen.data.base import Data, Source, batches
from erlangen.encoders.frozen import represent
from erlangen.solvers import classifier, knn_accuracy


def features(
    encoder: nn.Module, split: Source, index: Int[Tensor, " k"] | None = None, size: int = 512
) -> Float[Tensor, "k d"]:
    """What the encoder makes of a split's images, or of those at these places, `size` at a time: all need no room."""
    index = torch.arange(len(split)) if index is None else index
    return torch.cat([represent(encoder, batch.images) for batch in batches(split, index, size)])


def labelled(data: Data) -> tuple[Source, Source]:
    """The two labelled halves that a probe needs; `ValueError` if the data lack one."""
    if data.train.labels is None or data.test is None or data.test.labels is None:
        raise ValueError(f"a probe needs labelled train and test images; data {data.name!r} lack them: name other data")
    return data.train, data.test


def probe(encoder: nn.Module, data: Data, k: int = 20, temperature: float = 0.07, seed: int = 0) -> dict[str, Any]:
    """Accuracies of the frozen encoder on the test images of `data`: `knn` and `linear`, each with its protocol.

    `knn`: `k` neighbours by cosine, weighted by exp(similarity / `temperature`). `linear`: logistic regression on
    standardised features, its penalty chosen on a fifth of the train images, never on test.
    """
    train, test = labelled(data)
    assert train.labels is not None and test.labels is not None
    bank, x = features(encoder, train), features(encoder, test)
    linear = classifier(bank, train.labels, seed=seed)
    shared = {"features": "encoder, eval mode, float32", "train": len(bank), "test": len(x), "data": data.name}
    predicted = linear(x).argmax(1)
    kinds = range(linear.bias.numel())
    return {
        "knn": {
            "accuracy": knn_accuracy(bank, train.labels, x, test.labels, k, temperature),
            "protocol": {"k": min(k, len(bank)), "temperature": temperature, "similarity": "cosine", **shared},
        },
        "linear": {
            "accuracy": linear.accuracy(x, test.labels),
            "per_class": [float((predicted[test.labels == c] == c).double().mean().nan_to_num()) for c in kinds],
            "protocol": {
                "solver": "multinomial logistic regression, L-BFGS, float64, standardised features",
                "penalty": linear.penalty,
                "selection": f"penalty by cross-entropy on a fifth of the train images, seed {seed}; refitted on all",
                **shared,
            },
        },
    }
