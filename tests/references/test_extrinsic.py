"""Kernel ridge of many targets at once is that of each alone; latents become targets."""

import math

import numpy as np
import pytest
import torch
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics import r2_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from erlangen.data import Split, open_dataset
from erlangen.data.targets import targets
from erlangen.measures.extrinsic import ALPHAS, GAMMAS, extrinsic
from erlangen.probes.base import Sample
from erlangen.probes.fits import KernelRidge as Probe
from erlangen.solvers import folds_of


def known(n, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 3, generator=g)
    return x, {"smooth": x[:, :1].sin(), "rough": (3 * x[:, 1:2]).sin(), "noise": torch.randn(n, 1, generator=g)}


@pytest.fixture(scope="module")
def found():
    (x, y), (x_test, y_test) = known(200, 0), known(80, 1)
    return extrinsic(x, y, x_test, y_test), x, y, x_test, y_test


def test_each_target_has_scikit_learns_choice_and_score(found):
    """The grid of the original, by R^2 over the same folds, then fitted to all: penalty, width and R^2 on test."""
    result, x, y, x_test, y_test = found
    folds = folds_of(len(x), 5, 0)
    cuts = [(np.setdiff1d(np.arange(len(x)), part.numpy()), part.numpy()) for part in folds]
    assert np.allclose(ALPHAS, np.logspace(0, -4, 5))
    assert np.allclose(GAMMAS, np.logspace(-5, 2, 8))
    for name, part in y.items():
        best, chosen = -math.inf, None
        for alpha in ALPHAS:
            for gamma in GAMMAS:
                model = make_pipeline(StandardScaler(), KernelRidge(kernel="rbf", alpha=alpha, gamma=gamma))
                # the scale of the original is that of all train images; of a fold it is that of the fold, as here
                score = cross_val_score(model, x.double().numpy(), part.double().numpy(), cv=cuts, scoring="r2").mean()
                if score > best + 1e-12:
                    best, chosen = score, (alpha, gamma, model)
        alpha, gamma, model = chosen
        assert f"alpha {alpha:g}, gamma {gamma:g}" in result[name]["protocol"]["regression"]
        model.fit(x.double().numpy(), part.double().numpy())
        expected = r2_score(y_test[name].numpy(), model.predict(x_test.double().numpy()))
        assert result[name]["r2"] == pytest.approx(expected, abs=1e-6)
        low, high = result[name]["intervals"]["r2"]
        assert low < result[name]["r2"] < high
    assert result["smooth"]["r2"] > 0.99 > result["rough"]["r2"] > 0.7 and result["noise"]["r2"] < 0.1


def test_alone_or_together(found):
    """A target has the same number whichever others there are; and the one that the probe of the same name has."""
    result, x, y, x_test, y_test = found
    alone = extrinsic(x, {"rough": y["rough"]}, x_test, {"rough": y_test["rough"]})
    assert alone["rough"]["r2"] == pytest.approx(result["rough"]["r2"], abs=1e-9)
    fitted = Probe().fit(Sample(x, y["rough"], 0), None, 0)
    guess = fitted.model(x_test)
    assert result["rough"]["r2"] == pytest.approx(r2_score(y_test["rough"].numpy(), guess.numpy()), abs=1e-6)


def test_the_cap_takes_some_of_the_rows(found):
    """Other images, and as many as asked for."""
    result, x, y, x_test, y_test = found
    few = extrinsic(x, y, x_test, y_test, rows=50)
    assert few["rough"]["protocol"]["train_images"] == 50 and few["rough"]["r2"] < result["rough"]["r2"]
    with pytest.raises(ValueError, match=r"`rows` \(=5\)"):
        extrinsic(x, y, x_test, y_test, rows=5)


def test_latents_as_targets():
    """Circles are embedded, factors too; the ten columns of Causal3DIdent are called by name or number."""
    data = open_dataset("shapes", image_size=8)
    found = targets("shapes", data.test)
    assert list(found) == ["pose", "scale", "x", "y", "foreground", "background"]
    pose = data.test.latents["pose"][:, 0]
    assert torch.allclose(found["pose"], torch.stack([pose.cos() - 1, pose.sin()], 1), atol=1e-6)
    assert list(targets("shapes", data.test, "x")) == ["x"]
    columns = torch.arange(30.0).view(3, 10)
    split = Split(torch.zeros(3, 3, 8, 8, dtype=torch.uint8), latents={"columns": columns, "x": columns[:, :1]})
    ten = targets("causal3dident", split)
    assert len(ten) == 10 and torch.equal(ten["background hue"], columns[:, 9:])
    assert list(targets("causal3dident", split, "7")) == ["object hue"]
    assert list(targets("mine", Split(split.images, latents={"age": columns[:, :1]}))) == ["age"]
    for name, part, only, words in (
        ("digits", open_dataset("digits").test, None, "no data set with latents 'digits'"),
        ("shapes", data.test, "posee", "Did you mean 'pose'"),
        ("causal3dident", split, "10", "no target '10'"),
    ):
        with pytest.raises(ValueError, match=words):
            targets(name, part, only)
