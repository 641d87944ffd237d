"""What decoding and steering are made of, against scikit-learn, numpy and numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from erlangen.measures.steer import bilinear, components
from erlangen.solvers import PENALTIES, held_out, perceptron, r2, r2_scores, ridge_of_versions
from erlangen.solvers.intervals import mean, with_intervals
from erlangen.spaces import SO3, Interval
from erlangen.views import View


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def tensor(*rows: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize("quality", [0.0, 0.3, 3.0])
def test_r2_scores_are_scikit_learn(quality):
    """Mean over outputs, all outputs as one, weighted by variance; good, middling and worse than useless."""
    target = normal(4, 20, 3) * torch.tensor([1.0, 10.0, 0.1]) + torch.tensor([4.0, 0.0, -1.0])
    prediction = target + quality * normal(4, 20, 3, seed=1)
    y, p = (x.flatten(0, 1).numpy() for x in (target, prediction))
    floor = r2_score(y.ravel(), np.broadcast_to(y.mean(0), y.shape).ravel())
    expected = {
        "r2": r2_score(y, p),
        "r2_pooled": r2_score(y.ravel(), p.ravel()),
        "r2_floor": floor,
        "r2_corrected": r2_score(y, p, multioutput="variance_weighted"),
    }
    found = r2_scores(prediction, target)
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected, abs=1e-10)
    assert float(found["r2"]) == pytest.approx(r2(prediction.flatten(0, 1), target.flatten(0, 1)), abs=1e-10)
    corrected = (expected["r2_pooled"] - floor) / (1 - floor)
    assert float(found["r2_corrected"]) == pytest.approx(corrected, abs=1e-10)


def test_r2_scores_by_hand():
    """Targets (0, 2), (2, 4), predictions (0, 2), (2, 3): 0.75, 0.875, 0.5, 0.75."""
    found = r2_scores(tensor((0, 2), (2, 3)), tensor((0, 2), (2, 4)))
    expected = {"r2": 0.75, "r2_pooled": 0.875, "r2_floor": 0.5, "r2_corrected": 0.75}
    assert {name: float(value) for name, value in found.items()} == pytest.approx(expected)


def test_r2_scores_of_weights_are_those_of_repeated_images():
    """An image that counts twice is as good as one that is there twice, in all of its versions; 0 leaves it out."""
    target, prediction = normal(3, 5, 2), normal(3, 5, 2, seed=1)
    weights = tensor((1, 1, 1, 1, 1), (2, 0, 1, 3, 0))
    repeated = torch.tensor([0, 0, 2, 3, 3, 3])
    found = r2_scores(prediction, target, weights)
    plain, other = r2_scores(prediction, target), r2_scores(prediction[:, repeated], target[:, repeated])
    for name in found:
        torch.testing.assert_close(found[name], torch.cat([plain[name], other[name]]))


def test_a_constant_has_the_floor():
    """The best constant scores the floor exactly: 0 as a mean over outputs, well above it pooled over a quaternion."""
    space = SO3(limit=math.pi / 2, convention="right")
    q = space.from_unit(torch.rand(20_000, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64))
    relative = space.relative(q[:10_000], q[10_000:]) + space.identity
    for target, floor in ((q, 0.461), (relative, 0.229)):  # of 3DIEBench's latents
        found = r2_scores(target.mean(0).expand_as(target), target)
        assert float(found["r2"]) == pytest.approx(0, abs=1e-9) == float(found["r2_corrected"])
        assert float(found["r2_pooled"]) == pytest.approx(float(found["r2_floor"]), abs=1e-9)
        assert float(found["r2_floor"]) == pytest.approx(floor, abs=0.01)


def test_r2_scores_need_something_to_explain():
    """A target of one value is refused."""
    with pytest.raises(ValueError, match="does not vary"):
        r2_scores(normal(5, 2), torch.ones(5, 2))


def test_ridge_of_versions_is_scikit_learn():
    """Each target has its own penalty, chosen by squared error on images none of whose versions was fitted."""
    own = normal(1, 40, 30)
    x = own.expand(4, -1, -1) + 0.1 * normal(4, 40, 30, seed=1)
    y = torch.cat([x[..., :1], normal(1, 40, 2, seed=2).expand(4, -1, -1)], 2)  # told, and known of each image by heart
    models = ridge_of_versions(x, y, [1, 2], seed=3)
    rows, choose = held_out(40, 0.2, 3)
    part = {"fit": x[:, rows].flatten(0, 1), "all": x.flatten(0, 1), "new": x[:, choose].flatten(0, 1)}
    best = []
    for columns, model in zip((slice(0, 1), slice(1, 3)), models, strict=True):
        target = y[..., columns]

        def fitted(name, truth, penalty, part=part):
            data = part[name].numpy()
            center, scale = data.mean(0), data.std(0)
            theirs = Ridge(alpha=len(data) * penalty, solver="svd").fit((data - center) / scale, truth)
            return lambda new: theirs.predict((new - center) / scale)

        errors = {}
        for penalty in (*PENALTIES, 10, 100, 1000):
            guess = fitted("fit", target[:, rows].flatten(0, 1).numpy(), penalty)(part["new"].numpy())
            truth = target[:, choose].flatten(0, 1).numpy()
            errors[penalty] = float(((guess.reshape(truth.shape) - truth) ** 2).mean())
        best.append(min(errors, key=errors.__getitem__))
        assert model.penalty == best[-1]
        expected = fitted("all", target.flatten(0, 1).numpy(), model.penalty)(part["all"].numpy())
        np.testing.assert_allclose(model(part["all"]).numpy().ravel(), expected.ravel(), atol=1e-8)
    assert best[0] < 1e-2 and best[1] > 1  # by rows, versions of the same images would have it the other way


def test_perceptron_learns_what_no_line_does():
    """A parity of two signs, on new rows; the same seed gives the same network, and torch's own generator is left."""
    x = normal(400, 2)
    y = x.sign().prod(1, keepdim=True) * 5 + 7
    nets = []
    for state, seed in ((0, 0), (1, 0), (0, 1)):
        torch.manual_seed(state)
        before = torch.random.get_rng_state()
        nets.append(perceptron(x, y, hidden=(32, 32), epochs=12, lr=1e-2, batch_size=64, seed=seed))
        assert torch.equal(torch.random.get_rng_state(), before)
    new = normal(400, 2, seed=1)
    assert r2(nets[0](new), new.sign().prod(1, keepdim=True) * 5 + 7) > 0.6  # a line: 0
    assert torch.equal(nets[0](new), nets[1](new)) and not torch.equal(nets[0](new), nets[2](new))
    assert not nets[0](new).requires_grad and nets[0](new).dtype == torch.float32
    for values in ({"epochs": 0}, {"epochs": -3}, {"batch_size": 0}):
        ((name, value),) = values.items()
        with pytest.raises(ValueError, match=rf"`{name}` \(={value}\)"):
            perceptron(x, y, **values)


@pytest.mark.parametrize(("n", "d"), [(50, 8), (10, 30)])
def test_components_are_numpys(n, d):
    """The leading singular directions of the centred rows, up to sign, and their share of the variance."""
    h = normal(n, d) * torch.logspace(0, 1, d, dtype=torch.float64) + 5
    x = (h - h.mean(0)).numpy()
    _, s, vectors = np.linalg.svd(x, full_matrices=False)
    found = components(h, 4)
    assert found.kept == pytest.approx((s[:4] ** 2).sum() / (s**2).sum())
    np.testing.assert_allclose(found(h).abs(), np.abs(x @ vectors[:4].T), atol=1e-8)


def test_components_leave_out_rounding():
    """Two directions in float32 are two, however many are asked for; of one point there is one, which is 0."""
    h = (normal(100, 2) @ normal(2, 20, seed=1) + 10).float()
    assert components(h, 8).basis.shape == (20, 2)
    assert not components(torch.ones(10, 5), 3)(torch.ones(10, 5)).any()


def moved_by(shift: torch.Tensor) -> View:
    n = len(shift)
    return View(torch.zeros(n, 1, 1, 1), {"x": shift, "y": shift.square()}, SPACES, torch.arange(n))


SPACES = {"x": Interval(-1, 1), "y": Interval(0, 1)}


def test_a_bilinear_action_is_recovered():
    """y' = y + A y + B t + C (y, t): fitted on some images, exact on others and for other parameters."""
    d, n, k = 5, 60, 4
    matrices = 0.3 * normal(2, d, d)

    def action(y: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return y + t @ normal(2, d, seed=4) + torch.einsum("nt,tde,ne->nd", t, matrices, y)

    def sets(seed: int) -> tuple[torch.Tensor, list[View]]:
        views = [moved_by(normal(n, 1, seed=seed + j)) for j in range(k)]
        y = normal(n, d, seed=seed + 10)
        t = [torch.cat([views[0].relative(view, name) for name in ("x", "y")], 1) for view in views]
        return torch.stack([action(y, steps) for steps in t]), views

    y, views = sets(20)
    fitted = bilinear(y, views[0], views, ("x", "y"))
    new, others = sets(40)
    for target, view in zip(new, others, strict=True):
        torch.testing.assert_close(fitted(new[0], others[0], view), target, atol=1e-3, rtol=1e-3)
    assert fitted.model.penalty == PENALTIES[0]


def test_what_cannot_be_predicted_is_left_where_it_is():
    """Noise around each image: the operator does nothing, to a tenth, instead of something at random."""
    n, k = 200, 4
    views = [moved_by(normal(n, 1, seed=j)) for j in range(k)]
    y = torch.cat([normal(1, n, 3), normal(1, n, 3).expand(k - 1, -1, -1)])
    y = y + torch.cat([torch.zeros(1, n, 3), 0.1 * normal(k - 1, n, 3, seed=9)])
    step = bilinear(y, views[0], views, ("x", "y"))(y[0], views[0], views[1]) - y[0]
    assert float(step.square().mean().sqrt()) < 0.1 * float((y[1] - y[0]).square().mean().sqrt())


def test_intervals_are_those_of_the_mean():
    """Of a mean: 1.96 standard errors to either side; the same for the same seed, the number itself for every seed."""
    x = normal(400)

    def statistic(w: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"mean": mean(x, w)}

    results = [with_intervals(statistic, 400, seed, x.device, draws=4000) for seed in (0, 0, 1)]
    assert results[0] == results[1] and results[0]["intervals"] != results[2]["intervals"]
    assert results[0]["mean"] == results[2]["mean"] == pytest.approx(float(x.mean()))
    low, high = results[0]["intervals"]["mean"]
    error = 1.96 * float(x.std()) / 20
    assert (float(x.mean()) - low, high - float(x.mean())) == pytest.approx((error, error), rel=0.08)
