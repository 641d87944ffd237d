"""ReLIC's losses against slow loops in float64, and its recipes against the original's tables."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from relic_tables import COMMANDS, DATA, DEFAULTS, ENCODERS, FIXED, LOGITS, RELICV2, RELICV2_VIEWS, STEMS

from erlangen.losses import blocks, relic, relicv2, retrieval
from erlangen.methods.relic import LOGITS as STARTS
from erlangen.recipes.relic import RECIPES
from erlangen.transforms.presets import BYOLViews

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SEEDS = st.integers(0, 2**32)
KINDS = pytest.mark.parametrize("contrast", ["softmax", "sigmoid"])


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def table(x: np.ndarray, y: np.ndarray, scale: float, b: float) -> list[list[float]]:
    """scale * cosine + b, entry by entry."""

    def cosine(u: np.ndarray, v: np.ndarray) -> float:
        dot, uu, vv = (sum(p * q for p, q in zip(s, t, strict=True)) for s, t in ((u, v), (u, u), (v, v)))
        return dot / math.sqrt(uu * vv)

    return [[scale * cosine(u, v) + b for v in y] for u in x]


def softmax(row: list[float]) -> list[float]:
    total = sum(map(math.exp, row))
    return [math.exp(logit) / total for logit in row]


def divergence(q: list[list[float]], p: list[list[float]]) -> float:
    """KL(q || p), mean over rows."""
    return sum(a * math.log(a / b) for u, v in zip(q, p, strict=True) for a, b in zip(u, v, strict=True)) / len(q)


def slow(x, y, tau, b, alpha, most, contrast, q=None) -> tuple[float, float]:
    """ReLIC's loss and KL, from the definition; q is that of the columns unless given."""
    logits, n = table(x, y, min(math.exp(tau), most), b), len(x)
    p = [softmax(row) for row in logits]
    q = q or [softmax(list(column)) for column in zip(*logits, strict=True)]
    if contrast == "softmax":
        first = -sum(math.log(p[i][i]) for i in range(n)) / n
    else:
        signs = [[1 if i == j else -1 for j in range(n)] for i in range(n)]
        first = sum(math.log(1 + math.exp(-signs[i][j] * logits[i][j])) for i in range(n) for j in range(n)) / n
    kl = divergence(q, p)
    return first + alpha * kl, kl


def scalar(x: float) -> torch.Tensor:
    return torch.tensor([x], dtype=torch.float64)


@KINDS
@FEW
@given(
    n=st.integers(2, 6),
    d=st.integers(1, 5),
    tau=st.floats(-1.0, 3.0),
    b=st.floats(-3.0, 3.0),
    alpha=st.floats(0.0, 2.0),
    seed=SEEDS,
)
def test_relic_is_the_loop(contrast, n, d, tau, b, alpha, seed):
    """Loss and KL are those of their definition, below and above the largest multiplier."""
    x, y = normal(n, d, seed=seed), normal(n, d, seed=seed + 1)
    found = relic(x, y, scalar(tau), scalar(b), alpha, 5.0, contrast)
    assert [float(v) for v in found] == pytest.approx(slow(x.numpy(), y.numpy(), tau, b, alpha, 5.0, contrast))


@KINDS
def test_the_papers_kl_is_that_of_two_pairs(contrast):
    """Given the turned pair, q is the softmax of its rows: the KL of two tables of logits."""
    x, y, u, v = (normal(5, 3, seed=s) for s in range(4))
    q = [softmax(row) for row in table(u.numpy(), v.numpy(), math.exp(0.5), 0.3)]
    loss, kl = relic(x, y, scalar(0.5), scalar(0.3), 0.7, 5.0, contrast, (u, v))
    assert (float(loss), float(kl)) == pytest.approx(slow(x.numpy(), y.numpy(), 0.5, 0.3, 0.7, 5.0, contrast, q))
    assert kl > 1e-3 and relic(x, y, scalar(0.5), scalar(0.3), reverse=(x, y))[1] < 1e-12


@KINDS
@pytest.mark.parametrize("turned", [False, True])
def test_relic_gradient_is_the_finite_difference(contrast, turned):
    """To every argument, through p and q."""
    args = [normal(4, 3, seed=s).requires_grad_() for s in range(4)] + [scalar(0.4).requires_grad_() for _ in range(2)]

    def loss(x, y, u, v, tau, b):
        return relic(x, y, tau, b, 0.7, 5.0, contrast, (u, v) if turned else None)

    assert torch.autograd.gradcheck(loss, args)


@pytest.mark.parametrize("turned", [False, True])
def test_without_a_gradient_through_q(turned):
    """The gradient is the finite difference of the loss whose q stays what it is."""
    x, y, u, v = (normal(4, 3, seed=s) for s in range(4))
    here, (first, second) = x.numpy().copy(), (u, v) if turned else (y, x)
    q = [softmax(row) for row in table(first.numpy(), second.numpy(), math.exp(0.4), 0.0)]
    x.requires_grad_()
    relic(x, y, scalar(0.4), scalar(0.0), 2.0, 5.0, "softmax", (u, v) if turned else None, True)[0].backward()
    for i, j in ((0, 0), (1, 2), (3, 1)):
        sides = []
        for step in (1e-6, -1e-6):
            moved = here.copy()
            moved[i, j] += step
            sides.append(slow(moved, y.numpy(), 0.4, 0.0, 2.0, 5.0, "softmax", q)[0])
        assert x.grad[i, j].item() == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-7)


def test_above_its_most_the_multiplier_stays():
    """There tau changes nothing and has no gradient; below it has one."""
    x, y = normal(4, 3), normal(4, 3, seed=1)
    values, gradients = [], []
    for exponent in (math.log(4.9), math.log(5.1), 3.0):
        tau = scalar(exponent).requires_grad_()
        loss = relic(x, y, tau, scalar(0.0))[0]
        loss.backward()
        values.append(loss.item())
        gradients.append(tau.grad.item())
    assert gradients[0] != 0 and gradients[1:] == [0.0, 0.0] and values[1] == values[2] != values[0]


def test_by_hand():
    """x = (e1, e1) and x' = (e1, e2): the table ((1, 0), (1, 0)) and, column by column, one half throughout."""
    # p = (.731059, .268941): contrast (.313262 + 1.313262) / 2 = .813262; KL = .5 (1.626523 - 2 ln 2) = .120115
    # sigmoid: (.313262 + ln 2 + 1.313262 + ln 2) / 2 = 1.506409
    x, y, zero = torch.tensor([[1.0, 0.0], [3.0, 0.0]]), torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.zeros(1)
    loss, kl = relic(x, y, zero, zero)
    assert float(kl) == pytest.approx(0.120115, abs=1e-6) and float(loss - kl) == pytest.approx(0.813262, abs=1e-6)
    assert float(relic(x, y, zero, zero, 0.0, 5.0, "sigmoid")[0]) == pytest.approx(1.506409, abs=1e-6)
    loss, kl = relicv2(x, y, torch.tensor([1, 0]), 1.0)
    assert float(kl) == pytest.approx(0.120115, abs=1e-6) and float(loss - kl) == pytest.approx(0.813262, abs=1e-6)
    assert [float(v) for v in retrieval(x, y, (1, 2))] == [50.0, 100.0]


@KINDS
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("rows", [1, 3])
def test_blocks_are_the_whole(contrast, turned, rows, monkeypatch):
    """Some rows at a time, computed again in the backward: the same loss, KL and gradients to 1e-12."""
    results = []
    for largest in (2**24, rows * 7):
        monkeypatch.setattr(blocks, "LARGEST", largest)
        x, y, u, v = args = [normal(7, 4, seed=s).requires_grad_() for s in range(4)]
        tau, b = (scalar(0.4).requires_grad_() for _ in range(2))
        loss, kl = relic(x, y, tau, b, 0.7, 5.0, contrast, (u, v) if turned else None)
        loss.backward()
        grads = [p.grad.flatten() for p in (*args[: 4 if turned else 2], tau, b)]
        results.append(torch.cat([torch.stack([loss, kl]).detach(), *grads]))
    assert torch.allclose(*results, rtol=1e-12, atol=1e-14)


def test_blocks_in_float32(monkeypatch):
    """2,048 images in blocks of 128: the loss of the whole table in float64, to 1e-6."""
    x, y, zero = normal(2048, 16), normal(2048, 16, seed=1), torch.zeros(1)
    logits = (torch.nn.functional.normalize(x) @ torch.nn.functional.normalize(y).T) * math.exp(1)
    p, q = logits.log_softmax(1), logits.log_softmax(0).T
    kl = (q.exp() * (q - p)).sum() / 2048
    monkeypatch.setattr(blocks, "LARGEST", 128 * 2048)
    found = relic(x.float(), y.float(), zero + 1, zero)
    assert [float(v) for v in found] == pytest.approx([float(kl - p.diagonal().mean()), float(kl)], rel=1e-6)


@KINDS
def test_only_a_block_is_in_memory(contrast, monkeypatch):
    """What autograd keeps of a table in blocks is what went in, not the table."""
    monkeypatch.setattr(blocks, "LARGEST", 2**10)
    kept: list[int] = []
    x, tau = normal(128, 4).requires_grad_(), scalar(0.0).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        relic(x, x.detach() + 1, tau, tau, contrast=contrast)
    assert max(kept) < 128 * 128 / 8


def slow_v2(x, y, negatives, temperature, alpha, x_of_q=None) -> tuple[float, float]:
    """ReLICv2's loss and KL, image by image over its own candidates; q is that of `x_of_q`, x unless given."""
    forward, back = table(x, y, 1 / temperature, 0.0), table(y, x if x_of_q is None else x_of_q, 1 / temperature, 0.0)
    contrast = kl = 0.0
    for i in range(len(x)):
        candidates = [i, *(j for j in negatives if j != i)]
        p, q = softmax([forward[i][j] for j in candidates]), softmax([back[i][j] for j in candidates])
        contrast -= math.log(p[0]) / len(x)
        kl += divergence([q], [p]) / len(x)
    return contrast + alpha * kl, kl


@FEW
@given(n=st.integers(2, 7), k=st.integers(1, 7), temperature=st.floats(0.1, 2.0), alpha=st.floats(0.0, 2.0), seed=SEEDS)
def test_relicv2_is_the_loop(n, k, temperature, alpha, seed):
    """An image that is drawn as a negative is none for itself; its positive counts once."""
    x, y = normal(n, 3, seed=seed), normal(n, 3, seed=seed + 1)
    negatives = torch.randperm(n, generator=torch.Generator().manual_seed(seed))[:k]
    found = [float(v) for v in relicv2(x, y, negatives, temperature, alpha)]
    assert found == pytest.approx(slow_v2(x.numpy(), y.numpy(), negatives.tolist(), temperature, alpha), abs=1e-12)


def test_relicv2_from_all_images_is_relic():
    """With every image as a negative: loss, KL and gradient of ReLIC at a multiplier of 1 / temperature."""
    results = []
    for v2 in (True, False):
        x, y = normal(6, 4).requires_grad_(), normal(6, 4, seed=1).requires_grad_()
        order = torch.tensor([3, 1, 0, 5, 4, 2])
        scale = scalar(math.log(4.0))
        loss, kl = relicv2(x, y, order, 0.25, 0.7, False) if v2 else relic(x, y, scale, scalar(0.0), 0.7)
        loss.backward()
        results.append(torch.cat([torch.stack([loss, kl]).detach(), x.grad.flatten(), y.grad.flatten()]))
    assert torch.allclose(*results, rtol=1e-12, atol=1e-14)


def test_relicv2_gradient_is_the_finite_difference(monkeypatch):
    """Through p and q, in blocks too; with a stop, that of the loss whose q stays what it is."""
    x, y, few = normal(5, 3).requires_grad_(), normal(5, 3, seed=1).requires_grad_(), torch.tensor([4, 1])
    for largest in (2**24, 6):
        monkeypatch.setattr(blocks, "LARGEST", largest)
        assert torch.autograd.gradcheck(lambda a, b: relicv2(a, b, few, 0.5, 0.7, False), (x, y))
    relicv2(x, y, few, 0.5, 2.0)[0].backward()
    here, other = normal(5, 3).numpy(), normal(5, 3, seed=1).numpy()
    for i, j in ((0, 0), (1, 2), (4, 1)):
        sides = []
        for step in (1e-6, -1e-6):
            moved = here.copy()
            moved[i, j] += step
            sides.append(slow_v2(moved, other, [4, 1], 0.5, 2.0, here)[0])
        assert x.grad[i, j].item() == pytest.approx((sides[0] - sides[1]) / 2e-6, abs=1e-7)


@pytest.mark.parametrize("largest", [2**24, 9])
def test_retrieval_is_a_sort(largest, monkeypatch):
    """The place of an image's own among all, counted by sorting; in blocks too."""
    monkeypatch.setattr(blocks, "LARGEST", largest)
    x, y = normal(9, 3), normal(9, 3, seed=1)
    cosines = table(x.numpy(), y.numpy(), 1.0, 0.0)
    places = [sorted(row, reverse=True).index(row[i]) for i, row in enumerate(cosines)]
    expected = [100 * sum(place < k for place in places) / 9 for k in (1, 2, 5)]
    assert [float(v) for v in retrieval(x, y, (1, 2, 5))] == pytest.approx(expected)


def test_retrieval_of_few_and_of_equals():
    """Among three images all are in the first five; projections that are all the same find nobody."""
    x = normal(3, 2)
    assert float(retrieval(x, -x)[1]) == 100.0
    same = torch.ones(8, 2)
    assert [float(v) for v in retrieval(same, same)] == [0.0, 0.0]


LOSSES = {
    "relic": lambda x, y: relic(x, y, x.new_ones(1), x.new_zeros(1))[0],
    "sigmoid": lambda x, y: relic(x, y, x.new_ones(1), -x.new_ones(1), contrast="sigmoid")[0],
    "relicv2": lambda x, y: relicv2(x, y, torch.tensor([0, 1]), 0.1)[0],
}
every = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


@every
def test_exact_under_autocast(loss):
    """bfloat16 inputs under autocast give float32, as exact as float64 inputs without."""
    x, y = normal(16, 8).bfloat16(), normal(16, 8, seed=1).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(x, y)
    assert value.dtype == torch.float32 and float(value) == pytest.approx(float(loss(x.double(), y.double())), rel=1e-5)


@every
def test_bad_input_is_named(loss, unchecked):
    """One image, different numbers of images, numbers that are none."""
    x = normal(3, 2, dtype=torch.float32)
    with pytest.raises(ValueError, match="the batch has 1, the least is 2"):
        loss(x[:1], x[:1])
    with pytest.raises(ValueError, match=r"`x` \(3, 2\), `x_prime` \(2, 2\) must be of one shape"):
        loss(x, x[:2])
    with pytest.raises(ValueError, match="`x_prime` of relic.* holds numbers that are not finite"):
        loss(x, x / 0)


def test_bad_values_are_named(unchecked):
    """A multiplier or a temperature that is not above 0, a contrast that does not exist."""
    x, zero = normal(3, 2, dtype=torch.float32), torch.zeros(1)
    with pytest.raises(ValueError, match=r"`max_scale` \(=0.0\) must be above 0"):
        relic(x, x, zero, zero, max_scale=0.0)
    with pytest.raises(ValueError, match=r"`contrast` \(='soft'\) must be one of softmax, sigmoid"):
        relic(x, x, zero, zero, contrast="soft")
    with pytest.raises(ValueError, match=r"`temperature` \(=-1.0\) must be above 0"):
        relicv2(x, x, torch.tensor([0]), -1.0)


@pytest.mark.parametrize("name", COMMANDS)
def test_recipes_are_the_commands(name):
    """Every value of the original's command line, and what its script fixes, by the original's names."""
    recipe, given_ = RECIPES[name], {**DEFAULTS, **COMMANDS[name]}
    method, optim, config = recipe.method, recipe.optim, recipe.train
    data, size = DATA[given_["dataset_name"]]
    encoder = ENCODERS[given_["encoder_model_name"]]
    told = {
        "dataset_name": next(theirs for theirs, (ours, _) in DATA.items() if ours == recipe.data),
        "encoder_model_name": next(theirs for theirs, ours in ENCODERS.items() if ours == recipe.encoder),
        "num_epochs": config.epochs,
        "batch_size": config.batch_size,
        "learning_rate": optim.lr,
        "weight_decay": optim.weight_decay,
        "fp16_precision": config.precision == "fp16",
        "proj_out_dim": method.out,
        "proj_hidden_dim": method.hidden,
        "log_every_n_steps": config.save_every,
        "gamma": method.decay,
        "alpha": method.alpha,
        "update_gamma_after_step": method.after,
        "update_gamma_every_n_steps": method.every,
        "use_siglip": method.contrast == "sigmoid",
        "num_global_views": method.large,
        "num_local_views": recipe.views.small,
    }
    assert told == given_
    fixed = {
        "seed": config.seed,
        "optimizer": type(optim).__name__,
        "betas": optim.betas,
        "eps": optim.eps,
        "schedule": type(optim.schedule).__name__.lower(),
        "gradient_clipping": config.clip_norm or config.clip_value,
        "drop_last": config.drop_last,
        "mean": recipe.mean,
        "std": recipe.std,
    }
    assert fixed == FIXED and optim.decayed == "all" and not optim.groups and config.accumulate == 1
    assert (method.logits or STARTS[method.contrast]) == LOGITS[given_["use_siglip"]]
    assert recipe.stem == (None if encoder == "efficientnet_v2_s" else STEMS[given_["dataset_name"]])
    assert (recipe.image_size or size) == size and recipe.data == data and recipe.encoder == encoder
    assert (method.pairs, method.kl, method.stop_gradient) == ("intended", "one_matrix", False)


def test_relicv2_is_what_is_published():
    """As far as it is certain: the network, the data, and BYOL's settings of large views, by turns."""
    recipe = RECIPES["relicv2"]
    found = {"method": type(recipe.method).__name__, "encoder": recipe.encoder, "data": recipe.data}
    large = recipe.views.build(3, 224).pipelines[: recipe.views.large]
    assert found == RELICV2 and large == BYOLViews(**RELICV2_VIEWS).build(3, 224).pipelines * (recipe.views.large // 2)


def test_recipes_compare_the_views_that_they_make():
    """The large views of the policy are those that the target sees; every command has its recipe."""
    assert RECIPES.keys() - COMMANDS.keys() == {"relicv2"}
    assert all(recipe.views.large == recipe.method.large for recipe in RECIPES.values())
