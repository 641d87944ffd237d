"""Heads trained by gradient descent against loops that are written out, and against the solved problem."""

import math

import pytest
import torch
import torch.nn.functional as F

from erlangen.optim import SGD, Adam, Constant, Cosine
from erlangen.probes.base import Sample
from erlangen.probes.trained import Descent, Head, Trained
from erlangen.solvers import logistic_regression
from erlangen.views import generator


def clouds(n: int, d: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    centres = torch.randn(classes, d, generator=torch.Generator().manual_seed(99))
    labels = torch.arange(n) % classes
    return torch.randn(n, d, generator=g) + centres[labels], labels


def fitted(probe: Trained, x: torch.Tensor, labels: torch.Tensor, classes: int, seed: int = 0) -> Head:
    model = probe.fit(Sample(x, labels, classes), None, seed).model
    assert isinstance(model, Head)
    return model


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("clip", [None, 1e-3])
def test_sgd_written_out(drop_last, clip):
    """Momentum, decay, cosine by step, entries of the gradient cut off, with and without the last part of an epoch."""
    x, labels = clouds(23, 4, 3)
    optim = SGD(lr=0.5, momentum=0.9, weight_decay=0.01, schedule=Cosine())
    probe = Trained(Descent(optim, epochs=3, batch_size=5, drop_last=drop_last, clip=clip))
    found = fitted(probe, x, labels, 3, seed=4)
    start = probe.build(x, 3, seed=4).net[0]
    w, b = start.weight.detach().clone(), start.bias.detach().clone()
    velocity, per_epoch = [torch.zeros_like(w), torch.zeros_like(b)], 4 if drop_last else 5
    for epoch in range(3):
        order = torch.randperm(23, generator=generator(4, "head", epoch))
        for i in range(per_epoch):
            rows = order[5 * i : 5 * i + 5]
            error = (x[rows] @ w.T + b).softmax(1) - F.one_hot(labels[rows], 3)
            gradients = [error.T @ x[rows] / len(rows), error.mean(0)]
            lr = 0.5 * (1 + math.cos(math.pi * (epoch * per_epoch + i) / (3 * per_epoch))) / 2
            for j, (p, g) in enumerate(zip((w, b), gradients, strict=True)):
                g = g if clip is None else g.clamp(-clip, clip)
                velocity[j] = 0.9 * velocity[j] + g + 0.01 * p
                p -= lr * velocity[j]
    torch.testing.assert_close(found.net[0].weight, w, rtol=0, atol=1e-5)
    torch.testing.assert_close(found(x), x @ w.T + b, rtol=0, atol=1e-5)


def test_it_ends_where_the_problem_is_solved():
    """Full batches of standardised features with decay d: the logistic regression of penalty d."""
    x, labels = clouds(60, 3, 3)
    x = x * torch.tensor([1.0, 50.0, 0.02]) + 7
    optim = SGD(lr=1.0, momentum=0.9, weight_decay=0.05, decayed="matrices", schedule=Constant())
    head = fitted(Trained(Descent(optim, epochs=500, batch_size=60), standardise=True), x, labels, 3)
    solved = logistic_regression(x, labels, 3, 0.05)
    torch.testing.assert_close(head(x).softmax(1), solved(x).softmax(1).float(), rtol=0, atol=1e-4)


def test_an_mlp_sees_what_is_not_linear():
    """The sign of a product: a linear map is at chance, one hidden layer is not."""
    x = torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    labels = (x.prod(1) > 0).long()
    adam = Adam(lr=1e-2, schedule=Constant())
    right = [
        float((fitted(Trained(Descent(adam, 30, 50), hidden), x, labels, 2)(x).argmax(1) == labels).float().mean())
        for hidden in ((), (32,))
    ]
    assert right[0] < 0.65 and right[1] > 0.95


def test_the_same_seed_gives_the_same_bits():
    """Whatever torch's own generator is at, which stays there; another seed gives others."""
    x, labels = clouds(40, 3, 3)
    probe = Trained(Descent(epochs=2, batch_size=16), hidden=(8,))
    first, state = fitted(probe, x, labels, 3, seed=1), torch.random.get_rng_state()
    assert torch.equal(first(x), fitted(probe, x, labels, 3, seed=1)(x)) and not first.training
    assert torch.equal(state, torch.random.get_rng_state())
    assert not torch.equal(first(x), fitted(probe, x, labels, 3, seed=2)(x))


def test_the_best_epoch_on_test_says_so():
    """As good as the best of runs that end after each epoch; without test images it cannot be."""
    (x, labels), (new, truth) = clouds(30, 6, 3), clouds(50, 6, 3, seed=1)
    train, test = Sample(x, labels, 3), Sample(new, truth, 3)
    optim = SGD(lr=3.0, weight_decay=0.0, schedule=Constant())

    def right(model) -> float:
        return float((model(new).argmax(1) == truth).double().mean())

    found = Trained(Descent(optim, 6, 10), best_on_test=True).fit(train, test, seed=0)
    ends = [right(fitted(Trained(Descent(optim, epochs, 10)), x, labels, 3)) for epochs in range(1, 7)]
    assert len(set(ends)) > 1 and right(found.model) == max(ends)
    assert found.told == {"selection": "the best epoch ON TEST", "epoch": ends.index(max(ends)) + 1}
    with pytest.raises(ValueError, match="the best epoch chooses on the test images: give them"):
        Trained(best_on_test=True).fit(train, None, seed=0)


@pytest.mark.parametrize(("start", "spread"), [(0.02, 0.02), (0.01, 0.01), ("glorot", math.sqrt(2 / 1010))])
def test_the_start(start, spread):
    """ISSL's normal and Keras's uniform numbers, with biases 0."""
    layer = Trained(start=start).build(torch.zeros(5, 1000), 10, seed=0).net[0]
    assert float(layer.weight.detach().std()) == pytest.approx(spread, rel=0.03) and not layer.bias.any()


def test_a_batch_is_at_most_all_rows():
    """A training set of less than a batch is one, also where the rest is dropped."""
    x, labels = clouds(10, 3, 2)
    head = fitted(Trained(Descent(epochs=1, batch_size=256, drop_last=True)), x, labels, 2)
    assert not torch.equal(head.net[0].weight, Trained().build(x, 2, seed=0).net[0].weight)


@pytest.mark.parametrize("values", [{"epochs": 0}, {"batch_size": 0}])
def test_nothing_to_train_with(values):
    with pytest.raises(ValueError, match="`epochs` .* and `batch_size` .* of a probe must be at least 1"):
        Descent(**values)
