"""What data must have for a probe, and what to say where they have not."""

import warnings
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.data.base import Data, Source
from erlangen.names import lookup


def tested(data: Data) -> Source:
    """The test images; `ValueError` if there are none."""
    if data.test is None or not len(data.test):
        raise ValueError(
            f"data {data.name!r} have no test images, on which a probe's number is found: name other data, or put some "
            "into test/"
        )
    return data.test


def labels_of(name: str, data: Data) -> tuple[Int[Tensor, " n"], Int[Tensor, " m"], int]:
    """Labels of the train and the test images, and how many classes there are.

    `ValueError` if the data have none, of one class, or if they are not 0 to C - 1; a warning for a class that the
    train images lack.
    """
    if data.train.labels is None or (data.test is not None and data.test.labels is None):
        known = sorted(latents(data.train))
        others = "Name other data, or look at invariance: `measure` needs no labels"
        if known:
            others = f"Probes of numbers do without: ridge, kernel-ridge, ericsson, with `target` {' or '.join(known)}"
        raise ValueError(
            f"probe {name!r} needs labelled train and test images, as all probes of classes do; data {data.name!r} "
            f"lack them. {others}"
        )
    y, y_test = data.train.labels, tested(data).labels
    assert y_test is not None
    found = torch.unique(torch.cat([y, y_test]))
    classes = len(found)
    if found.tolist() != list(range(classes)):
        raise ValueError(
            f"the labels of data {data.name!r} are {shortened(found)}: they must be whole numbers from 0 to the number "
            "of classes less one, each in use; number them anew (`labels.unique(return_inverse=True)` does)"
        )
    if classes < 2 or len(torch.unique(y)) < 2:
        raise ValueError(f"all train images of data {data.name!r} are of one class: a probe needs two or more")
    if absent := sorted(set(range(classes)) - set(y.tolist())):
        count = int(torch.isin(y_test, torch.tensor(absent, device=y_test.device)).sum())
        warnings.warn(
            f"no train image is of class {', '.join(map(str, absent[:5]))}: {count} test images of data {data.name!r} "
            "are told wrong by every probe",
            stacklevel=2,
        )
    return y, y_test, classes


def latents(split: Source) -> Mapping[str, Tensor]:
    """What is known of a split's images besides labels, by name; nothing if it does not say so."""
    known: Mapping[str, Tensor] | None = getattr(split, "latents", None)
    return known or {}


def latents_of(name: str, data: Data, target: str) -> tuple[Float[Tensor, "n e"], Float[Tensor, "m e"]]:
    """The numbers to be predicted of the train and of the test images; `ValueError` for a name that they lack."""
    train, test = latents(data.train), latents(tested(data))
    both = {name: train[name] for name in train if name in test}
    if not both:
        raise ValueError(
            f"probe {name!r} predicts numbers, `target` (={target!r}), of which data {data.name!r} know none: name "
            "data with latents (300w, celeba, leeds-sports-pose, shapes, causal3dident), or a probe of classes"
        )
    lookup("target", target, both)
    return train[target].float(), test[target].float()


def warn_of_collapse(x: Float[Tensor, "n d"]) -> int:
    """How many features are the same for all images; a warning if all are."""
    constant = int((x == x[:1]).all(0).sum())
    if constant == x.shape[1]:
        warnings.warn(
            "the encoder gives the same features for all train images, of zero variance: it has collapsed, and no "
            "probe can tell anything",
            stacklevel=2,
        )
    return constant


def warn_of_twins(name: str, train: Int[Tensor, " n"], test: Int[Tensor, " m"]) -> int:
    """How many test images are among the train images, by a hash of each; a warning if any is."""
    twins = torch.isin(test, train)
    count = int(twins.sum())
    if count:
        first = int(twins.nonzero()[0])
        same = int((train == test[first]).nonzero()[0])
        warnings.warn(
            f"{count} of the {len(test)} test images of data {name!r} are among the train images (first: test image "
            f"{first} is train image {same}): what a probe finds is too good by as much",
            stacklevel=2,
        )
    return count


def shortened(values: Tensor) -> str:
    numbers = [str(value) for value in values.tolist()]
    return ", ".join(numbers if len(numbers) <= 6 else [*numbers[:3], "...", *numbers[-2:]])
