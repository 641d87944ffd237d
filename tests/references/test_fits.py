"""Probes of frozen features against scikit-learn and loops that are written out, and what each of them chooses by."""

import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.kernel_ridge import KernelRidge as TheirKernelRidge
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as TheirRidge
from sklearn.metrics import balanced_accuracy_score, log_loss, r2_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from erlangen.encoders import build_encoder
from erlangen.encoders.frozen import Frozen
from erlangen.encoders.fused import Fused
from erlangen.nets import Encoder
from erlangen.probes.base import Sample, subset
from erlangen.probes.ericsson import Ericsson
from erlangen.probes.fits import KNN, Calibrated, Chosen, KernelRidge, Logistic, Ridge, SupportVectors
from erlangen.solvers import folds_of, held_out, standardisation


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def clouds(n: int, d: int, classes: int, distance: float, seed: int = 0) -> Sample:
    """Overlapping clouds, one per class."""
    labels = torch.arange(n) % classes
    return Sample(normal(n, d, seed=seed) + distance * normal(classes, d, seed=99)[labels], labels, classes)


def curve(n: int, seed: int = 0) -> Sample:
    """Two numbers that depend on three, one of them not linearly."""
    x = normal(n, 3, seed=seed) * torch.tensor([1.0, 10.0, 0.1]) + 3
    y = torch.stack([(1.5 * x[:, 0]).sin() + 0.1 * x[:, 1], 5 * x[:, 2] - x[:, 0]], 1)
    return Sample(x, y + 0.5 * normal(n, 2, seed=seed + 50))


def numbers(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    return sample.x.numpy(), sample.y.numpy()


def parts(sample: Sample, seed: int) -> tuple[Sample, Sample]:
    fit, choose = held_out(len(sample.x), 0.2, seed)
    return sample.rows(fit), sample.rows(choose)


def except_of(sample: Sample, held: torch.Tensor) -> Sample:
    return sample.rows(torch.tensor([i for i in range(len(sample.x)) if i not in held.tolist()]))


def softmax(scores: torch.Tensor) -> np.ndarray:
    return scores.softmax(1).numpy()


def their_neighbours(sample: Sample, k: int, temperature: float) -> KNeighborsClassifier:
    def weights(distance: np.ndarray) -> np.ndarray:
        return np.exp((1 - distance) / temperature)

    return KNeighborsClassifier(k, metric="cosine", algorithm="brute", weights=weights).fit(*numbers(sample))


@pytest.mark.parametrize("k", [3, 20, 500])
def test_knn_is_scikit_learn(k):
    """Cosine distances weighted by exp((1 - distance) / T): the shares of the votes; 500 neighbours are all 60."""
    train, new = clouds(60, 4, 3, 1.0), clouds(25, 4, 3, 1.0, seed=1)
    found = KNN(k, 0.3).fit(train, None, seed=0)
    near = min(k, 60)
    theirs = their_neighbours(train, near, 0.3).predict_proba(new.x.numpy())
    votes = found.model(new.x).numpy()
    np.testing.assert_allclose(votes / votes.sum(1, keepdims=True), theirs, atol=1e-9)
    assert found.told == {"selection": "none", "k": near}


def test_knn_refuses_what_cannot_be():
    """Before anything is looked at."""
    with pytest.raises(ValueError, match=r"`k` \(=0\) >= 1"):
        KNN(0).fit(clouds(6, 2, 2, 1.0), None, seed=0)


PENALTIES = (1e-2, 0.1, 1.0)


def their_logistic(sample: Sample, strength: float):
    return make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-9, max_iter=10_000)).fit(
        *numbers(sample)
    )


def chosen_in_loops(train: Sample, test: Sample, seed: int) -> dict[str, float]:
    """The penalty that each way of selecting must find, by scikit-learn's fits, one by one."""
    part, left = parts(train, seed)
    losses = [log_loss(left.y, their_logistic(part, 1 / (len(part.x) * p)).predict_proba(left.x)) for p in PENALTIES]
    right = [their_logistic(train, 1 / (len(train.x) * p)).score(*numbers(test)) for p in PENALTIES]
    scaled = Sample(torch.from_numpy(StandardScaler().fit_transform(train.x.numpy())), train.y, train.classes)
    means = []
    for p in PENALTIES:
        scores = []
        for held in folds_of(len(train.x), 2, seed):
            model = LogisticRegression(C=1 / (len(train.x) * p), tol=1e-9, max_iter=10_000)
            scores.append(model.fit(*numbers(except_of(scaled, held))).score(*numbers(scaled.rows(held))))
        means.append(np.mean(scores))
    return {
        "held-out": PENALTIES[int(np.argmin(losses))],
        "folds": PENALTIES[int(np.argmax(means))],
        "test": PENALTIES[int(np.argmax(right))],
    }


def test_logistic_chooses_as_loops_do():
    """By the loss on a fifth, the accuracy of folds, or on test; three different penalties, each then fitted to all."""
    given, new, seed = clouds(60, 5, 3, 0.5, seed=42), clouds(45, 5, 3, 0.5, seed=101), 3
    scale = torch.logspace(-1, 2, 5, dtype=torch.float64)
    train, test = Sample(scale * given.x + 1, given.y, 3), Sample(scale * new.x + 1, new.y, 3)
    loops = chosen_in_loops(train, test, seed)
    assert len(set(loops.values())) == 3
    for selection, penalty in loops.items():
        found = Logistic(PENALTIES, selection=selection, folds=2).fit(train, test, seed)
        assert found.told["penalty"] == penalty
        theirs = their_logistic(train, 1 / (60 * penalty))
        np.testing.assert_allclose(softmax(found.model(test.x)), theirs.predict_proba(test.x.numpy()), atol=1e-5)


def test_one_penalty_is_no_choice():
    """Features may be left as they are; nothing is held out."""
    train, new = clouds(40, 5, 4, 0.5), clouds(20, 5, 4, 0.5, seed=1)
    found = Logistic((0.05,), standardise=False).fit(train, None, seed=0)
    theirs = LogisticRegression(C=1 / (40 * 0.05), tol=1e-9, max_iter=10_000).fit(*numbers(train))
    np.testing.assert_allclose(softmax(found.model(new.x)), theirs.predict_proba(new.x.numpy()), atol=1e-5)


def their_machine(sample: Sample, strength: float) -> LinearSVC:
    return LinearSVC(C=strength, tol=1e-8, max_iter=100_000, dual=False).fit(*numbers(sample))


def test_support_vectors_choose_as_loops_do():
    """The first C of the best accuracy on a fifth, then all rows; or on test. The C are numpy's logspace(-3, 0, 7)."""
    train, test, seed = clouds(60, 12, 3, 0.4, seed=2), clouds(45, 12, 3, 0.4, seed=101), 3
    strengths = np.logspace(-3, 0, 7)
    part, left = parts(train, seed)
    loops = {
        "held-out": strengths[np.argmax([their_machine(part, c).score(*numbers(left)) for c in strengths])],
        "test": strengths[np.argmax([their_machine(train, c).score(*numbers(test)) for c in strengths])],
    }
    assert len(set(loops.values())) == 2
    for selection, strength in loops.items():
        found = SupportVectors(selection=selection).fit(train, test, seed)
        assert found.told["C"] == pytest.approx(strength)
        theirs = their_machine(train, strength).decision_function(test.x.numpy())
        np.testing.assert_allclose(found.model(test.x), theirs, atol=1e-5)


@pytest.mark.parametrize("strength", [0.1, 0.01])
def test_calibrated_is_scikit_learn(strength):
    """Probabilities of new rows, of features as they are; nothing is chosen."""
    train, new = clouds(61, 5, 3, 0.7), clouds(20, 5, 3, 0.7, seed=1)
    found = Calibrated(strength).fit(train, None, seed=0)
    theirs = CalibratedClassifierCV(LogisticRegression(C=strength, tol=1e-9, max_iter=10_000)).fit(*numbers(train))
    np.testing.assert_allclose(found.model(new.x), theirs.predict_proba(new.x.numpy()), atol=1e-6)
    with pytest.raises(ValueError, match="class 2 has 4 rows"):
        Calibrated().fit(clouds(14, 5, 3, 0.7), None, seed=0)


def test_ridge_chooses_as_a_loop_does():
    """The least squared error on a fifth, then all rows: alpha = n penalty, on standardised features."""
    train, new, seed, penalties = curve(50, seed=2), curve(20, seed=1), 2, (1e-4, 1e-2, 0.3, 10.0)
    part, left = parts(train, seed)

    def fit(sample: Sample, penalty: float):
        return make_pipeline(StandardScaler(), TheirRidge(penalty * len(sample.x))).fit(*numbers(sample))

    errors = [np.square(fit(part, p).predict(left.x.numpy()) - left.y.numpy()).mean() for p in penalties]
    best = penalties[int(np.argmin(errors))]
    assert best not in (penalties[0], penalties[-1])
    found = Ridge(penalties).fit(train, None, seed)
    assert found.told["penalty"] == best
    np.testing.assert_allclose(found.model(new.x), fit(train, best).predict(new.x.numpy()), rtol=1e-7)


def test_kernel_ridge_chooses_as_a_loop_does():
    """The mean R^2 of folds, each standardised by its own rows; then the Gaussian kernel machine of all rows."""
    train, new, seed = curve(50, seed=2), curve(15, seed=1), 1
    alphas, gammas = (1.0, 0.1, 1e-2), (1e-3, 1e-2, 0.1, 1.0)

    def fit(sample: Sample, alpha: float, gamma: float):
        machine = TheirKernelRidge(kernel="rbf", alpha=alpha, gamma=gamma)
        return make_pipeline(StandardScaler(), machine).fit(*numbers(sample))

    scores = {}
    for pair in ((alpha, gamma) for alpha in alphas for gamma in gammas):
        each = []
        for held in folds_of(50, 4, seed):
            left = train.rows(held)
            each.append(r2_score(left.y, fit(except_of(train, held), *pair).predict(left.x.numpy())))
        scores[pair] = np.mean(each)
    best = max(scores, key=lambda pair: scores[pair])
    assert best[1] not in (gammas[0], gammas[-1])
    found = KernelRidge(alphas, gammas, folds=4).fit(train, None, seed)
    assert (found.told["alpha"], found.told["gamma"], found.told["rows"]) == (*best, 50)
    np.testing.assert_allclose(found.model(new.x), fit(train, *best).predict(new.x.numpy()), atol=1e-8)


def test_kernel_ridge_takes_some_rows():
    """So many of them, whichever the seed says, and the number is told."""
    train = curve(40)
    banks = []
    for seed in (0, 0, 1):
        found = KernelRidge((0.1,), (0.1,), folds=2, rows=12).fit(train, None, seed)
        mean, std = found.model.mean, found.model.std
        rows = (found.model.bank * std + mean)[:, None]
        apart = (rows - train.x).abs().amax(2)
        assert found.told["rows"] == len(rows) == 12 and float(apart.amin(1).max()) < 1e-9
        banks.append(apart.argmin(1).sort().values)
    assert torch.equal(banks[0], banks[1]) and not torch.equal(banks[0], banks[2])
    assert len(banks[0].unique()) == 12


def test_the_grid_of_ericsson():
    """Alphas logspace(0, -4, 5), gammas logspace(-5, 2, 8), five folds."""
    probe = KernelRidge()
    np.testing.assert_allclose(probe.alphas, np.logspace(0, -4, 5))
    np.testing.assert_allclose(probe.gammas, np.logspace(-5, 2, 8))
    assert probe.folds == 5


TWO = (KNN(1), KNN(9))


@pytest.mark.parametrize(("selection", "place"), [("held-out", 0), ("test", 1)])
def test_chosen_is_the_best_of_its_probes(selection, place):
    """Each fitted to four fifths and judged on the rest, the best fitted to all; or each judged on test."""
    train, test, seed = clouds(60, 6, 3, 0.5, seed=23), clouds(45, 6, 3, 0.5, seed=101), 3
    fit, left = parts(train, seed) if selection == "held-out" else (train, test)
    one = their_neighbours(fit, 1, 0.07).score(*numbers(left))
    nine = their_neighbours(fit, 9, 0.07).score(*numbers(left))
    assert [one, nine][place] > [nine, one][place]
    for order in (1, -1):
        found = Chosen(TWO[::order], selection).fit(train, test, seed)
        assert found.told["chosen"] == (place if order == 1 else 1 - place)
        assert torch.equal(found.model(test.x), TWO[place].fit(train, None, seed).model(test.x))
    assert found.told["selection"].startswith("one of 2 ")


def test_chosen_takes_the_first_of_the_best():
    """Of three that are alike."""
    found = Chosen((KNN(), KNN(), KNN())).fit(clouds(30, 4, 3, 1.0), None, seed=0)
    assert found.told["chosen"] == 0


ON_TEST = [
    Logistic((1e-2, 1.0), selection="test"),
    SupportVectors((1e-3, 1.0), "test"),
    Chosen((KNN(1), KNN(20, 0.5)), "test"),
]
ON_TRAIN = [
    *(Logistic((1e-2, 1.0), selection=selection, folds=2) for selection in ("held-out", "folds")),
    SupportVectors((1e-3, 1.0)),
    Chosen((KNN(1), KNN(20, 0.5))),
    Calibrated(0.01),
    KNN(),
]


@pytest.mark.parametrize("probe", ON_TEST, ids=lambda probe: type(probe).__name__)
def test_selection_on_test_says_so(probe):
    """In capitals; it cannot be made without test images; labels there change what is chosen."""
    train, test = clouds(45, 8, 3, 0.3, seed=3), clouds(60, 8, 3, 0.3, seed=101)
    found = [probe.fit(train, Sample(test.x, (test.y + turned) % 3, 3), seed=0) for turned in range(3)]
    assert all("ON TEST" in fitted.told["selection"] for fitted in found)
    assert len({str(fitted.told) for fitted in found}) > 1
    with pytest.raises(ValueError, match="selection on test chooses on the test images: give them"):
        probe.fit(train, None, seed=0)


@pytest.mark.parametrize("probe", [*ON_TRAIN, Ericsson(folds=2)], ids=lambda probe: type(probe).__name__)
def test_the_others_never_look_at_test(probe):
    """With test images or without: the same model and the same report, which names no test."""
    train, test = clouds(50, 2, 3, 0.6), clouds(30, 2, 3, 0.6, seed=1)
    found, alone = probe.fit(train, test, seed=0), probe.fit(train, None, seed=0)
    assert "TEST" not in found.told["selection"]
    assert alone.told == found.told and torch.equal(alone.model(test.x), found.model(test.x))


@pytest.mark.parametrize("probe", [Ridge(), KernelRidge(folds=2), Ericsson(folds=2)], ids=lambda p: type(p).__name__)
def test_regressions_never_look_at_test(probe):
    """The same for numbers."""
    train, test = curve(30), curve(20, seed=1)
    found = probe.fit(train, test, seed=0)
    alone = probe.fit(train, None, seed=0)
    assert alone.told == found.told and torch.equal(alone.model(test.x), found.model(test.x))


@pytest.mark.parametrize("probe", ON_TRAIN[:4], ids=lambda probe: type(probe).__name__)
def test_what_is_chosen_is_fitted_to_all(probe):
    """A row that was held out counts in the end: without its fifth, the model is another."""
    train, new = clouds(50, 2, 3, 0.6), clouds(30, 2, 3, 0.6, seed=1)
    part, _ = parts(train, 0)
    found = probe.fit(train, None, seed=0).model(new.x)
    assert not torch.equal(found, probe.fit(part, None, seed=0).model(new.x))


def decays(extra: int) -> np.ndarray:
    return np.logspace(-6 + 2 * extra, 5 + 2 * extra, 45)


def rare(n: int, seed: int) -> Sample:
    """Three classes, the first of which has six of ten rows."""
    labels = torch.tensor([0, 1, 0, 2, 0, 0, 1, 0, 2, 0]).repeat(n // 10)
    return Sample(normal(n, 2, seed=seed) + 0.9 * normal(3, 2, seed=99)[labels], labels, 3)


def test_ericsson_classifies_as_loops_do():
    """C = 1 / decay, features as they are; the mean of folds, by accuracy or per class, decides between 45 decays."""
    train, new, seed = rare(60, 5), rare(20, 1), 2
    right, balanced = np.zeros(45), np.zeros(45)
    for held in folds_of(60, 2, seed):
        fit, left = except_of(train, held), train.rows(held)
        for i, decay in enumerate(decays(0)):
            model = LogisticRegression(C=1 / decay, tol=1e-6, max_iter=10_000).fit(*numbers(fit))
            predicted = model.predict(left.x.numpy())
            right[i] += (predicted == left.y.numpy()).mean()
            balanced[i] += balanced_accuracy_score(left.y, predicted)
    best = {"accuracy": decays(0)[right.argmax()], "mean-per-class": decays(0)[balanced.argmax()]}
    assert best["accuracy"] != best["mean-per-class"]
    for score, decay in best.items():
        found = Ericsson(folds=2, score=score).fit(train, None, seed)
        assert found.told["decay"] == pytest.approx(decay, rel=1e-5) and score in found.told["selection"]
        theirs = LogisticRegression(C=1 / decay, tol=1e-9, max_iter=10_000).fit(*numbers(train))
        np.testing.assert_allclose(softmax(found.model(new.x)), theirs.predict_proba(new.x.numpy()), atol=1e-4)
    # an encoder more shifts the decays by a hundred, which is the same problem if features are ten times as large
    shifted = Ericsson(1, 2, "mean-per-class").fit(Sample(10 * train.x, train.y, 3), None, seed)
    assert shifted.told["decay"] == pytest.approx(100 * best["mean-per-class"], rel=1e-5)
    torch.testing.assert_close(shifted.model(10 * new.x), found.model(new.x), rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("extra", [0, 2])
def test_ericsson_regresses_as_a_loop_does(extra):
    """Ridge regression with alpha = 1 / decay, on features as they are; the best mean R^2 of folds decides."""
    train, new, seed = curve(30), curve(20, seed=1), 2
    scores = np.zeros(45)
    for held in folds_of(30, 3, seed):
        fit, left = except_of(train, held), train.rows(held)
        for i, decay in enumerate(decays(extra)):
            model = TheirRidge(alpha=1 / decay).fit(*numbers(fit))
            scores[i] += r2_score(left.y, model.predict(left.x.numpy())) / 3
    best = decays(extra)[scores.argmax()]
    found = Ericsson(extra, folds=3).fit(train, None, seed)
    assert found.told["decay"] == pytest.approx(best, rel=1e-5) and "R^2" in found.told["selection"]
    theirs = TheirRidge(alpha=1 / best).fit(*numbers(train))
    np.testing.assert_allclose(found.model(new.x), theirs.predict(new.x.numpy()), rtol=1e-5)


def named(name: str) -> Encoder:
    encoder = build_encoder("small", 1, 8)
    encoder.spec = {"name": name}
    return encoder


@pytest.mark.parametrize(
    ("encoder", "extra"),
    [
        (named("resnet50"), 0),
        (Fused([named("resnet50")] * 2, "cat"), 1),
        (Fused([named("resnet50")] * 3, "mean"), 2),
        (named("resnet50w3"), 2),
        (Frozen(named("resnet50w3")), 2),
        (torch.nn.Flatten(), 0),
    ],
)
@pytest.mark.parametrize(
    ("data", "score"),
    [("cifar10", "accuracy"), ("caltech101:some/where", "mean-per-class"), ("flowers", "mean-per-class")],
)
def test_ericsson_suits_the_encoder_and_the_data(encoder, extra, data, score):
    """Two decades for each encoder that is fused besides, four for one of three times the width; what is set stays."""
    assert Ericsson().suited(encoder, data) == Ericsson(extra, 5, score)
    assert Ericsson(4, 3, "accuracy").suited(encoder, data) == Ericsson(4, 3, "accuracy")


LABELS = torch.tensor([0] * 50 + [1] * 30 + [2] * 3)[torch.randperm(83, generator=torch.Generator().manual_seed(0))]


@pytest.mark.parametrize("fraction", [0.01, 0.1, 0.5, 1.0])
def test_a_label_budget_is_stratified(fraction):
    """Of each class its fraction, rounded, at least one row; the seed says which, and every row can be."""
    rows = subset(LABELS, fraction, seed=0)
    assert rows.unique().tolist() == rows.tolist()
    counts = LABELS[rows].bincount(minlength=3).tolist()
    assert counts == [max(1, round(fraction * n)) for n in (50, 30, 3)]
    assert torch.equal(rows, subset(LABELS, fraction, seed=0))
    others = [subset(LABELS, fraction, seed) for seed in range(1, 150)]
    assert fraction == 1.0 or any(not torch.equal(rows, other) for other in others)
    assert len(torch.cat([rows, *others]).unique()) >= (83 if fraction > 0.01 else 75)


def test_a_label_budget_is_as_large_as_scikit_learns():
    """Where every class has a whole number of rows: ISSL's subsets are those of train_test_split."""
    labels = torch.arange(4).repeat(50)
    _, part = train_test_split(labels.numpy(), test_size=0.1, stratify=labels.numpy(), random_state=0)
    assert labels[subset(labels, 0.1, seed=0)].bincount().tolist() == np.bincount(part).tolist()


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.5])
def test_a_label_budget_is_a_fraction(fraction):
    with pytest.raises(ValueError, match=rf"label budget \(={fraction}\) is a fraction .* above 0, at most 1"):
        subset(LABELS, fraction, seed=0)


def test_rows_of_a_sample():
    """In the given order, of features and labels alike; the number of classes stays."""
    sample = clouds(6, 2, 3, 1.0).rows(torch.tensor([4, 0]))
    assert torch.equal(sample.x, clouds(6, 2, 3, 1.0).x[[4, 0]]) and sample.y.tolist() == [1, 0] and sample.classes == 3


def test_standardisation_is_of_the_rows_that_are_fitted():
    """The mean and deviation that a held-out choice ends with are those of all train rows."""
    train = clouds(45, 6, 3, 0.5)
    model = Logistic((1e-2, 1.0)).fit(train, None, seed=0).model
    mean, std = standardisation(train.x)
    assert torch.equal(model.mean, mean) and torch.equal(model.std, std)
