"""The solvers against scikit-learn and slow loops in float64."""

import math

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, balanced_accuracy_score, r2_score
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from erlangen.data import Data, Split
from erlangen.encoders.frozen import Pixels
from erlangen.probes import probe
from erlangen.solvers import (
    accuracy,
    calibrated,
    classifier,
    cross_validated,
    folds_of,
    held_out,
    kernel_ridge,
    knn_accuracy,
    logistic_path,
    logistic_regression,
    mean_per_class,
    nearest,
    r2,
    ridge,
    standardisation,
    support_vectors,
)
from erlangen.solvers.lbfgs import Until
from erlangen.solvers.logistic import basis, solve, solve_subsets


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def clusters(n: int, d: int, classes: int, distance: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Overlapping clouds, one per class, on features of very different scale and offset; all classes occur."""
    labels = torch.arange(n) % classes
    x = normal(n, d, seed=seed) + distance * normal(classes, d, seed=99)[labels]
    return x * torch.logspace(-2, 3, d, dtype=torch.float64) + torch.arange(d), labels


def standard(x: torch.Tensor) -> np.ndarray:
    x = x.numpy()
    return (x - x.mean(0)) / x.std(0)


@pytest.mark.parametrize("penalty", [1.0, 1e-2, 1e-4])
def test_logistic_regression_is_scikit_learn(penalty):
    """Weights, biases (up to the softmax's shift) and probabilities are those of C = 1 / (n penalty)."""
    x, labels = clusters(90, 6, 3, distance=0.7)
    ours = logistic_regression(x, labels, 3, penalty)
    theirs = LogisticRegression(C=1 / (len(x) * penalty), tol=1e-10, max_iter=100_000).fit(standard(x), labels.numpy())
    assert ours.penalty == penalty
    np.testing.assert_allclose(ours.weight, theirs.coef_.T, atol=2e-5)
    np.testing.assert_allclose(ours.bias - ours.bias.mean(), theirs.intercept_ - theirs.intercept_.mean(), atol=2e-5)
    new = clusters(50, 6, 3, distance=0.7, seed=1)[0]
    z = (new.numpy() - x.numpy().mean(0)) / x.numpy().std(0)
    np.testing.assert_allclose(ours(new).softmax(1), theirs.predict_proba(z), atol=1e-5)
    assert ours.accuracy(x, labels) == theirs.score(standard(x), labels.numpy())


def test_logistic_regression_of_two_classes_is_scikit_learn():
    """With two classes both columns are penalised, so that scikit-learn's single column has C = 2 / (n penalty)."""
    x, labels = clusters(80, 4, 2, distance=0.7)
    ours = logistic_regression(x, labels, 2, 0.01)
    theirs = LogisticRegression(C=2 / (len(x) * 0.01), tol=1e-10, max_iter=100_000).fit(standard(x), labels.numpy())
    np.testing.assert_allclose(ours(x).softmax(1), theirs.predict_proba(standard(x)), atol=1e-5)


@pytest.mark.parametrize("penalty", [1.0, 1e-3, 1e-6])
def test_logistic_regression_finds_the_minimum(penalty):
    """The gradient of the written-down objective vanishes, on separable data too."""
    x, labels = clusters(60, 40, 3, distance=1.0)  # separable: 40 features for 60 rows
    model = logistic_regression(x, labels, 3, penalty)
    z = standard(x)
    p = np.exp(z @ model.weight.numpy() + model.bias.numpy())
    p /= p.sum(1, keepdims=True)
    error = (p - np.eye(3)[labels]) / len(x)
    assert np.abs(z.T @ error + penalty * model.weight.numpy()).max() < 2e-7
    assert np.abs(error.sum(0)).max() < 2e-7


def test_a_path_is_its_problems_one_by_one():
    """Problems that are solved together do not see each other, in any order."""
    x, labels = clusters(60, 8, 3, distance=0.5)
    penalties = [1e-4, 1.0, 1e-2]
    together = logistic_path(x, labels, 3, penalties)
    for model, penalty in zip(together, penalties, strict=True):
        alone = logistic_regression(x, labels, 3, penalty)
        assert model.penalty == penalty
        torch.testing.assert_close(model(x), alone(x), rtol=0, atol=1e-5)


@pytest.mark.parametrize("c", [1e-3, 1.0, 1e3])
def test_features_as_they_are(c):
    """Unstandardised, many more features than rows: scikit-learn's objective is not lower, its classes are the same."""
    x, labels = normal(40, 90) + normal(4, 90, seed=3)[torch.arange(40) % 4], torch.arange(40) % 4
    ours = logistic_regression(x, labels, 4, 1 / (40 * c), standardise=False)
    theirs = LogisticRegression(C=c, tol=1e-10, max_iter=100_000).fit(x.numpy(), labels.numpy())

    def objective(weight: torch.Tensor, bias: torch.Tensor) -> float:
        logits = x @ weight + bias
        mean = float(torch.nn.functional.cross_entropy(logits, labels))
        return mean + float(weight.square().sum()) / (80 * c)

    found = objective(torch.from_numpy(theirs.coef_.T), torch.from_numpy(theirs.intercept_))
    assert objective(ours.weight, ours.bias) <= found * (1 + 1e-9)
    np.testing.assert_allclose(ours.weight, theirs.coef_.T, atol=1e-4 * np.abs(theirs.coef_).max())


@pytest.mark.parametrize(("rows", "k"), [(200, 200), (1000, 3), (1027, 5), (5, 1)])
def test_nearest_is_scikit_learn(rows, k):
    """Similarities in order and whose they are, whether blocks are looked through first (1000, 1027 rows) or not."""
    bank, x = normal(rows, 6), normal(70, 6, seed=1)
    distance, index = NearestNeighbors(n_neighbors=k, metric="cosine").fit(bank.numpy()).kneighbors(x.numpy())
    similarity, found = nearest(bank, x, k)
    np.testing.assert_allclose(similarity, 1 - distance, atol=1e-12)
    np.testing.assert_array_equal(found, index)


def noise_with_little_signal(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """As many features as rows, each a faint hint: a strong penalty averages over them."""
    labels = torch.arange(n) % 2
    return normal(n, 100, seed=seed) + 0.2 * (2.0 * labels[:, None] - 1), labels


def small_difference(n: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """The class is the small difference of two large features: only large weights see it."""
    labels, common = torch.arange(n) % 2, 20 * normal(n, 1, seed=seed)
    return torch.cat([common + 0.5 * (2 * labels[:, None] - 1), common], 1), labels


@pytest.mark.parametrize(("make", "best"), [(noise_with_little_signal, 0.1), (small_difference, 1e-6)])
def test_classifier_picks_the_better_penalty(make, best):
    """Of a strong and a weak penalty it picks the one that is better on new images, whichever that is."""
    x, labels = make(120, seed=0)
    model = classifier(x, labels, penalties=(1e-6, 0.1))
    assert model.penalty == best
    torch.testing.assert_close(model.weight, logistic_regression(x, labels, 2, best).weight)  # fitted on all rows
    new, truth = make(4000, seed=1)
    (other,) = {1e-6, 0.1} - {best}
    assert model.accuracy(new, truth) > logistic_regression(x, labels, 2, other).accuracy(new, truth) + 0.02


def test_classifier_chooses_on_held_out_rows():
    """The chosen penalty is the best on a fifth that its model has not seen, not the best on what it was fitted on."""
    x, labels = clusters(100, 30, 3, distance=0.3)
    penalties, seed = (1e-4, 1e-2, 1.0), 2
    fit, choose = held_out(len(x), 0.2, seed)
    models = [logistic_regression(x[fit], labels[fit], 3, penalty) for penalty in penalties]
    seen, new = ([model.accuracy(x[part], labels[part]) for model in models] for part in (fit, choose))
    assert seen == sorted(set(seen), reverse=True) and new == sorted(set(new))  # one part would choose the other way
    assert classifier(x, labels, penalties, seed).penalty == penalties[-1]


def test_subsets_together_are_each_alone():
    """What a GPU solves at once: every fold and decay, as if it were the only one."""
    x, labels = clusters(90, 6, 3, distance=2.0)
    decays, given = [0.1, 1.0, 30.0], basis(torch.from_numpy(standard(x)))
    subsets = torch.ones(90, 2, dtype=torch.bool)
    subsets[:31, 0] = subsets[50:, 1] = False
    weight, bias = solve_subsets(given, subsets, labels, 3, decays)
    for i in range(2):
        rows = subsets[:, i].nonzero().flatten()
        w, b = solve(given, rows, labels[rows], 3, [decay / len(rows) for decay in decays])
        torch.testing.assert_close(weight[:, i], w, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(bias[i], b, rtol=1e-4, atol=1e-5)


def test_classifier_chooses_by_cross_entropy():
    """Classes far apart, which every penalty tells apart without a mistake: the surest model."""
    x, labels = clusters(60, 4, 3, distance=50.0)
    assert classifier(x, labels, (1e-3, 1e-2, 1e-1)).penalty == 1e-3


def test_probe_never_chooses_by_the_test_part():
    """Whatever the test labels say, the penalty stays, and only the accuracy is another."""
    x, labels = noise_with_little_signal(120, seed=0)
    images = (x.view(-1, 1, 10, 10) * 30 + 128).clamp(0, 255).to(torch.uint8)
    train, test = Split(images[:80], labels[:80]), Split(images[80:], labels[80:])
    poisoned = Split(255 - test.images, 1 - labels[80:])
    results = [probe(Pixels(1, 10), Data("noise", train, part))["linear"] for part in (test, poisoned)]
    flipped = probe(Pixels(1, 10), Data("noise", train, Split(test.images, 1 - labels[80:])))["linear"]
    penalty = results[0]["protocol"]["penalty"]
    assert penalty == classifier(images[:80].flatten(1).float() / 255, labels[:80]).penalty
    assert results[1]["protocol"]["penalty"] == flipped["protocol"]["penalty"] == penalty
    assert flipped["accuracy"] == pytest.approx(1 - results[0]["accuracy"])


@pytest.mark.parametrize("kind", ["tall", "wide", "twins"])
def test_ridge_is_scikit_learn(kind):
    """For each of several penalties the map is that of alpha = n penalty; x may be rank-deficient."""
    n, d = (20, 50) if kind == "wide" else (60, 7)
    x = normal(n, d) * torch.logspace(-1, 2, d, dtype=torch.float64) + 5
    if kind == "twins":
        x = torch.cat([x, x[:, :3], 2 * x[:, :1] - x[:, 1:2]], 1)
    y = x[:, :2] / 10 + normal(n, 2, seed=1) + 7
    penalties = (1e-5, 1e-2, 1.0)
    models = ridge(x, y, penalties)
    assert [model.penalty for model in models] == list(penalties)
    for model in models:
        theirs = Ridge(alpha=n * model.penalty, solver="svd").fit(standard(x), y.numpy())
        np.testing.assert_allclose(model.weight, theirs.coef_.T, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(model(x), theirs.predict(standard(x)), rtol=1e-8)


def test_linear_takes_the_training_mean_and_scale():
    """A model standardises new rows by the train rows' statistics, not by their own; float32 rows are taken too."""
    x, y = normal(30, 4) + 3, normal(30, 1, seed=1)
    (model,) = ridge(x, y, [0.1])
    torch.testing.assert_close(model(x[:5]), model(x)[:5])
    assert model(x[:5].float()).dtype == torch.float64


def test_r2_is_scikit_learn():
    """The mean over the outputs of 1 - residual / variance, good, useless and worse than useless."""
    target = normal(40, 3) * torch.tensor([1.0, 10.0, 0.1]) + 4
    for prediction in (target + 0.3 * normal(40, 3, seed=1), target.mean(0).expand(40, 3), -target):
        assert r2(prediction, target) == pytest.approx(r2_score(target.numpy(), prediction.numpy()), abs=1e-12)
    assert r2(target, target) == 1.0


def test_r2_leaves_out_what_does_not_vary():
    """A constant output does not count; if none varies, it says so."""
    target, prediction = normal(20, 2), normal(20, 2, seed=1)
    constant = torch.cat([target, torch.full((20, 1), 2.0)], 1)
    assert r2(torch.cat([prediction, target[:, :1]], 1), constant) == pytest.approx(r2(prediction, target))
    with pytest.raises(ValueError, match="does not vary"):
        r2(prediction, torch.ones(20, 2, dtype=torch.float64))


@pytest.mark.parametrize("k", [1, 5, 40, 100])
def test_knn_is_the_loop(k):
    """Weighted votes as a loop over images and neighbours has them; more neighbours than there are is all of them."""
    centres, bank_labels, labels = normal(3, 4, seed=2), torch.arange(40) % 3, torch.arange(1030) % 3
    bank, x = normal(40, 4) + centres[bank_labels], normal(1030, 4, seed=1) + centres[labels]
    right = 0
    for row, truth in zip(x.numpy(), labels.tolist(), strict=True):
        cosine = [float(row @ b) / math.sqrt(float(row @ row) * float(b @ b)) for b in bank.numpy()]
        votes = [0.0] * 3
        for i in sorted(range(len(bank)), key=lambda i: -cosine[i])[:k]:
            votes[int(bank_labels[i])] += math.exp(cosine[i] / 0.5)
        right += votes.index(max(votes)) == truth
    assert 0.35 < right / len(x) < 0.95
    assert knn_accuracy(bank, bank_labels, x, labels, k, temperature=0.5) == right / len(x)


def test_knn_does_not_look_at_lengths():
    """Cosine similarity: rows scaled by any factor vote the same."""
    (bank, bank_labels), (x, labels) = clusters(40, 4, 3, 1.0), clusters(50, 4, 3, 1.0, seed=1)
    scale = normal(40, 1, seed=2).exp()
    assert knn_accuracy(bank * scale, bank_labels, x, labels) == knn_accuracy(bank, bank_labels, x, labels)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_constant_features_do_not_count(dtype):
    """A feature that never varies in training gives no NaN and no weight, so that its value at test is nothing."""
    x, labels = clusters(60, 4, 3, distance=1.0)
    x = torch.cat([x, torch.full((60, 1), 0.1, dtype=torch.float64)], 1).to(dtype)
    moved = x.clone()
    moved[:, -1] = 1e3
    models = [logistic_regression(x, labels, 3, 1e-3), *ridge(x, labels[:, None].to(dtype), [1e-6, 1e-2])]
    for model in models:
        assert model.weight.isfinite().all() and model.bias.isfinite().all()
        torch.testing.assert_close(model(moved), model(x), rtol=0, atol=1e-6)


def test_features_that_are_all_constant_give_the_base_rate():
    """With nothing to see, the largest class is predicted and regression gives the mean."""
    x, labels = torch.full((10, 3), 0.7), torch.tensor([0, 1, 1, 1, 1, 1, 2, 2, 1, 0])
    assert logistic_regression(x, labels, 3, 1e-2).accuracy(x, labels) == 0.6
    (model,) = ridge(x, labels[:, None].float(), [1e-2])
    torch.testing.assert_close(model(x), torch.full((10, 1), 1.0, dtype=torch.float64))
    mean, std = standardisation(torch.zeros(4, 2))
    assert torch.equal(mean, torch.zeros(2)) and torch.equal(std, torch.ones(2))


@pytest.mark.parametrize(("n", "fraction", "size"), [(100, 0.2, 20), (7, 0.2, 1), (2, 0.01, 1), (5, 0.99, 4)])
def test_held_out_partitions(n, fraction, size):
    """Every row is in exactly one part, none is empty, and the parts follow from the seed alone."""
    fit, choose = held_out(n, fraction, seed=1)
    assert len(choose) == size and sorted([*fit.tolist(), *choose.tolist()]) == list(range(n))
    torch.manual_seed(5)
    again = held_out(n, fraction, seed=1)
    assert torch.equal(fit, again[0]) and torch.equal(choose, again[1])
    if n == 100:
        assert not torch.equal(choose, held_out(n, fraction, seed=2)[1])


def test_knn_at_a_low_temperature_is_the_nearest_neighbour():
    """exp(s / T) must not overflow: at T = 0.001 the nearest alone decides."""
    bank, x = normal(50, 6, seed=0).float(), normal(30, 6, seed=1).float()
    labels = torch.arange(50) % 5
    cosine = torch.nn.functional.cosine_similarity(x[:, None], bank[None], dim=-1)
    truth = labels[cosine.argmax(1)]
    assert knn_accuracy(bank, labels, x, truth, k=20, temperature=0.001) == 1.0


@pytest.mark.parametrize(("k", "temperature"), [(0, 0.1), (-1, 0.1), (5, 0.0), (5, -1.0)])
def test_knn_refuses_what_cannot_be(k, temperature):
    """Both values are named with what is allowed."""
    x, labels = normal(4, 3, seed=0), torch.arange(4) % 2
    with pytest.raises(ValueError, match=rf"`k` \(={k}\) >= 1 and `temperature` \(={temperature}\) > 0"):
        knn_accuracy(x, labels, x, labels, k, temperature)


def test_kernel_ridge_is_scikit_learn():
    """Predictions of several outputs on new rows; penalties and widths in the order that they are given in."""
    x, y, new = normal(40, 3), normal(40, 2, seed=1), normal(15, 3, seed=2)
    models = kernel_ridge(x, y, [10.0, 1e-2], [1e-2, 3.0])
    scale = StandardScaler().fit(x.numpy())
    for i, alpha in enumerate([10.0, 1e-2]):
        for j, gamma in enumerate([1e-2, 3.0]):
            theirs = KernelRidge(kernel="rbf", alpha=alpha, gamma=gamma).fit(scale.transform(x.numpy()), y.numpy())
            assert (models[i][j].penalty, models[i][j].gamma) == (alpha, gamma)
            np.testing.assert_allclose(models[i][j](new), theirs.predict(scale.transform(new.numpy())), atol=1e-8)


@pytest.mark.parametrize(("penalties", "gammas"), [([0.0], [1.0]), ([1.0], [-1.0])])
def test_kernel_ridge_refuses_what_has_no_solution(penalties, gammas):
    """Without a penalty the kernel may be singular; both values are named."""
    with pytest.raises(ValueError, match=r"`penalties` .* and `gammas` .* must be above 0"):
        kernel_ridge(normal(5, 2), normal(5, 1), penalties, gammas)


@pytest.mark.parametrize(("classes", "width"), [(4, 12), (2, 90)])
def test_support_vectors_are_scikit_learn(classes, width):
    """Every C of a sweep, with the penalised bias; for two classes its single column is the second of ours."""
    labels = torch.arange(60) % classes
    x = normal(60, width) + 0.5 * normal(classes, width, seed=5)[labels] + 1
    strengths = [1e-3, 0.1, 1.0]
    for strength, model in zip(strengths, support_vectors(x, labels, classes, strengths), strict=True):
        theirs = LinearSVC(C=strength, tol=1e-10, max_iter=100_000, dual=False).fit(x.numpy(), labels.numpy())
        columns = slice(1, None) if classes == 2 else slice(None)
        np.testing.assert_allclose(model.weight[:, columns], theirs.coef_.T, atol=1e-5)
        np.testing.assert_allclose(model.bias[columns], theirs.intercept_, atol=1e-5)
        assert model.penalty == pytest.approx(1 / (60 * strength))


@pytest.mark.parametrize("score", [accuracy, mean_per_class])
def test_cross_validation_is_a_loop_over_folds_and_penalties(score):
    """Every number is that of one scikit-learn fit on the other folds, in their precision of the objective."""
    labels = (torch.arange(90) % 5).clamp_max(2)  # three of five rows are of the last class
    x, decays = normal(90, 6) + 0.8 * normal(3, 6, seed=5)[labels], [1e-1, 10.0, 300.0]
    found = cross_validated(x, labels, 3, decays, folds=4, seed=7, score=score)
    metric = accuracy_score if score is accuracy else balanced_accuracy_score
    for held, row in zip(folds_of(90, 4, 7), found, strict=True):
        rows = [i for i in range(90) if i not in held.tolist()]
        for decay, value in zip(decays, row, strict=True):
            model = LogisticRegression(C=1 / decay, tol=1e-10, max_iter=10_000)
            model.fit(x[rows].numpy(), labels[rows].numpy())
            assert float(value) == pytest.approx(metric(labels[held], model.predict(x[held].numpy())))


def test_solving_ends_where_the_gradient_is_short():
    """Within `flat` for every penalty, where the solver that goes on has moved away from it; for none before it must.

    What is measured is the gradient of scikit-learn's objective, a mean, by autograd.
    """
    x, labels = clusters(90, 6, 3, distance=0.7)
    z, penalties, flat = torch.from_numpy(standard(x)), [1e-4, 1e-2, 1.0], 1e-3
    given, rows = basis(z), torch.arange(90)

    def lengths(until: Until) -> list[float]:
        weight, bias = (p.requires_grad_() for p in solve(given, rows, labels, 3, penalties, until))
        scores = torch.einsum("nr,rpc->pnc", given.rotated, weight) + bias[:, None]
        losses = [torch.nn.functional.cross_entropy(part, labels) for part in scores]
        squares = weight.square().sum((0, 2)) * torch.tensor(penalties) / 2
        found = torch.autograd.grad(torch.stack(losses).sum() + squares.sum(), (weight, bias))
        return torch.cat([found[0].movedim(1, 0).flatten(1), found[1]], 1).norm(dim=1).tolist()

    early, late = lengths(Until(flat=flat)), lengths(Until())
    assert all(flat / 100 < length <= flat for length in early)
    assert all(length < 1e-6 for length in late)


def test_cross_validation_does_not_depend_on_the_scale_of_features():
    """In float32, where it ends early: features a thousand times smaller, penalties a million times."""
    labels = (torch.arange(90) % 5).clamp_max(2)
    x = (normal(90, 6) + 0.8 * normal(3, 6, seed=5)[labels]).float()
    found, small = (
        cross_validated(scale * x, labels, 3, [scale**2 * decay for decay in (1e-3, 1e-1, 10.0, 300.0)], seed=7)
        for scale in (1.0, 1 / 1024)
    )
    assert len(found.unique()) > 4
    torch.testing.assert_close(small, found)


def test_folds_partition():
    """Every row is in one fold; sizes differ by one at most; the seed says which."""
    folds = folds_of(23, 5, 0)
    assert sorted(len(fold) for fold in folds) == [4, 4, 5, 5, 5]
    assert sorted(row for fold in folds for row in fold.tolist()) == list(range(23))
    assert not torch.equal(folds[0], folds_of(23, 5, 1)[0]) and torch.equal(folds[0], folds_of(23, 5, 0)[0])
    for wrong in (1, 24):
        with pytest.raises(ValueError, match=rf"`folds` \(={wrong}\) must be at least 2 .* rows \(=23\)"):
            folds_of(23, wrong, 0)


def test_mean_per_class_leaves_out_what_does_not_occur():
    """Classes 0 and 3 occur: 1 of 2 and 1 of 1, and the label in between counts for nothing."""
    assert mean_per_class(torch.tensor([[0], [1], [3]]), torch.tensor([0, 0, 3])).tolist() == [0.75]


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("strength", [1.0, 1e-2])
def test_calibrated_is_scikit_learn(classes, strength):
    """Probabilities of new rows, for one score (two classes) and for several; classes of unequal size."""
    labels = (normal(97, 1).flatten().abs() * classes / 2).long().clamp_max(classes - 1)
    x, new = normal(97, 5) + normal(classes, 5, seed=5)[labels], normal(20, 5, seed=6)
    model = CalibratedClassifierCV(LogisticRegression(C=strength, tol=1e-10, max_iter=10_000))
    theirs = model.fit(x.numpy(), labels.numpy()).predict_proba(new.numpy())
    np.testing.assert_allclose(calibrated(x, labels, classes, strength)(new), theirs, atol=1e-6)


def test_calibration_needs_a_row_of_every_class_in_every_fold():
    """The class that is too rare is named, with what can be done."""
    labels = torch.tensor([0] * 8 + [1] * 4)
    with pytest.raises(ValueError, match="class 1 has 4 rows: calibration needs one for each of 5 folds"):
        calibrated(normal(12, 2), labels, 2)
