"""One probe of one encoder: which numbers it gives, what they say of how they came about, and what it refuses."""

import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.metrics import balanced_accuracy_score, r2_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

import erlangen
from erlangen.data import Data, Split
from erlangen.data.shapes import draw_shapes
from erlangen.encoders import build_encoder
from erlangen.encoders.frozen import Pixels, represent
from erlangen.features import Features, weights
from erlangen.probes import PROBES, PROTOCOLS, Named, Preparation
from erlangen.probes.base import Fitted, Sample, subset
from erlangen.probes.experiment import Found, examine
from erlangen.probes.fits import KNN, Chosen
from erlangen.probes.protocols import issl
from erlangen.probes.uncertainty import interval
from erlangen.views import generator

CLASSES = 3


def images(labels: Tensor, seed: int = 0) -> Tensor:
    """8 px, grey: a faint stripe that tells the class, under noise."""
    x = torch.randint(0, 200, (len(labels), 1, 8, 8), generator=generator(seed, "images"), dtype=torch.uint8)
    for c in range(CLASSES):
        x[labels == c, :, 2 * c : 2 * c + 2] += 35
    return x


def split(counts: Sequence[int], seed: int = 0) -> Split:
    """So many images of each class, in disorder."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    labels = labels[torch.randperm(len(labels), generator=generator(seed, "labels"))]
    return Split(images(labels, seed), labels)


TRAIN, TEST = split((40, 40, 40)), split((30, 10, 5), seed=1)
DATA = Data("stripes", TRAIN, TEST)
PIXELS = Pixels(1, 8)
NAMES = sorted(PROBES)


def shapes() -> Data:
    return Data("shapes", *draw_shapes(classes=4, train=150, test=60, size=8))


SHAPES = shapes()


def examined(named: Named, data: Data = DATA, encoder: nn.Module = PIXELS, **options: Any) -> Found:
    return examine("mine", named, Features(encoder, data), **options)


def guess(x: Tensor, seed: int) -> Tensor:
    """Scores that nothing but the seed and the place decide."""
    return torch.rand(len(x), CLASSES, generator=generator(seed, "guess"), dtype=torch.float64)


@dataclass(frozen=True)
class Guess:
    """A probe whose answers follow from the seed alone."""

    def fit(self, train: Sample, test: Sample | None, seed: int) -> Fitted:
        return Fitted(lambda x: guess(x, seed), {"selection": "none", "seed of it": seed})


def test_what_a_probe_of_classes_gives():
    """These numbers, an interval about the first, and everything as JSON has it."""
    found = erlangen.probe(PIXELS, DATA, ["knn"])["knn"]
    assert found.keys() == {"accuracy", "mean_per_class", "per_class", "interval", "seeds", "runs", "protocol"}
    low, high = found["interval"]
    assert 1 / 3 < low < found["accuracy"] < high <= 1
    assert found["seeds"] == {"mean": found["accuracy"], "standard_error": None, "seeds": 1}
    assert [run.keys() for run in found["runs"]] == [
        {"budget", "images", "seed", "accuracy", "mean_per_class", "per_class", "told"}
    ]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


def test_two_probes_unless_told_otherwise():
    """knn and linear, each with its own protocol."""
    found = erlangen.probe(PIXELS, DATA)
    assert list(found) == ["knn", "linear"]
    assert [report["protocol"]["probe"]["class"] for report in found.values()] == ["KNN", "Logistic"]


def test_the_protocol_is_all_that_a_number_depends_on():
    """Every value of the probe and of what is around it, what was chosen, the encoder, the data, the versions."""
    named = Named(KNN(7, 0.5), "mine", preparation=Preparation(1.25, "bicubic"), precision="float16", runs=2)
    protocol = examined(named, seed=4, budgets=[0.5, 1]).report["protocol"]
    environment = protocol.pop("versions")
    assert environment["torch"] == torch.__version__ and {"erlangen", "device", "python"} <= environment.keys()
    assert protocol == {
        "name": "mine",
        "source": "mine",
        "probe": {"class": "KNN", "k": 7, "temperature": 0.5},
        "features": "eval mode, frozen",
        "precision": "float16",
        "preparation": {"class": "Preparation", "resize": 1.25, "filter": "bicubic"},
        "encoder": dict(PIXELS.spec),
        "weights": weights(PIXELS),
        "data": "stripes",
        "size": 8,
        "train": 120,
        "test": 45,
        "classes": 3,
        "target": "labels",
        "twins": 0,
        "width": 64,
        "constant": 0,
        "interval": "95 %, 1000 bootstrap samples of test images, of the first seed",
        "seed": 4,
        "runs": 2,
        "budgets": [1, 0.5],
        "selection": "none",
        "k": 7,
    }


def test_the_protocol_of_a_probe_on_images():
    """It says that there were no frozen features, and what was trained."""
    torch.manual_seed(0)
    report = examined(short("finetune"), encoder=build_encoder("small", 1, 8)).report
    protocol = report["protocol"]
    assert protocol["features"] == "none: trained on images" and "width" not in protocol
    assert protocol["probe"]["class"] == "Finetuned" and protocol["probe"]["descent"]["epochs"] == 2
    assert protocol["encoder"]["name"] == "small" and protocol["twins"] == 0
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_an_encoder_without_a_name_is_told_by_its_class():
    """And by its weights."""
    net = nn.Flatten()
    protocol = examined(Named(KNN(), "mine"), encoder=net).report["protocol"]
    assert protocol["encoder"] == "Flatten" and protocol["weights"] == weights(net) != weights(PIXELS)


def test_features_that_never_vary_are_counted():
    """Of pixels that are black in all train images, whatever the test images have there."""
    black = TRAIN.images.clone()
    black[:, :, :3] = 0
    report = examined(PROBES["knn"], Data("black", replace(TRAIN, images=black), TEST)).report
    assert report["protocol"]["constant"] == 24 and report["protocol"]["width"] == 64


def test_seeds_have_their_mean_and_standard_error():
    """The headline is the mean of the runs, from the given seed on; the interval is that of the first."""
    report = examined(Named(Guess(), "mine"), seed=5, seeds=4).report
    right = [float((guess(TEST.images, seed).argmax(1) == TEST.labels).double().mean()) for seed in (5, 6, 7, 8)]
    assert [run["seed"] for run in report["runs"]] == [5, 6, 7, 8]
    assert [run["told"]["seed of it"] for run in report["runs"]] == [5, 6, 7, 8]
    assert [run["accuracy"] for run in report["runs"]] == pytest.approx(right)
    assert report["accuracy"] == report["seeds"]["mean"] == pytest.approx(np.mean(right))
    assert report["seeds"]["standard_error"] == pytest.approx(np.std(right, ddof=1) / 2)
    assert report["mean_per_class"] == pytest.approx(np.mean([run["mean_per_class"] for run in report["runs"]]))
    first = (guess(TEST.images, 5).argmax(1) == TEST.labels).double()
    assert report["interval"] == interval(first, 5)
    assert report["protocol"]["seed"] == 5 and report["protocol"]["runs"] == 4


def test_a_protocol_knows_its_runs_and_its_budget():
    """Unless others are asked for."""
    named = Named(Guess(), "mine", runs=3, budget=0.5)
    runs = examined(named).report["runs"]
    assert [(run["seed"], run["budget"], run["images"]) for run in runs] == [(i, 0.5, 60) for i in range(3)]
    assert len(examined(named, seeds=1, budgets=[1]).report["runs"]) == 1


def test_label_budgets():
    """Each from its own subset, every seed anew; the largest gives the headline, the interval and the model."""
    named = Named(KNN(5), "mine")
    found, full = examined(named, seed=2, seeds=2, budgets=[0.1, 1, 0.3, 0.1]), examined(named, seed=2)
    report = found.report
    assert [(run["budget"], run["images"], run["seed"]) for run in report["runs"]] == [
        *((1, 120, 2), (1, 120, 3)),
        *((0.3, 36, 2), (0.3, 36, 3)),
        *((0.1, 12, 2), (0.1, 12, 3)),
    ]
    for key in ("accuracy", "interval", "per_class", "mean_per_class"):
        assert report[key] == full.report[key]
    assert torch.equal(found.tested["predicted"], full.tested["predicted"])
    assert report["protocol"]["budgets"] == [1, 0.3, 0.1]
    x, x_test = (represent(PIXELS, part.images) for part in (TRAIN, TEST))
    for run in report["runs"]:
        rows = torch.arange(120) if run["budget"] == 1 else subset(TRAIN.labels, run["budget"], run["seed"])
        model = KNN(5).fit(Sample(x[rows], TRAIN.labels[rows], 3), None, 0).model
        assert run["accuracy"] == pytest.approx(float((model(x_test).argmax(1) == TEST.labels).double().mean()))


def test_a_budget_of_numbers():
    """A part of the rows, there being no classes to be fair to."""
    runs = examined(PROBES["ridge"], SHAPES, Pixels(3, 8), target="code", budgets=[1, 0.2]).report["runs"]
    assert [run["images"] for run in runs] == [150, 30] and runs[0]["r2"] > runs[1]["r2"]


@pytest.mark.parametrize("budget", [0.0, -0.5, 1.5, 2.0, float("nan")])
def test_a_budget_is_a_fraction(budget):
    """None of more than all."""
    with pytest.raises(ValueError, match=r"label budget \(=.*\) is a fraction"):
        erlangen.probe(PIXELS, DATA, ["knn"], budgets=[budget])


@pytest.mark.parametrize("seeds", [0, -1])
def test_no_seeds_are_refused(seeds):
    """There would be no number."""
    with pytest.raises(ValueError, match=rf"`seeds` \(={seeds}\)"):
        erlangen.probe(PIXELS, DATA, ["knn"], seeds=seeds)


def test_accuracies_are_scikit_learns():
    """Of test classes that are not alike frequent: the mean per class is not the accuracy."""
    found = examined(Named(KNN(9, 0.2), "mine"))
    truth, predicted = TEST.labels.numpy(), found.tested["predicted"].numpy()
    assert found.report["accuracy"] == pytest.approx((truth == predicted).mean())
    assert found.report["mean_per_class"] == pytest.approx(balanced_accuracy_score(truth, predicted))
    assert found.report["per_class"] == pytest.approx([(predicted[truth == c] == c).mean() for c in range(3)])
    assert abs(found.report["accuracy"] - found.report["mean_per_class"]) > 0.01
    assert torch.equal(found.tested["truth"], TEST.labels)
    assert torch.equal(found.tested["outcome"], torch.from_numpy(truth == predicted).double())


def test_a_class_that_is_not_tested_has_no_number():
    """None in the list, and it is left out of the mean."""
    report = examined(PROBES["knn"], Data("two", TRAIN, split((20, 0, 10), seed=1))).report
    first, none, last = report["per_class"]
    assert none is None and report["mean_per_class"] == pytest.approx((first + last) / 2)
    assert report["protocol"]["classes"] == 3


def test_the_mean_of_batch_means():
    """A last batch of 13 counts as much as one of 32, as in codes that average so."""
    found = examined(Named(KNN(), "mine", test_batch=32))
    outcome = found.tested["outcome"].tolist()
    expected = (sum(outcome[:32]) / 32 + sum(outcome[32:]) / 13) / 2
    assert found.report["accuracy_of_batches"] == pytest.approx(expected)
    assert found.report["accuracy_of_batches"] != pytest.approx(found.report["accuracy"], abs=1e-6)
    one = examined(Named(KNN(), "mine", test_batch=45)).report
    assert one["accuracy_of_batches"] == pytest.approx(one["accuracy"])


def test_a_probe_of_ones_own_is_scikit_learns():
    """Named with its own k and temperature; scikit-learn's vote with the same weights of cosine distances."""
    found = erlangen.probe(PIXELS, DATA, {"three": Named(KNN(3, 0.5), "mine"), "many": Named(KNN(60, 2.0), "mine")})
    x, x_test = (part.images.flatten(1).double().numpy() for part in (TRAIN, TEST))
    for name, k, t in (("three", 3, 0.5), ("many", 60, 2.0)):
        theirs = KNeighborsClassifier(k, weights=lambda d, t=t: np.exp((1 - d) / t), metric="cosine", algorithm="brute")
        expected = theirs.fit(x, TRAIN.labels.numpy()).score(x_test, TEST.labels.numpy())
        assert found[name]["accuracy"] == pytest.approx(expected)
        assert found[name]["protocol"]["probe"] == {"class": "KNN", "k": k, "temperature": t}
    assert found["three"]["accuracy"] != found["many"]["accuracy"]


def test_numbers_are_scikit_learns():
    """R^2 of ridge regression with the penalty that was chosen, mean over the outputs; an interval about it."""
    found = examined(PROBES["ridge"], SHAPES, Pixels(3, 8), target="code")
    report = found.report
    assert report.keys() == {"r2", "interval", "seeds", "runs", "protocol"}
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    scaler = StandardScaler().fit(SHAPES.train.images.flatten(1).double().numpy() / 255)
    x, x_test = (scaler.transform(part.images.flatten(1).numpy() / 255) for part in (SHAPES.train, SHAPES.test))
    model = Ridge(alpha=150 * report["runs"][0]["told"]["penalty"]).fit(x, SHAPES.train.latents["code"].numpy())
    truth, predicted = SHAPES.test.latents["code"].numpy(), model.predict(x_test)
    assert report["r2"] == report["seeds"]["mean"] == pytest.approx(r2_score(truth, predicted), abs=1e-4)
    low, high = report["interval"]
    assert low < report["r2"] < high and high - low < 0.5
    np.testing.assert_allclose(found.tested["outcome"], ((predicted - truth) ** 2).mean(1), atol=1e-4)
    protocol = report["protocol"]
    assert (protocol["target"], protocol["classes"], protocol["test"]) == ("code", 0, 60)


UNITS = {136: (36, 45, 0.1), 10: (0, 1, 0.1), 28: (9, 2, 0.2)}


def landmarks(numbers: int) -> Data:
    """Images of noise and points that follow from them by a linear map, a little of which cannot be known."""
    mix = torch.randn(64, numbers, generator=generator("mix"), dtype=torch.float32)
    halves = []
    for i, n in enumerate((150, 40)):
        x = images(torch.zeros(n, dtype=torch.long), seed=10 + i)
        extra = 10 * torch.randn(n, numbers, generator=generator(i, "extra"), dtype=torch.float32)
        halves.append(Split(x, latents={"landmarks": x.flatten(1).float() @ mix / 8 + extra}))
    return Data("faces", *halves)


@pytest.mark.parametrize(("name", "numbers"), [("ridge", 136), ("ridge", 10), ("ridge", 28), ("ericsson", 10)])
def test_landmarks_have_their_own_numbers(name, numbers):
    """They are the target where nothing else is known: NME and PCK are those of what was predicted."""
    found = examined({**PROBES, **PROTOCOLS}[name], landmarks(numbers))
    first, second, within = UNITS[numbers]
    truth, predicted = (found.tested[key].double().reshape(40, -1, 2).numpy() for key in ("truth", "predicted"))
    apart = np.hypot(*np.moveaxis(predicted - truth, 2, 0))
    unit = np.hypot(*(truth[:, first] - truth[:, second]).T)
    errors = apart / unit[:, None]
    assert found.report["nme"] == pytest.approx(errors.mean(), rel=1e-5)
    assert found.report[f"pck@{within}"] == pytest.approx((errors <= within).mean())
    assert 0 < found.report[f"pck@{within}"] < 1 and found.report["r2"] > 0.3
    assert found.report["protocol"]["target"] == "landmarks"
    assert {"nme", f"pck@{within}", "r2"} <= found.report["runs"][0].keys()


def test_other_numbers_are_no_landmarks():
    """Six points have no unit; and ten numbers are landmarks only if they are called so."""
    assert not {"nme", "pck@0.1"} & examined(PROBES["ridge"], landmarks(12)).report.keys()
    assert not {"nme", "pck@0.1"} & examined(PROBES["ridge"], SHAPES, Pixels(3, 8), target="code").report.keys()


def short(name: str) -> Named:
    """The probe of this name, trained for a few epochs and narrow, if it is trained."""
    named = PROBES[name]
    if name == "mlp":
        return replace(named, probe=Chosen(issl(1e-4, 1e-5, 1e-6, hidden=(16,), epochs=4)))
    if name == "sgd":
        return replace(named, probe=Chosen(issl(1e-4, 1e-5, 1e-6, epochs=10)))
    if name == "finetune":
        return replace(named, probe=replace(named.probe, descent=replace(named.probe.descent, epochs=2)))
    return named


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_chosen_on_test(name):
    """With the answers of the test images in disorder every model is the same; only what is said of it changes."""
    named, encoder = short(name), PIXELS
    if named.answers == "numbers":
        data, encoder, target = SHAPES, Pixels(3, 8), "code"
        order = torch.randperm(60, generator=generator("poison"))
        poisoned = replace(data.test, latents={"code": data.test.latents["code"][order]})
    else:
        data, target = DATA, None
        poisoned = replace(TEST, labels=(TEST.labels + 1) % 3)
    if name == "finetune":
        torch.manual_seed(0)
        encoder = build_encoder("small", 1, 8)
    clean = examined(named, data, encoder, target=target)
    other = examined(named, replace(data, test=poisoned), encoder, target=target)
    assert torch.equal(clean.tested["predicted"], other.tested["predicted"])
    assert clean.fitted.told == other.fitted.told and "TEST" not in clean.fitted.told["selection"]
    key = "r2" if target else "accuracy"
    assert clean.report[key] != other.report[key]


# What data lack, or have too much of.


def bare(part: Split, **others: Any) -> Split:
    return Split(part.images, **others)


def test_no_labels():
    """The message says that all probes of classes need them, and what does without."""
    with pytest.raises(ValueError, match="probe 'knn' needs labelled .* data 'bare' lack them.*`measure` needs no"):
        erlangen.probe(PIXELS, Data("bare", bare(TRAIN), bare(TEST)), ["knn"])
    with pytest.raises(ValueError, match="probe 'svc' needs labelled"):
        erlangen.probe(PIXELS, Data("half", TRAIN, bare(TEST)), ["svc"])
    with pytest.raises(ValueError, match="probe 'knn' needs labelled"):
        erlangen.probe(PIXELS, Data("alone", bare(TRAIN)), ["knn"])


def test_no_labels_but_latents():
    """Then the probes of numbers are named, and which numbers are known."""
    known = {"pose": torch.rand(120, 1), "angle": torch.rand(120, 2)}
    data = Data("numbers", bare(TRAIN, latents=known), bare(TEST, latents={k: v[:45] for k, v in known.items()}))
    words = "ridge, kernel-ridge, ericsson, with `target` angle or pose"
    with pytest.raises(ValueError, match=f"probe 'linear' needs labelled .*{words}"):
        erlangen.probe(PIXELS, data, ["linear"])
    for name in ("ridge", "kernel-ridge", "ericsson"):
        assert "r2" in erlangen.probe(PIXELS, data, [name], target="angle")[name]


@pytest.mark.parametrize("name", ["knn", "ridge", "finetune"])
@pytest.mark.parametrize("test", [None, Split(TEST.images[:0], TEST.labels[:0])])
def test_no_test_images(name, test):
    """There is nothing to find a number on, whatever the probe is."""
    train = Split(TRAIN.images, TRAIN.labels, {"pose": torch.rand(120, 1)})
    with pytest.raises(ValueError, match="data 'mine' have no test images.*test/"):
        erlangen.probe(PIXELS, Data("mine", train, test), [name], target="pose" if name == "ridge" else None)


def relabelled(train: Tensor, test: Tensor) -> Data:
    return Data("mine", replace(TRAIN, labels=train), replace(TEST, labels=test))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda y: y + 1, "1, 2, 3"),
        (lambda y: y - 1, "-1, 0, 1"),
        (lambda y: 2 * y, "0, 2, 4"),
        (lambda y: torch.where(y == 1, 1000, y), "0, 2, 1000"),
    ],
)
def test_labels_that_are_not_numbered_from_0(change, told):
    """They are told, and how to number them anew."""
    data = relabelled(change(TRAIN.labels), change(TEST.labels))
    words = re.escape(f"the labels of data 'mine' are {told}: they must be whole numbers from 0")
    with pytest.raises(ValueError, match=f"{words}.*return_inverse=True"):
        erlangen.probe(PIXELS, data, ["knn"])


def test_many_wrong_labels_are_shortened():
    """The first and the last of them."""
    data = relabelled(torch.arange(120) + 5, TEST.labels + 5)
    with pytest.raises(ValueError, match=r"are 5, 6, 7, \.\.\., 123, 124: they"):
        erlangen.probe(PIXELS, data, ["knn"])


def test_one_class():
    """In all images, or in those that are trained on."""
    zero = torch.zeros(120, dtype=torch.long)
    for test in (zero[:45], (torch.arange(45) % 2)):
        with pytest.raises(ValueError, match="all train images of data 'mine' are of one class: .* two or more"):
            erlangen.probe(PIXELS, relabelled(zero, test), ["knn"])


@pytest.mark.parametrize("name", ["knn", "svc"])
def test_a_class_that_is_only_tested(name):
    """A warning tells which, and how many images are lost; they are told wrong, the others are told as ever."""
    data = Data("mine", split((60, 0, 60)), TEST)
    with pytest.warns(UserWarning, match="no train image is of class 1: 10 test images of data 'mine' are told wrong"):
        report = erlangen.probe(PIXELS, data, [name])[name]
    assert report["mean_per_class"] == pytest.approx(sum(report["per_class"]) / 3)
    assert report["per_class"][1] == 0 and min(report["per_class"][0], report["per_class"][2]) > 0.2
    assert report["protocol"]["classes"] == 3


def test_twins():
    """Test images that are among the train images: how many, and where the first is; the report has the count."""
    mixed = TEST.images.clone()
    mixed[4], mixed[9], mixed[30] = TRAIN.images[17], TRAIN.images[2], TRAIN.images[17]
    data = Data("mine", TRAIN, replace(TEST, images=mixed))
    words = "3 of the 45 test images of data 'mine' are among the train images .first: test image 4 is train image 17"
    torch.manual_seed(0)
    for named, encoder in ((PROBES["knn"], PIXELS), (short("finetune"), build_encoder("small", 1, 8))):
        with pytest.warns(UserWarning, match=words):
            report = examined(named, data, encoder).report
        assert report["protocol"]["twins"] == 3


class Collapsed(nn.Module):
    """The same for every image."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.full((len(x), 4), 0.3)


@pytest.mark.parametrize("name", ["knn", "linear", "svc", "calibrated", "sgd"])
def test_a_collapsed_encoder(name):
    """A warning says so; the number is that of one class, and finite."""
    with pytest.warns(UserWarning, match="same features for all train images.*collapsed"):
        report = examined(short(name), Data("mine", split((60, 40, 30)), TEST), Collapsed()).report
    assert report["protocol"]["constant"] == 4
    # that of the most frequent class; of neighbours that are all alike any may be taken, the same for all images
    assert report["accuracy"] in [pytest.approx(count / 45) for count in ((30, 10, 5) if name == "knn" else (30,))]


def test_a_collapsed_encoder_explains_nothing():
    """R^2 is that of the mean of the train images: 0 or a little below."""
    with pytest.warns(UserWarning, match="collapsed"):
        report = examined(PROBES["ridge"], SHAPES, Collapsed(), target="pose").report
    assert -0.2 < report["r2"] <= 0 and all(math.isfinite(edge) for edge in report["interval"])


def test_targets():
    """One that is unknown, one of data that know none, one that is missing, one for a probe of classes."""
    net = Pixels(3, 8)
    with pytest.raises(ValueError, match="no target 'posse'; there are: .*scale.* Did you mean 'pose'"):
        erlangen.probe(net, SHAPES, ["ridge"], target="posse")
    with pytest.raises(
        ValueError, match=r"probe 'ridge' predicts numbers, `target` \(='pose'\), of which .* know none"
    ):
        erlangen.probe(PIXELS, DATA, ["ridge"], target="pose")
    with pytest.raises(ValueError, match="probe 'ridge' predicts numbers: `target` must say which, of .*pose"):
        erlangen.probe(net, SHAPES, ["ridge"])
    with pytest.raises(ValueError, match="`target` must say which; data 'stripes' know none"):
        erlangen.probe(PIXELS, DATA, ["kernel-ridge"])
    with pytest.raises(ValueError, match=r"probe 'knn' tells classes, not the numbers of `target` \(='pose'\).*ridge"):
        erlangen.probe(net, SHAPES, ["knn"], target="pose")


def test_a_target_of_the_train_images_alone():
    """It is known only if both halves have it."""
    known = {"pose": torch.rand(120, 1), "angle": torch.rand(120, 1)}
    train = replace(TRAIN, latents=known)
    with pytest.raises(ValueError, match="know none"):
        erlangen.probe(PIXELS, Data("mine", train, TEST), ["ridge"], target="pose")
    with pytest.raises(ValueError, match="no target 'pose'; there are: angle"):
        erlangen.probe(
            PIXELS, Data("mine", train, replace(TEST, latents={"angle": torch.rand(45, 1)})), ["ridge"], target="pose"
        )


def test_an_unknown_probe_gets_the_nearest():
    """Before anything is computed: the encoder is not called."""
    with pytest.raises(ValueError, match="no probe 'liner'; there are: knn, .*issl-linear.* Did you mean 'linear'"):
        erlangen.probe(nn.Identity(), DATA, ["knn", "liner"])


def test_all_probes_share_the_features():
    """The encoder sees each image once for probes of the same preparation, whatever number of seeds and budgets."""
    seen = []
    net = nn.Flatten()
    net.register_forward_pre_hook(lambda module, args: seen.append(len(args[0])))
    erlangen.probe(net, DATA, {"knn": PROBES["knn"], "few": Named(KNN(1), "mine")}, seeds=2, budgets=[1, 0.5])
    assert seen == [120, 45]


def test_the_same_seed_gives_the_same_report():
    """Bit for bit; another draws another part of the labels."""
    first, second, other = (examined(PROBES["svc"], seed=seed, budgets=[0.2]) for seed in (0, 0, 1))
    assert first.report == second.report and torch.equal(first.tested["predicted"], second.tested["predicted"])
    assert not torch.equal(first.tested["predicted"], other.tested["predicted"])
