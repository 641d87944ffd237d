"""How sure numbers are, landmarks and principal components, against numpy, scipy, scikit-learn and slow loops."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import binom, binomtest
from sklearn.decomposition import PCA

from erlangen.probes import paired
from erlangen.probes.uncertainty import binomial_tail, interval, over_seeds
from erlangen.solvers.components import principal
from erlangen.solvers.intervals import with_intervals
from erlangen.solvers.landmarks import UNITS, correct_keypoints, distances, normalised_mean_error
from erlangen.views import generator


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=generator(seed, "normal"))


def slow_interval(values: np.ndarray, draws: int = 4000) -> tuple[float, float]:
    """The percentile bootstrap, one sample after the other."""
    source = np.random.default_rng(0)
    means = [source.choice(values, len(values)).mean() for _ in range(draws)]
    return tuple(np.quantile(means, [0.025, 0.975]))


@pytest.mark.parametrize("kind", ["right or wrong", "skewed"])
def test_an_interval_is_a_slow_bootstrap(kind):
    """Both ends lie where numpy's own samples have them, within a tenth of the interval."""
    outcome = (normal(300) > -0.8).double() if kind == "right or wrong" else normal(300).exp()
    low, high = interval(outcome)
    expected = slow_interval(outcome.numpy())
    assert [low, high] == pytest.approx(expected, abs=0.1 * (expected[1] - expected[0]))
    assert low < float(outcome.mean()) < high


def test_the_width_of_an_interval_is_that_of_the_normal_theory():
    """2 x 1.96 standard errors, and half of it for four times the images."""
    widths = []
    for n in (500, 2000):
        outcome = (torch.arange(n) % 5 > 0).double()
        low, high = interval(outcome)
        widths.append(high - low)
        assert high - low == pytest.approx(2 * 1.96 * math.sqrt(0.8 * 0.2 / n), rel=0.1)
    assert widths[0] / widths[1] == pytest.approx(2, rel=0.15)


def test_an_interval_covers_the_truth_as_often_as_it_says():
    """Of 200 samples of images, about 95 % have an interval that holds the true mean."""
    drawn = normal(200, 100) + 3
    edges = [with_intervals(lambda w, x=x: {"m": w @ x / len(x)}, 100, i, x.device, 300) for i, x in enumerate(drawn)]
    held = sum(low <= 3 <= high for low, high in (found["intervals"]["m"] for found in edges))
    assert 180 <= held <= 198  # binomial: 190 +- 3 x 3.1, and a percentile bootstrap of 100 is a little narrow


def test_an_interval_follows_from_its_seed():
    """The same seed draws the same images; another draws others; what does not vary has no width."""
    outcome = normal(200)
    assert interval(outcome, 3) == interval(outcome, 3)
    assert interval(outcome, 3) != interval(outcome, 4)
    assert interval(torch.ones(50)) == pytest.approx([1, 1], abs=1e-12)


@pytest.mark.parametrize("values", [[0.5, 0.7], [0.9, 0.7, 0.8, 0.85, 0.1]])
def test_seeds_have_a_mean_and_its_standard_error(values):
    """With n - 1, as numpy has them with ddof=1."""
    found = over_seeds(values)
    assert found["mean"] == pytest.approx(np.mean(values))
    assert found["standard_error"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(len(values)))
    assert found["seeds"] == len(values)


def test_one_seed_has_no_standard_error():
    """None, not zero: nothing is known of it."""
    assert over_seeds([0.25]) == {"mean": 0.25, "standard_error": None, "seeds": 1}


def outcomes(both: int, gained: int, lost: int, neither: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of two encoders, so many images that both, only the second, only the first, or none of them tells right."""
    a = torch.tensor([1.0] * both + [0.0] * gained + [1.0] * lost + [0.0] * neither)
    b = torch.tensor([1.0] * both + [1.0] * gained + [0.0] * lost + [0.0] * neither)
    order = torch.randperm(len(a), generator=generator("order"))
    return a[order], b[order]


@pytest.mark.parametrize(
    ("both", "gained", "lost", "neither"),
    [
        (50, 12, 3, 20),
        (50, 3, 12, 20),
        (5, 6, 6, 5),
        (9, 1, 0, 0),
        (9, 7, 6, 0),
        (8000, 700, 600, 700),
        (0, 9900, 100, 0),
    ],
)
def test_paired_is_the_exact_test_of_mcnemar(both, gained, lost, neither):
    """scipy's two-sided binomial test of the images that the two do not agree on; the difference counts them all."""
    a, b = outcomes(both, gained, lost, neither)
    found = paired(a, b)
    n = both + gained + lost + neither
    assert found["p"] == pytest.approx(binomtest(gained, gained + lost).pvalue, rel=1e-8, abs=1e-300)
    assert (found["gained"], found["lost"], found["images"]) == (gained, lost, n)
    assert found["difference"] == pytest.approx((gained - lost) / n)
    low, high = found["interval"]
    assert low <= found["difference"] <= high


def test_paired_intervals_are_of_the_differences():
    """What both find easy or hard leaves the interval; two that nothing joins have a wider one."""
    a, b = outcomes(450, 30, 20, 500)
    low, high = paired(a, b)["interval"]
    expected = slow_interval((b - a).numpy().astype(float), 2000)
    assert [low, high] == pytest.approx(expected, abs=0.1 * (expected[1] - expected[0]))
    alone = sum(np.ptp(interval(part)) ** 2 for part in (a, b)) ** 0.5
    assert high - low < 0.5 * alone


def test_without_disagreement_nothing_differs():
    """p is 1, and the interval has no width."""
    a, b = outcomes(30, 0, 0, 12)
    assert paired(a, b) == {
        "difference": 0.0,
        "interval": [0.0, 0.0],
        "images": 42,
        "gained": 0,
        "lost": 0,
        "p": 1.0,
    }


def test_squared_errors_have_no_p():
    """Only right and wrong are counted; of errors the difference and its interval are told."""
    a, b = normal(200).square(), normal(200, seed=1).square()
    found = paired(a, b)
    assert found.keys() == {"difference", "interval", "images"}
    assert found["difference"] == pytest.approx(float(b.mean() - a.mean()))
    assert paired(a, (b > 1).double()).keys() == found.keys()


def test_outcomes_of_other_images_are_refused(unchecked):
    """The message tells how many there are of each."""
    with pytest.raises(ValueError, match="of 3 and of 4 images cannot be compared"):
        paired(torch.ones(3), torch.ones(4))


@pytest.mark.parametrize(("k", "n"), [(0, 1), (3, 10), (10, 10), (0, 0), (440, 1000), (4900, 10_000)])
def test_the_tail_of_a_fair_coin(k, n):
    """scipy's distribution function, far out and where the coefficients are larger than any float."""
    assert binomial_tail(k, n) == pytest.approx(binom.cdf(k, n, 0.5), rel=1e-8)


CASES = {68: (36, 45, 0.1), 5: (0, 1, 0.1), 14: (9, 2, 0.2)}


@pytest.mark.parametrize("points", CASES)
def test_landmarks_are_a_loop(points):
    """NME and PCK over images and landmarks one by one, in units of the two that belong to the task."""
    first, second, within = CASES[points]
    assert UNITS[points] == (first, second, within)
    true = 100 * normal(7, 2 * points)
    found = true + 12 * normal(7, 2 * points, seed=1)
    errors = []
    for image in range(7):
        t, f = true[image].tolist(), found[image].tolist()
        unit = math.hypot(t[2 * first] - t[2 * second], t[2 * first + 1] - t[2 * second + 1])
        for i in range(points):
            errors.append(math.hypot(t[2 * i] - f[2 * i], t[2 * i + 1] - f[2 * i + 1]) / unit)
    near = sum(error <= within for error in errors) / len(errors)
    assert 0.05 < near < 0.95
    assert normalised_mean_error(found, true, (first, second)) == pytest.approx(sum(errors) / len(errors))
    assert correct_keypoints(found, true, (first, second), within) == pytest.approx(near)


def test_there_are_units_for_the_three_tasks_only():
    """300-W, CelebA and Leeds Sports Pose."""
    assert set(UNITS) == set(CASES)


def test_landmarks_have_no_scale():
    """An error is the same share of a face that is twice as large; where two landmarks coincide it is huge, not NaN."""
    true, found = normal(5, 10), normal(5, 10, seed=1)
    torch.testing.assert_close(distances(2 * found, 2 * true, 0, 1), distances(found, true, 0, 1))
    true[:, 2:4] = true[:, :2]
    apart = distances(found, true, 0, 1)
    assert bool(apart.isfinite().all()) and bool((apart > 1e6).all())


@pytest.mark.parametrize(("n", "d", "count"), [(40, 6, 2), (5, 30, 3), (30, 4, 4)])
def test_principal_components_are_scikit_learns(n, d, count):
    """Up to the sign of each, for more rows than features and for fewer."""
    x = normal(n, d) * torch.linspace(1, 3, d) + 5
    ours, theirs = principal(x, count), PCA(count, svd_solver="full").fit(x.numpy())
    expected = theirs.transform(x.numpy())
    signs = np.sign((ours.numpy() * expected).sum(0))
    np.testing.assert_allclose(ours, expected * signs, atol=1e-9)
    largest = theirs.components_[np.arange(count), np.abs(theirs.components_).argmax(1)]
    assert np.array_equal(signs, np.sign(largest))  # the largest weight of each direction is positive


def test_the_sign_of_a_component():
    """The feature that weighs most grows along it: as it is, not as it is negated."""
    t = torch.linspace(-1, 1, 11)
    falling = torch.stack([t, -2 * t, 0.5 * t], 1)
    assert torch.equal(principal(falling, 1).flatten().sign(), (-t).sign())
    torch.testing.assert_close(principal(-falling, 1), -principal(falling, 1))
    torch.testing.assert_close(principal(falling + 7, 1), principal(falling, 1), atol=1e-6, rtol=0)


def test_missing_directions_are_zero():
    """One feature, rows on a line, one row, rows all alike: finite, of the width that was asked for."""
    line = torch.linspace(0, 1, 9)[:, None]
    assert torch.equal(principal(line)[:, 1], torch.zeros(9, dtype=torch.float64))
    on_line = principal(line * torch.tensor([1.0, 2.0, -1.0]), 3)
    assert on_line.shape == (9, 3) and float(on_line[:, 1:].abs().max()) < 1e-6 < float(on_line[:, 0].max())
    for x in (torch.ones(1, 4), torch.ones(6, 4)):
        assert torch.equal(principal(x), torch.zeros(len(x), 2, dtype=torch.float64))


def test_components_are_in_double_precision():
    """Of features in half precision too, which are far from zero."""
    x = (normal(50, 8) + 30).half()
    found = principal(x)
    assert found.dtype == torch.float64
    expected = PCA(2, svd_solver="full").fit_transform(x.double().numpy())
    np.testing.assert_allclose(found.abs(), np.abs(expected), atol=1e-9)
