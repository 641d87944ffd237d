"""Predictors in closed form, their statistics and constraints against slow implementations in float64."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, solve_sylvester
from torch import nn

from erlangen.losses import crosswise, negative_cosine, regression, squared_distance
from erlangen.measures.eigenspace import alignment, asymmetry, eigenspace, linearised, predictor_spectrum
from erlangen.methods.base import Clock
from erlangen.methods.byol import BYOL
from erlangen.methods.directcopy import DirectCopy
from erlangen.methods.directpred import DirectPred
from erlangen.methods.linearpred import LinearPred
from erlangen.methods.partitionpred import PartitionPred
from erlangen.methods.simsiam import SimSiam
from erlangen.nets import Encoder, mlp
from erlangen.optim import SGD
from erlangen.predictors import (
    Average,
    Correlation,
    CrossCorrelation,
    Partition,
    balanced,
    constrained,
    direct_copy,
    direct_pred,
    due,
    glorot_,
    half_space,
    half_squares,
    minimal_space,
    regulate_,
    restart_due,
    scramble_,
    solve,
    weights,
)

FEW = settings(deadline=None, max_examples=10, derandomize=True)
SEEDS = st.integers(0, 2**32)
DIAGONAL = torch.tensor([[1.0, 0.0], [0.0, 3.0]], dtype=torch.float64)
EYE = torch.eye(2, dtype=torch.float64)


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def positive(d: int, seed: int = 0, scale: float = 1.0) -> torch.Tensor:
    """A symmetric positive definite matrix."""
    a = normal(2 * d, d, seed=seed)
    return scale * a.T @ a / (2 * d)


def close(a, b, atol: float = 1e-9) -> bool:
    return torch.allclose(torch.as_tensor(a).double(), torch.as_tensor(b).double(), rtol=1e-8, atol=atol)


# Losses


@FEW
@given(n=st.integers(1, 7), d=st.integers(1, 6), scale=st.floats(0.1, 4.0), seed=SEEDS)
def test_crosswise_is_the_loop(n, d, scale, seed):
    """Every form, image by image, each prediction against the other view's target."""
    p1, p2, z1, z2 = (normal(n, d, seed=seed + i) for i in range(4))
    sums = dict.fromkeys(("distance", "cosine", "unnormalized"), 0.0)
    for p, z in ((p1, z2), (p2, z1)):
        for a, b in zip(p.numpy(), z.numpy(), strict=True):
            cosine = float((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum()))
            sums["distance"] += 2 - 2 * cosine
            sums["cosine"] -= cosine
            sums["unnormalized"] += float(((a - b) ** 2).sum())
    for form, total in sums.items():
        assert crosswise(p1, p2, z1, z2, form, scale).item() == pytest.approx(scale * total / n)


def test_losses_by_hand():
    """The numbers of the docstrings."""
    p, z, up = (torch.tensor([row]) for row in ([1.0, 0.0], [3.0, 4.0], [0.0, 1.0]))
    assert [loss(p, z).item() for loss in (regression, negative_cosine, squared_distance)] == pytest.approx(
        [0.8, -0.6, 20]
    )
    assert crosswise(p, p, z, up, "cosine", 0.5).item() == pytest.approx(-0.3)


@pytest.mark.parametrize("form", ["distance", "cosine", "unnormalized"])
def test_targets_get_no_gradient(form):
    """The predictions learn, the targets do not; the gradient is the derivative."""
    p1, p2, z1, z2 = (normal(3, 4, seed=i).requires_grad_() for i in range(4))
    crosswise(p1, p2, z1, z2, form).backward()
    assert z1.grad is None and z2.grad is None
    assert torch.autograd.gradcheck(lambda a, b: crosswise(a, b, z1.detach(), z2.detach(), form), (p1, p2))


def test_what_is_not_finite_or_unknown_is_named(unchecked):
    """The argument that holds a NaN; the form that does not exist and those that do."""
    z = normal(3, 2)
    with pytest.raises(ValueError, match="`z2` of crosswise holds numbers that are not finite"):
        crosswise(z, z, z, z * math.nan)
    with pytest.raises(ValueError, match=r"`form` \(=euclid\).*distance, cosine, unnormalized"):
        crosswise(z, z, z, z, "euclid")


@pytest.mark.parametrize("loss", [regression, negative_cosine, squared_distance])
def test_a_target_for_each_prediction(loss, unchecked):
    """One target for eight predictions, or one less dimension, is refused by name and not spread."""
    p, z = normal(8, 4), normal(1, 4)
    with pytest.raises(ValueError, match=r"`p` \(8, 4\), `z` \(1, 4\) must be of one shape"):
        loss(p, z)
    with pytest.raises(ValueError, match=r"`z1` \(8, 4\), `z2` \(1, 4\) must be of one shape"):
        crosswise(p, p, p, z)


# Closed forms


@FEW
@given(
    d=st.integers(1, 8),
    eps=st.floats(-0.2, 0.5),
    power=st.floats(0.2, 2.0),
    inside=st.booleans(),
    clip=st.booleans(),
    reg=st.floats(0, 0.5),
    scale=st.floats(0.1, 3.0),
    seed=SEEDS,
)
def test_boost_scale_is_the_loop(d, eps, power, inside, clip, reg, scale, seed):
    """Eigenvalue by eigenvalue; the matrix has F's eigenvectors."""
    f = positive(d, seed, scale)
    values, vectors = np.linalg.eigh(f.numpy())
    m, expected = values.max(), np.zeros((d, d))
    for v, u in zip(values, vectors.T, strict=True):
        x = max(v, 0.0) / m
        x = min(x, m) if clip else x
        x = max(x + eps, 1e-4) ** power if inside else max(x**power + eps, 1e-4)
        expected += (1 - reg) * x * np.outer(u, u)
    assert close(direct_pred(f, "boost_scale", eps, power, inside, clip, reg), torch.from_numpy(expected))


@pytest.mark.parametrize(
    "balance, reg, expected",
    [
        ("clamp", 0.25, [0.0, 0.5, 0.75]),
        ("scale", 0.5, [-0.4, 0.2, 0.8]),  # 2 > 1 - .5: divided by 2.5
        ("scale", -1.5, [-1.0, 0.5, 2.0]),  # 2 is not above 2.5
        ("shrink2mean", 0.0, [-0.25, 0.5, 1.25]),
    ],
)
def test_balances_by_hand(balance, reg, expected):
    """The other maps of eigenvalues -1, .5 and 2."""
    v = torch.tensor([-1.0, 0.5, 2.0])
    assert balanced(v, balance, reg=reg).tolist() == pytest.approx(expected)


def test_closed_forms_by_hand():
    """The numbers of the docstrings."""
    assert close(direct_pred(torch.diag(torch.tensor([4.0, 1.0])), eps=0.1), torch.diag(torch.tensor([1.1, 0.6])), 1e-6)
    assert close(direct_copy(torch.diag(torch.tensor([3.0, 4.0])), eps=0.1), torch.diag(torch.tensor([0.7, 0.9])), 1e-6)
    assert close(solve(DIAGONAL, EYE, 1.0), torch.diag(torch.tensor([0.5, 0.25])))
    assert close(minimal_space(DIAGONAL, EYE), torch.diag(torch.tensor([1.0, 1 / 3], dtype=torch.float64)))


def test_a_collapsed_f_gives_a_finite_predictor():
    """F = 0: eps times the identity, without a division by 0."""
    f = torch.zeros(3, 3)
    assert close(direct_pred(f, eps=0.1), 0.1 * torch.eye(3), 1e-7)
    assert close(direct_copy(f, "spectral", 0.3), 0.3 * torch.eye(3), 1e-7)


@FEW
@given(d=st.integers(1, 8), power=st.floats(0.3, 2.0), eps=st.floats(0, 0.5), seed=SEEDS)
def test_direct_copy_is_numpys(d, power, eps, seed):
    """DirectSet with each norm, by numpy's eigenvectors and norms; power 1 is F itself."""
    f = positive(d, seed)
    values, vectors = np.linalg.eigh(f.numpy())
    for alpha, g in ((power, vectors * values**power @ vectors.T), (1.0, f.numpy())):
        for norm, size in (("frobenius", np.linalg.norm(g)), ("spectral", np.linalg.norm(g, 2)), ("none", 1.0)):
            assert close(direct_copy(f, norm, eps, alpha), torch.from_numpy(g / size + eps * np.eye(d)))


@FEW
@given(n=st.integers(6, 20), d=st.integers(1, 5), reg=st.floats(0.01, 1.0), seed=SEEDS)
def test_solve_is_ridge_regression(n, d, reg, seed):
    """From the right, the linear map from inputs to targets that numpy's least squares finds with the penalty n reg."""
    z, t = normal(n, d, seed=seed), normal(n, d, seed=seed + 1)
    padded = np.concatenate([z.numpy(), math.sqrt(n * reg) * np.eye(d)])
    expected = np.linalg.lstsq(padded, np.concatenate([t.numpy(), np.zeros((d, d))]), rcond=None)[0].T
    assert close(solve(z.T @ z / n, t.T @ z / n, reg, left=False), torch.from_numpy(expected))
    assert close(solve(z.T @ z / n, z.T @ t / n, reg, left=True), torch.from_numpy(expected.T))


@FEW
@given(d=st.integers(1, 6), reg=st.floats(0, 1.0), time=st.floats(0, 2.0), seed=SEEDS)
def test_minimal_space_is_the_equation(d, reg, time, seed):
    """SciPy's solution of FW + WF + reg W = 2C; after a time, its exponential."""
    f, c = positive(d, seed) + 0.1 * torch.eye(d), normal(d, d, seed=seed + 1)
    half = f.numpy() + 0.5 * reg * np.eye(d)
    assert close(minimal_space(f, c, reg), torch.from_numpy(solve_sylvester(half, half, 2 * c.numpy())))
    decay = expm(-time * f.numpy())
    assert close(minimal_space(f, c, reg, time), torch.from_numpy(decay @ c.numpy() @ decay))


def test_minimal_space_on_the_diagonal():
    """Only what C has on the diagonal in F's eigenvectors, divided by d + reg / 2."""
    f, c = positive(4), normal(4, 4, seed=1)
    values, u = np.linalg.eigh(f.numpy())
    expected = sum((x @ c.numpy() @ x) / (v + 0.1) * np.outer(x, x) for v, x in zip(values, u.T, strict=True))
    assert close(minimal_space(f, c, reg=0.2, diagonal=True), torch.from_numpy(expected))


@pytest.mark.parametrize("steps, size", [(0, 1.0), (1, 1.0), (30, 1.0), (3, 200.0)])  # the last overshoots
def test_positive_semidefinite_minimal_space_is_the_loop(steps, size):
    """Negative eigenvalues are cut; then gradient steps of .01 on a root, of which the best counts."""
    f, c = positive(4, scale=size), size * normal(4, 4, seed=1)
    c = (c + c.T) / 2
    values, u = np.linalg.eigh(minimal_space(f, c).numpy())
    assert values.min() < 0
    half, seen = u * np.sqrt(np.maximum(values, 0)), []
    for _ in range(steps):
        w = half @ half.T
        grad = (2 * c.numpy() - f.numpy() @ w - w @ f.numpy()) @ half
        seen.append((np.linalg.norm(grad), half))
        half = half + 0.01 * grad
    best = min(seen, key=lambda pair: pair[0])[1] if seen else half
    assert size == 1 or best is not seen[-1][1]
    assert close(minimal_space(f, c, psd_steps=steps), torch.from_numpy(best @ best.T), 1e-8)


def test_half_a_space_is_projected_on():
    """Of 7 eigenvalues three are .5 + eps and the others eps; the space is another one each time."""
    template = torch.zeros(7, 7, dtype=torch.float64)
    first, second = half_space(template, 0.5, 0.5, 1e-3), half_space(template, 0.5, 0.5, 1e-3)
    assert torch.linalg.eigvalsh(first).tolist() == pytest.approx([1e-3] * 4 + [0.501] * 3)
    assert close(first, first.T) and (first - second).abs().max() > 0.01


# Statistics


@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0, None])
def test_average_is_the_loop(rho):
    """The first value, then the old one times rho; or the mean of all."""
    values, average = normal(5, 3, 2), Average(3, 2).double()
    expected = values[0]
    for i, x in enumerate(values):
        average.update(x, rho)
        if rho is None:
            expected = values[: i + 1].mean(0)
        elif i:
            expected = rho * expected + (1 - rho) * x
        assert close(average.value, expected) and average.count == i + 1


def test_correlations_are_the_loop():
    """F, its centred form, and the mean of t z', row by row, over two steps; bfloat16 rows are summed in float32."""
    both, single = CrossCorrelation(3).double(), Correlation(3)
    steps = [(normal(6, 3, seed=i), normal(6, 3, seed=10 + i)) for i in range(2)]
    moments = []
    for z, t in steps:
        both.update(z, t, 0.25)
        single.update(z.bfloat16(), 0.25)
        f, c = np.zeros((3, 3)), np.zeros((3, 3))
        for a, b in zip(z.numpy(), t.numpy(), strict=True):
            f, c = f + np.outer(a, a) / 6, c + np.outer(b, a) / 6
        moments.append((f, c, z.numpy().mean(0), t.numpy().mean(0)))
    f, c, mz, mt = (0.25 * old + 0.75 * new for old, new in zip(*moments, strict=True))
    for mine, expected in zip(
        (*both.matrices(False), *both.matrices(True)), (f, c, f - np.outer(mz, mz), c - np.outer(mt, mz)), strict=True
    ):
        assert close(mine, torch.from_numpy(expected))
    assert single.matrix(False).dtype == torch.float32 and close(single.matrix(False), torch.from_numpy(f), 0.02)
    both.reset()
    both.update(*steps[0], 0.25)
    assert close(both.matrices(False)[1], torch.from_numpy(moments[0][1]))


def test_partition_is_the_loop():
    """The F of each side of each plane, and the prediction by the mean of the matrices of the sides, row by row."""
    torch.manual_seed(0)
    partition, views = Partition(3, 2).double(), [normal(7, 3, seed=i) for i in range(2)]
    expected, counts, where = np.zeros((2, 2, 3, 3)), np.zeros((2, 2)), []
    for view in views:
        along = view.numpy() @ partition.planes.numpy()
        where.append((along >= along.mean(0)).astype(int))
        for row, side in zip(view.numpy(), where[-1], strict=True):
            for k in range(2):
                expected[k, side[k]] += np.outer(row, row)
                counts[k, side[k]] += 1
    assert close(partition.moments(views), torch.from_numpy(expected / counts[..., None, None]))
    w = normal(2, 2, 3, 3, seed=5)
    rows = zip(views[0].numpy(), where[0], strict=True)
    predicted = [sum(w[k, side[k]].numpy() @ row for k in range(2)) / 2 for row, side in rows]
    assert close(partition.predict(views[0], w), torch.from_numpy(np.array(predicted)))


def test_an_empty_side_has_no_moments():
    """Rows that are all alike lie on one side; the other's matrix is 0, as in the original."""
    partition = Partition(2, 1)
    moments = partition.moments([torch.zeros(4, 2)])
    assert torch.equal(moments, torch.zeros_like(moments))


def test_partitions_are_exact_under_autocast():
    """What `loss` forms of bfloat16 rows within autocast is bitwise what `after_step` forms of them without."""
    partition, views = Partition(16, 2), [normal(2048, 16, seed=i).bfloat16() for i in range(2)]
    plain, sides = partition.moments(views), partition.sides(views[0])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(partition.moments(views), plain)
        assert torch.equal(partition.sides(views[0]), sides)
    assert plain.dtype == sides.dtype == torch.float32


def minimal(values: dict, steps: int = 3):
    """`LinearPred` after so many steps of known rows, and the rows: inputs and targets of the other view."""
    method = LinearPred(hidden=4, out=3, frequency=2, first=2, **values)
    encoder = Encoder()
    encoder.dim = 4
    nets = method.build(encoder).double()
    carries = [
        {name: normal(5, 3, seed=10 * i + j) for j, name in enumerate(("z1", "z2", "t1", "t2"))} for i in range(steps)
    ]
    for i, carry in enumerate(carries):
        method.after_step(nets, carry, Clock(i + 1, 9, 3))
        if i == 1:
            found = nets.predictor.weight.detach().clone()
    rows = [(torch.cat([c["z1"], c["z2"]]), torch.cat([c["t2"], c["t1"]])) for c in carries]
    moments = [(z.T @ z / 10, t.T @ z / 10, z.mean(0), t.mean(0)) for z, t in rows]
    return found, moments, nets


@pytest.mark.parametrize("rule, rho", [("solve", 0.25), ("minimal_space", 0.25), ("minimal_space", None)])
@pytest.mark.parametrize("centred", [False, True])
def test_linear_predictors_are_set_from_their_statistics(rule, rho, centred):
    """After the second step, by the rule, of F and the mean of t z' with targets of the other view, made symmetric."""
    found, moments, nets = minimal({"rule": rule, "rho": rho, "centred": centred, "reg": 0.1})
    f, c, mz, mt = (
        (0.5 if rho is None else rho) * a + (0.5 if rho is None else 1 - rho) * b
        for a, b in zip(*moments[:2], strict=True)
    )
    if centred:
        f, c = f - torch.outer(mz, mz), c - torch.outer(mt, mz)
    expected = solve(f, c, 0.1) if rule == "solve" else minimal_space(f, (c + c.T) / 2, 0.1)
    assert close(found, expected)
    fresh = rule == "minimal_space" and rho is None  # its averages begin anew after each update
    assert nets.correlation.cross.count == (1 if fresh else 3)
    assert close(nets.correlation.cross.value, moments[2][1]) == fresh


def test_a_half_space_is_set_by_its_method():
    """`onehalfeig`: the eigenvalues of the fields, after the steps of its frequency; symmetric in between."""
    found, _, nets = minimal({"rule": "onehalfeig", "rank": 0.7, "eigenvalue": 2.0, "eps": 0.5})
    assert torch.linalg.eigvalsh(found).tolist() == pytest.approx([0.5, 2.5, 2.5])
    assert close(nets.predictor.weight.detach(), found)


def test_partitions_follow_their_moments():
    """`PartitionPred` predicts with matrices that hold this step's images, and keeps them after the step."""
    method = PartitionPred(hidden=4, out=3, rho=0.25)
    encoder = Encoder()
    encoder.dim = 4
    nets = method.build(encoder).double()
    steps = [[normal(6, 3, seed=2 * i + j) for j in range(2)] for i in range(2)]
    for i, (z1, z2) in enumerate(steps):
        method.after_step(nets, {"z1": z1, "z2": z2}, Clock(i + 1, 9, 3))
    old, new = (nets.partition.moments(step) for step in steps)
    assert close(nets.partition.second.value, 0.25 * old + 0.75 * new)


# Layers


def test_constraints_by_hand():
    """Of ((1, 4), (0, 1)): symmetric ((1, 2), (2, 1)) with the eigenvalues 3 and -1; that by 3; its diagonal."""
    w = torch.tensor([[1.0, 4.0], [0.0, 1.0]])
    symmetric = torch.tensor([[1.0, 2.0], [2.0, 1.0]])
    assert close(constrained([w], "symmetric")[0], symmetric)
    assert close(constrained([w], "symmetric_norm")[0], symmetric / 3, 1e-6)
    assert close(constrained([w], "diagonal")[0], torch.eye(2))
    small = 1e-3 * torch.eye(2)
    assert close(constrained([small], "symmetric_norm")[0], small)
    assert constrained([w], "none")[0] is w


def test_rows_of_a_symmetric_predictor_have_length_one():
    """Both layers stay each other's transpose."""
    first, second = constrained([normal(5, 3), normal(3, 5, seed=1)], "symmetric_row_norm")
    assert close(first, second.T) and close(first.norm(dim=1), torch.ones(5))
    dead = constrained([torch.zeros(5, 3), torch.zeros(3, 5)], "symmetric_row_norm")
    assert not any(w.any() for w in dead)  # which NaN is too


def test_simsiams_predictor_has_a_bottleneck():
    """Its hidden layer is as wide as `bottleneck` says, not as the projector's."""
    encoder = Encoder()
    encoder.dim = 4
    nets = SimSiam(hidden=8, out=6, bottleneck=3).build(encoder)
    assert [tuple(w.shape) for w in weights(nets.predictor)] == [(3, 6), (6, 3)]


def test_weights_shrink_and_biases_stay():
    """By the fraction, in all linear layers."""
    net = mlp(3, 4, 3, bias=True)
    before = {name: x.clone() for name, x in net.state_dict().items()}
    regulate_(net, "none", 0.25)
    for name, x in net.state_dict().items():
        linear = name in ("0.weight", "3.weight")
        assert close(x, (0.75 if linear else 1.0) * before[name])


@pytest.mark.parametrize("frequency, first, expected", [(1, 1, [1, 2, 3, 4, 5, 6]), (3, 1, [1, 4]), (3, 3, [3, 6])])
def test_steps_on_which_a_predictor_is_set(frequency, first, expected):
    """Official: the first step and every f-th after it; KTH: every f-th."""
    assert [step for step in range(1, 7) if due(step, frequency, first)] == expected


@pytest.mark.parametrize("n_epoch, n_iter", [(0, 0), (1, 0), (2, 0), (0, 5), (3, 4)])
def test_restarts_are_those_of_the_original_loop(n_epoch, n_iter):
    """Before epochs (from 1) and iterations (from 0) that are divisible, but for the very beginning."""
    restarts, niter, per_epoch = set(), 0, 3
    for epoch in range(1, 8):
        if n_epoch and epoch % n_epoch == 0:
            restarts.add(niter)
        for _ in range(per_epoch):
            if n_iter and niter % n_iter == 0:
                restarts.add(niter)
            niter += 1
    assert {s for s in range(1, niter) if restart_due(s, per_epoch, n_epoch, n_iter)} == restarts - {0}


@pytest.mark.parametrize("layers, fresh", [("all", {0, 3}), ("first", {0}), ("last", {3})])
def test_layers_begin_anew(layers, fresh):
    """Uniform in Glorot's range, biases 0, and only where asked for."""
    net = mlp(30, 50, 20, bias=True)
    before = {name: x.clone() for name, x in net.state_dict().items()}
    glorot_(net, layers)
    for i, (a, b) in {0: (30, 50), 3: (50, 20)}.items():
        weight, bias = net[i].weight.detach(), net[i].bias.detach()
        if i not in fresh:
            assert torch.equal(weight, before[f"{i}.weight"]) and torch.equal(bias, before[f"{i}.bias"])
            continue
        limit = math.sqrt(6 / (a + b))
        assert 0.95 * limit < weight.abs().max() <= limit
        assert weight.var().item() == pytest.approx(limit**2 / 3, rel=0.1) and not bias.any()


def test_scrambled_weights_are_other_weights_of_the_same_kind():
    """Every parameter keeps its entries and loses their order."""
    net = mlp(8, 16, 8)
    before = [p.detach().clone() for p in net.parameters()]
    scramble_(net)
    for p, old in zip(net.parameters(), before, strict=True):
        assert torch.equal(p.detach().flatten().sort().values, old.flatten().sort().values)
    assert not torch.equal(net[0].weight, before[0])


def test_half_squares_are_what_an_optimiser_decays():
    """By hand; and their gradient is what SGD with decayed `weights` subtracts."""
    layer = nn.Linear(2, 1)
    layer.load_state_dict({"weight": torch.tensor([[1.0, 2.0]]), "bias": torch.tensor([7.0])})
    assert half_squares(layer).item() == 2.5
    net = nn.ModuleDict({"head": mlp(3, 4, 3, bias=True), "frozen": nn.Linear(3, 3).requires_grad_(False)}).double()
    net["head"][1].bias.data.fill_(0.5)
    value, before = half_squares(net), {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = SGD(lr=1.0, momentum=0.0, weight_decay=0.5, decayed="weights").build(net)
    for p in net["head"].parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    moved = {name: (before[name] - p.detach()) / 0.5 for name, p in net.named_parameters()}
    assert close(sum((x * before[name]).sum() for name, x in moved.items()) / 2, value)
    assert not moved["head.0.bias"].any() and not moved["frozen.weight"].any()


# Measures


def test_eigenspace_by_hand():
    """The numbers of the docstrings."""
    a = torch.tensor([[3.0], [4.0]])
    assert linearised([torch.tensor([[1.0, 2.0]]), a]).tolist() == [[3, 6], [4, 8]]
    assert asymmetry(torch.tensor([[1.0, 2.0], [0.0, 1.0]])).item() == 1
    assert predictor_spectrum(torch.tensor([[2.0, 1.0], [0.0, 3.0]])).tolist() == pytest.approx([3, 2])
    assert alignment(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), torch.tensor([[0.0], [1.0]])).item() == pytest.approx(
        0.5**0.5
    )


@FEW
@given(d=st.integers(1, 8), seed=SEEDS)
def test_eigenspace_is_numpys(d, seed):
    """Spectra, alignment vector by vector and asymmetry entry by entry, all descending by F's eigenvalues."""
    f, wp = positive(d, seed), normal(d, d, seed=seed + 1)
    found = eigenspace(f, wp)
    values, vectors = np.linalg.eigh(f.numpy())
    cosines = []
    for u in vectors.T[::-1]:
        moved = wp.numpy() @ u
        cosines.append(float(u @ moved / np.linalg.norm(moved)))
    assert found.f.tolist() == pytest.approx(values[::-1])
    assert found.predictor.tolist() == pytest.approx(sorted(np.linalg.eigvals(wp.numpy()).real, reverse=True))
    assert found.alignment.tolist() == pytest.approx(cosines) and found.aligned == sum(c > 0.9 for c in cosines)
    pairs = [(i, j) for i in range(d) for j in range(d)]
    skew = sum(abs(float(wp[i, j] - wp[j, i])) for i, j in pairs)
    assert found.asymmetry == pytest.approx(skew / sum(abs(float(wp[i, j])) for i, j in pairs))


def test_a_random_predictor_is_asymmetric_by_the_square_root_of_two():
    """KTH's 1.41 before training, of 128 -> 512 -> 128 as Keras begins it; 0 once it is made symmetric."""
    torch.manual_seed(0)
    net = glorot_(mlp(128, 512, 128))
    assert float(asymmetry(linearised(weights(net)))) == pytest.approx(math.sqrt(2), abs=0.04)
    regulate_(net, "symmetric")
    assert float(asymmetry(linearised(weights(net)))) < 1e-6


# Hyperparameters


@pytest.mark.parametrize(
    "method, values, message",
    [
        (BYOL, {"decay": 1.5}, r"`decay` \(=1.5\) must lie in \[0, 1\]"),
        (BYOL, {"scale": 0.0}, r"`scale` \(=0.0\) must be a number above 0"),
        (BYOL, {"predictor_layers": 0}, r"`predictor_layers` \(=0\) must lie in \[1, inf\]"),
        (BYOL, {"constraint": "diagonal"}, r"`constraint` \(=diagonal\) is for `predictor_layers` \(=2\) of 1: change"),
        (BYOL, {"restart_steps": -1}, r"`restart_steps` \(=-1\)"),
        (SimSiam, {"constraint": "even"}, r"`constraint` \(=even\) must be one of none, symmetric"),
        (SimSiam, {"shrink": math.nan}, r"`shrink` \(=nan\)"),
        (SimSiam, {"form": "euclid"}, r"`form` \(=euclid\) must be one of distance"),
        (DirectPred, {"rho": -0.1}, r"`rho` \(=-0.1\)"),
        (DirectPred, {"power": 0.0}, r"`power` \(=0.0\)"),
        (DirectPred, {"balance": "boost"}, r"`balance` \(=boost\) must be one of boost_scale, clamp"),
        (DirectPred, {"eps": math.nan}, r"`eps` \(=nan\).*finite"),
        (DirectPred, {"reg": 2.0}, r"`reg` \(=2.0\) must lie in \[0, 1\]"),
        (DirectCopy, {"norm": "l2"}, r"`norm` \(=l2\) must be one of frobenius, spectral, none"),
        (DirectCopy, {"frequency": 0}, r"`frequency` \(=0\)"),
        (LinearPred, {"rule": "corr"}, r"`rule` \(=corr\) must be one of solve"),
        (LinearPred, {"time": -3.0}, r"`time` \(=-3.0\)"),
        (LinearPred, {"eigenvalue": math.nan}, r"`eigenvalue` \(=nan\)"),
        (LinearPred, {"eps": -math.inf}, r"`eps` \(=-inf\)"),
        (LinearPred, {"rank": 0.0}, r"`rank` \(=0.0\)"),
        (LinearPred, {"reg": -0.1}, r"`reg` \(=-0.1\) must lie in \[0, inf\]"),
        (PartitionPred, {"partitions": 0}, r"`partitions` \(=0\)"),
    ],
)
def test_what_cannot_be_is_refused(method, values, message, unchecked):
    """At construction, with the name, the value and what is allowed."""
    with pytest.raises(ValueError, match=message):
        replace(method(), **values)
