"""E-SSL's recipes against the tables of its runs, its heads against their description, its losses against loops."""

import json
import math
from dataclasses import replace

import pytest
import torch
from essl_tables import CONSTANT, TABLE
from hypothesis import given, settings
from hypothesis import strategies as st
from preset_tables import TABLE as PRESETS
from preset_tables import check
from torch import nn

from erlangen import losses
from erlangen.losses import blocks
from erlangen.methods.essl import ESSL
from erlangen.nets import Encoder
from erlangen.optim import rate
from erlangen.recipes.essl import RECIPES
from erlangen.runs import flat, resolved

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SEEDS = st.integers(0, 2**32)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", TABLE)
def test_a_recipe_is_its_table(name):
    """Field by field; the predictor of SimSiam alone has a constant rate."""
    found = flat(json.loads(json.dumps(resolved(RECIPES[name]))))
    assert {field: found.get(field, "missing") for field in TABLE[name]} == TABLE[name]
    groups = [{"net": CONSTANT[name], "constant": True, "lr_scale": 1.0}] if name in CONSTANT else []
    assert [{key: group[key] for key in ("net", "constant", "lr_scale")} for group in found["optim.groups"]] == groups


def test_every_recipe_has_a_table():
    """And every table a recipe."""
    assert RECIPES.keys() == TABLE.keys()


def test_the_rate_on_imagenet():
    """4.8 for SimCLR's batch of 4096 after ten epochs from 0, then a cosine that ends at a thousandth."""
    recipe, (steps, per_epoch) = RECIPES["essl-simclr-imagenet"], (100 * 7, 7)
    rates = [rate(recipe.optim, step, steps, per_epoch, recipe.train.batch_size) for step in (0, 35, 70, 385, 700)]
    assert rates == pytest.approx([0.0, 2.4, 4.8, 4.8 * (0.5 + 0.0005), 0.0048])


def test_the_baselines_see_the_same_two_views():
    """Those that the E-SSL runs contrast."""
    for pipeline in RECIPES["essl-simclr-cifar10-baseline"].views.build(3, 32).pipelines:
        check(pipeline, PRESETS["essl cifar"][1])


LN, RELU = "LayerNorm", "ReLU"


@pytest.mark.parametrize(
    "name, layers",
    [
        ("essl-simclr-cifar10", [(512, 2048), LN, RELU, (2048, 2048), LN, RELU, (2048, 4)]),
        ("essl-simsiam-cifar10", [(512, 2048), LN, RELU, (2048, 2048), LN, (2048, 4)]),
        ("essl-simclr-imagenet", [(512, 2048), LN, RELU, (2048, 2048), LN, RELU, (2048, 128), LN, (128, 4)]),
        ("essl-barlow-imagenet", [(512, 2048), LN, RELU, (2048, 2048), LN, RELU, (2048, 256), LN, (256, 4)]),
    ],
)
def test_the_predictor(name, layers):
    """Layer by layer, for an encoder of 512 numbers; every linear one has a bias."""
    term = RECIPES[name].method.term
    narrow = Encoder()
    narrow.dim = 512
    with torch.device("meta"):
        net = replace(term, width=4).build(narrow)
    found = [
        (part.in_features, part.out_features) if isinstance(part, nn.Linear) else type(part).__name__ for part in net
    ]
    assert found == layers and all(part.bias is not None for part in net if isinstance(part, nn.Linear))


@pytest.mark.parametrize("name", ["essl-simclr-cifar10-baseline", "essl-simsiam-cifar10-baseline"])
def test_the_projector(name):
    """Both bases have the same: no bias, and a last BatchNorm without scale and shift."""
    narrow = Encoder()
    narrow.dim = 512
    with torch.device("meta"):
        nets = RECIPES[name].method.build(narrow)
    first, norm, _, second, last = getattr(nets, "online", nets).projector
    assert [(part.in_features, part.out_features, part.bias) for part in (first, second)] == [
        (512, 2048, None),
        (2048, 2048, None),
    ]
    assert (norm.affine, last.affine, last.num_features) == (True, False, 2048)


def test_defaults_are_those_of_duets_repository():
    """Lambda .4, temperature .1, heads of 2048."""
    assert (ESSL().weight, ESSL().temperature, ESSL().hidden, ESSL().out) == (0.4, 0.1, (2048, 2048), 128)


@FEW
@given(n=st.integers(2, 7), d=st.integers(1, 6), temperature=st.floats(0.05, 2.0), seed=SEEDS)
def test_info_nce_is_the_loop(n, d, temperature, seed):
    """`info_nce` equals a double loop over queries and keys."""
    q, k = normal(n, d, seed=seed), normal(n, d, seed=seed + 1)
    queries, keys = ([[x / math.hypot(*row) for x in row] for row in table.tolist()] for table in (q, k))
    total = 0.0
    for i, a in enumerate(queries):
        cosines = [sum(x * y for x, y in zip(a, b, strict=True)) / temperature for b in keys]
        total += math.log(sum(math.exp(c) for c in cosines)) - cosines[i]
    assert losses.info_nce(q, k, temperature).item() == pytest.approx(total / n)


def test_info_nce_by_hand():
    """Two orthogonal images, equal views, temperature 1: every query has cosines 1 (its own) and 0."""
    z = torch.tensor([[2.0, 0.0], [0.0, 3.0]])
    assert losses.info_nce(z, z, 1.0).item() == pytest.approx(math.log(1 + 1 / math.e), abs=1e-6)


@pytest.mark.parametrize("rows", [1, 3])
def test_info_nce_in_blocks_is_the_whole(rows, monkeypatch):
    """Some rows at a time, recomputed in the backward: the same loss and gradients to 1e-12."""
    results = []
    for largest in (2**24, rows * 7):
        monkeypatch.setattr(blocks, "LARGEST", largest)
        q, k = normal(7, 4).requires_grad_(), normal(7, 4, seed=1).requires_grad_()
        loss = losses.info_nce(q, k, 0.2)
        torch.autograd.backward(loss)
        results.append(torch.cat([loss.detach()[None], q.grad.flatten(), k.grad.flatten()]))
    assert torch.allclose(*results, rtol=1e-12, atol=1e-14)


def test_predictions_by_hand():
    """Four classes alike: ln 4. (1, 0) for (0, 3): (1 + 9) / 2. No gradient reaches the target."""
    assert losses.classification(torch.zeros(2, 4), torch.tensor([0, 3])).item() == pytest.approx(math.log(4))
    target = torch.tensor([[0.0, 3.0]], requires_grad=True)
    loss = losses.squared_error(torch.tensor([[1.0, 0.0]], requires_grad=True), target)
    torch.autograd.backward(loss)
    assert loss.item() == 5 and target.grad is None


@FEW
@given(n=st.integers(1, 7), k=st.integers(2, 6), seed=SEEDS)
def test_predictions_are_the_loop(n, k, seed):
    """Cross-entropy and squared error, number by number."""
    logits, target = normal(n, k, seed=seed), normal(n, k, seed=seed + 1)
    labels = target.argmax(1)
    entropy = sum(
        math.log(sum(map(math.exp, row))) - row[i] for row, i in zip(logits.tolist(), labels.tolist(), strict=True)
    )
    squares = sum((a - b) ** 2 for a, b in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True))
    assert losses.classification(logits, labels).item() == pytest.approx(entropy / n)
    assert losses.squared_error(logits, target).item() == pytest.approx(squares / n / k)


@pytest.mark.parametrize(
    "loss",
    [
        lambda a, b: losses.info_nce(a, b, 0.1),
        losses.squared_error,
        lambda a, b: losses.classification(a, b.argmax(1)),
    ],
)
def test_float32_at_least(loss):
    """bfloat16 embeddings under autocast: the loss of the same numbers in float32; float64 stays."""
    a, b = normal(4, 8), normal(4, 8, seed=1)
    narrow = a.bfloat16(), b.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(*narrow)
    assert value.dtype == torch.float32 and torch.equal(value, loss(*(x.float() for x in narrow)))
    assert loss(a, b).dtype == torch.float64


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "loss, named",
    [
        (lambda: losses.info_nce(normal(1, 4), normal(1, 4), 0.5), "the batch has 1, the least is 2"),
        (lambda: losses.info_nce(normal(3, 4), normal(3, 1), 0.5), r"`q` \(3, 4\), `k` \(3, 1\)"),
        (lambda: losses.info_nce(normal(3, 4), normal(3, 4), 0.0), r"`temperature` \(=0.0\)"),
        (lambda: losses.classification(normal(3, 4), torch.zeros(2, dtype=torch.long)), r"`labels` \(2,\)"),
        (lambda: losses.squared_error(normal(3, 4), normal(3, 1)), r"`target` \(3, 1\)"),
    ],
)
def test_what_does_not_fit_is_named(loss, named):
    """Where broadcasting would give a number that means nothing, the arguments and their shapes are told."""
    with pytest.raises(ValueError, match=named):
        loss()
