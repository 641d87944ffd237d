"""Every protocol against the table of its source, and the learning rates that are really used."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

from erlangen.probes.finetune import Finetuned
from erlangen.probes.fits import Chosen
from erlangen.probes.protocols import PROBES, PROTOCOLS
from erlangen.probes.trained import Descent, Trained
from erlangen.runs import resolved

AS_IT_IS = {
    "precision": "float32",
    "preparation.resize": 1.0,
    "budget": 1.0,
    "runs": 1,
    "test_batch": None,
    "answers": "classes",
}
SGD = {"optim.class": "SGD", "optim.momentum": 0.9, "optim.nesterov": False, "optim.decayed": "all", "optim.groups": []}
COSINE = {"schedule.class": "Cosine", "schedule.warmup": 0.0, "schedule.end": 0.0}
LINEAR = {"class": "Trained", "hidden": [], "standardise": False, "best_on_test": False}
ON_VIEWS = {"class": "Finetuned", "frozen": True, "hidden": []}
# torchvision's RandomResizedCrop and RandomHorizontalFlip as they are
CROP_FLIP = {"views.class": "CropFlipViews", "views.crop": [0.08, 1.0], "views.flip": 0.5, "views.filter": "bilinear"}
ISSL = {
    **LINEAR,
    **SGD,
    **COSINE,
    "schedule.per": "epoch",
    "optim.lr": 0.3,
    "optim.lr_batch": 256,  # the rate of 512 images is .6
    "epochs": 100,
    "batch_size": 512,
    "drop_last": False,
    "clip": 2.0,
    "start": 0.02,  # a normal's deviation
}
MLP = {"hidden": [2048, 2048]}
LONG = {"epochs": 1000}  # ten times, for 2 and 0.2 %
HALF = {"precision": "float16"}


def grid(*decays: float, selection: str, **others: object) -> dict[str, object]:
    """ISSL's probe with each weight decay, one of which is chosen."""
    found: dict[str, object] = {"class": "Chosen", "selection": selection, "probes": len(decays)}
    for i, decay in enumerate(decays):
        probe = {**ISSL, "optim.weight_decay": decay, **others}
        found |= {f"{i}.{name}": value for name, value in probe.items()}
    return found


FULL, FEW, ONE = (1e-4, 1e-5, 1e-6), (1e-3, 1e-4, 1e-5), {**ISSL, "optim.weight_decay": 1e-6}
STRENGTHS = [1e-3, 10**-2.5, 1e-2, 10**-1.5, 1e-1, 10**-0.5, 1.0]
TABLE = {
    "issl-linear": {**HALF, **grid(*FULL, selection="test")},
    "issl-linear-validated": {**HALF, **grid(*FULL, selection="held-out")},
    "issl-linear-10pct": {**HALF, **ONE, "budget": 0.1},
    "issl-linear-2pct": {**HALF, **grid(*FEW, selection="test", **LONG), "budget": 0.02},
    "issl-linear-1pct": {**HALF, **ONE, "budget": 0.01},
    "issl-linear-0.2pct": {**HALF, **ONE, **LONG, "budget": 0.002},
    "issl-mlp": {**HALF, **grid(*FULL, selection="test", **MLP)},
    "issl-mlp-validated": {**HALF, **grid(*FULL, selection="held-out", **MLP)},
    "issl-mlp-2pct": {**HALF, **grid(*FEW, selection="test", **LONG, **MLP), "budget": 0.02},
    # LinearSVC on features in half precision; Resize 256 (bilinear), CenterCrop 224
    "issl-hub": {
        **HALF,
        "class": "SupportVectors",
        "strengths": STRENGTHS,
        "selection": "test",
        "preparation.resize": 256 / 224,
        "preparation.filter": "bilinear",
    },
    # CalibratedClassifierCV(LogisticRegression()) with scikit-learn's defaults, raw features
    "relic-logreg": {"class": "Calibrated", "strength": 1.0},
    # Keras: Adam with eps 1e-7, Dense from Glorot; .05 to .0005 by a square; batches that are full
    "kth-linear": {
        **LINEAR,
        "optim.class": "Adam",
        "optim.lr": 0.05,
        "optim.betas": [0.9, 0.999],
        "optim.eps": 1e-7,
        "optim.weight_decay": 0.0,
        "optim.lr_batch": None,
        "schedule.class": "Polynomial",
        "schedule.power": 2.0,
        "schedule.end": 0.01,
        "epochs": 100,
        "batch_size": 128,
        "drop_last": True,
        "clip": None,
        "start": "glorot",
    },
    # StandardScaler, Adam, the best of 50 epochs on test
    "directpred-official": {
        **LINEAR,
        "standardise": True,
        "best_on_test": True,
        "optim.class": "Adam",
        "optim.lr": 3e-4,
        "optim.betas": [0.9, 0.999],
        "optim.eps": 1e-8,
        "optim.weight_decay": 1e-3,
        "optim.decayed": "all",
        "optim.lr_batch": None,
        "schedule.class": "Constant",
        "epochs": 50,
        "batch_size": 128,
        "clip": None,
        "start": "torch",
    },
    "moco-linear": {
        **ON_VIEWS,
        **SGD,
        **CROP_FLIP,
        "optim.lr": 30.0,
        "optim.weight_decay": 0.0,
        "optim.lr_batch": None,
        "schedule.class": "Milestones",
        "schedule.at": [60, 80],
        "schedule.gamma": 0.1,
        "epochs": 100,
        "batch_size": 256,
        "drop_last": False,
        "clip": None,
        "preparation.resize": 256 / 224,
        "preparation.filter": "bilinear",
    },
    # --center-crop --tx sca rot; the rate is not scaled, at epoch 0 a thousandth, at 10 all; the last batch is kept
    "duet-online": {
        **ON_VIEWS,
        "optim.class": "AdamW",
        "optim.lr": 4e-4,
        "optim.betas": [0.9, 0.95],
        "optim.eps": 1e-8,
        "optim.weight_decay": 1e-4,
        "optim.decayed": "all",
        "optim.lr_batch": None,
        "schedule.class": "Cosine",
        "schedule.warmup": 10,
        "schedule.least": 1e-3,
        "schedule.end": 0.0,
        "schedule.per": "epoch",
        "epochs": 800,
        "batch_size": 1024,
        "drop_last": False,
        "clip": None,
        "start": "torch",
        "views.class": "DUETViews",
        "views.tx": ["sca", "rot"],
        "views.center_crop": True,
        "preparation.resize": 36 / 32,
        "test_batch": 1024,  # that of training
    },
    # Resize 36 bicubic, CenterCrop 32
    "essl-knn": {
        "class": "KNN",
        "k": 200,
        "temperature": 0.1,
        "preparation.resize": 36 / 32,
        "preparation.filter": "bicubic",
    },
    "essl-linear": {
        **ON_VIEWS,
        **SGD,
        **COSINE,
        **CROP_FLIP,
        "views.filter": "bicubic",
        "schedule.per": "step",
        "optim.lr": 30.0,
        "optim.weight_decay": 0.0,
        "optim.lr_batch": None,
        "epochs": 100,
        "batch_size": 256,
        "drop_last": True,
        "clip": None,
        "start": "torch",
        "preparation.resize": 36 / 32,
        "preparation.filter": "bicubic",
        "runs": 5,
        "test_batch": 256,
    },
    # the number of fused encoders and the score are those of the encoder and the data
    "ericsson": {"class": "Ericsson", "extra": None, "folds": 5, "score": None, "answers": "either"},
    # named by --probe: chosen on train images only
    "knn": {"class": "KNN", "k": 20, "temperature": 0.07},
    "linear": {
        "class": "Logistic",
        "penalties": [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0],
        "standardise": True,
        "selection": "held-out",
    },
    "sgd": grid(*FULL, selection="held-out"),
    "mlp": grid(*FULL, selection="held-out", **MLP),
    "svc": {"class": "SupportVectors", "strengths": STRENGTHS, "selection": "held-out"},
    "calibrated": {"class": "Calibrated", "strength": 1.0},
    "ridge": {"class": "Ridge", "answers": "numbers"},
    "kernel-ridge": {
        "class": "KernelRidge",
        "alphas": np.logspace(0, -4, 5).tolist(),
        "gammas": np.logspace(-5, 2, 8).tolist(),
        "folds": 5,
        "rows": 2048,
        "answers": "numbers",
    },
    "finetune": {
        "class": "Finetuned",
        "frozen": False,
        **{**SGD, "optim.groups": 1},
        **COSINE,
        "schedule.per": "step",
        "optim.lr": 0.1,
        "optim.lr_batch": 256,
        "epochs": 30,
        "batch_size": 128,
        "views.class": "CropFlipViews",
        "views.crop": [0.2, 1.0],
    },
}
NAMED = {**PROTOCOLS, **PROBES}


def flat(value: object, *place: str) -> dict[str, object]:
    """The fields by their paths, less what every path has; a list of objects is its length and its objects."""
    if isinstance(value, list) and value and isinstance(value[0], dict):
        inner = {k: x for i, item in enumerate(value) for k, x in flat(item, *place[:-1], str(i)).items()}
        return {".".join(place): len(value), **inner}
    if not isinstance(value, dict):
        return {".".join(place): value}
    found = {}
    for name, inner in value.items():
        here = place[:-1] if name == "schedule" else place  # of the optimiser
        found |= flat(inner, *here, *([] if name in ("probe", "descent") else [name]))
    return found


@pytest.mark.parametrize("name", NAMED)
def test_a_protocol_is_its_table(name):
    """Field by field, those around the probe too."""
    outer = json.loads(json.dumps(resolved(NAMED[name])))
    for part in (outer, outer["probe"], *outer["probe"].get("probes", [])):
        part.pop("class") if part is outer else part.get("descent", {}).pop("class", None)
    found, expected = flat(outer), {**AS_IT_IS, **TABLE[name]}
    differ = {
        field: found.get(field, "missing") for field in expected if found.get(field, "missing") != expected[field]
    }
    for field in list(differ):
        if isinstance(expected[field], float | list):
            np.testing.assert_allclose(differ.pop(field), expected[field], rtol=1e-12)
    assert not differ, f"instead of {[(field, expected[field]) for field in differ]}"


def test_every_protocol_has_a_table():
    """And every table a protocol; no name means two."""
    assert TABLE.keys() == NAMED.keys() and len(NAMED) == len(PROTOCOLS) + len(PROBES)


def chooses_on_test(value: object) -> bool:
    if isinstance(value, list):
        return any(map(chooses_on_test, value))
    if not isinstance(value, dict):
        return False
    return value.get("selection") == "test" or value.get("best_on_test", False) or chooses_on_test([*value.values()])


@pytest.mark.parametrize("name", NAMED)
def test_what_chooses_on_test_says_so(name):
    """In capitals in its source, and nothing else does; none that `--probe` names chooses there."""
    on_test = chooses_on_test(resolved(NAMED[name]))
    assert ("ON TEST" in NAMED[name].source) == on_test
    assert name in PROTOCOLS or not on_test


def descent_of(name: str) -> Descent:
    probe = NAMED[name].probe
    if isinstance(probe, Chosen):
        probe = probe.probes[0]
    assert isinstance(probe, Trained | Finetuned)
    return probe.descent


def run(descent: Descent, rows: int, net: nn.Module | None = None) -> tuple[list[dict[str, object]], list[int]]:
    """What the optimiser had in each step of training a tiny network on so many rows, and the sizes of the batches."""
    seen, sizes = [], []

    def look(optimizer, *_) -> None:
        group = optimizer.param_groups[0]
        seen.append({"class": type(optimizer).__name__, **{k: v for k, v in group.items() if k != "params"}})

    def inputs(places: torch.Tensor, step: int) -> torch.Tensor:
        assert step == len(sizes)
        sizes.append(len(places))
        return torch.zeros(len(places), 1)

    handle = register_optimizer_step_pre_hook(look)
    try:
        descent.run(net or nn.Linear(1, 2), inputs, torch.zeros(rows, dtype=torch.long), seed=0)
    finally:
        handle.remove()
    return seen, sizes


def half(part: float) -> float:
    """A cosine from 1 to 0, this far along."""
    return (1 + math.cos(math.pi * part)) / 2


# name: epochs, the sizes of the batches of an epoch, and the rates of some steps as (epoch, place in it): rate
RATES = {
    "issl-linear": (
        100,
        [512, 512, 1],
        {(0, 0): 0.6, (0, 2): 0.6, (1, 0): 0.6 * half(0.01), (50, 0): 0.3, (50, 2): 0.3, (99, 2): 0.6 * half(0.99)},
    ),
    "issl-linear-2pct": (
        1000,
        [3],
        {(0, 0): 0.6, (1, 0): 0.6 * half(0.001), (500, 0): 0.3, (750, 0): 0.6 * half(0.75)},
    ),
    "issl-mlp": (100, [5], {(0, 0): 0.6, (25, 0): 0.6 * half(0.25), (50, 0): 0.3}),
    "kth-linear": (
        100,
        [128, 128],
        {
            (0, 0): 0.05,
            (0, 1): 5e-4 + 0.0495 * (199 / 200) ** 2,
            (50, 0): 5e-4 + 0.0495 / 4,
            (99, 1): 5e-4 + 0.0495 / 200**2,
        },
    ),
    "directpred-official": (50, [128, 128, 1], {(0, 0): 3e-4, (25, 1): 3e-4, (49, 2): 3e-4}),
    "moco-linear": (
        100,
        [256, 256, 1],
        {(0, 0): 30.0, (59, 2): 30.0, (60, 0): 3.0, (79, 2): 3.0, (80, 0): 0.3, (99, 2): 0.3},
    ),
    "duet-online": (
        800,
        [7],
        {
            (0, 0): 4e-7,
            (1, 0): 4e-5,
            (5, 0): 2e-4,
            (10, 0): 4e-4,
            (11, 0): 4e-4 * half(1 / 790),
            (405, 0): 2e-4,
            (799, 0): 4e-4 * half(789 / 790),
        },
    ),
    "essl-linear": (
        100,
        [256, 256],
        {(0, 0): 30.0, (0, 1): 30.0 * half(0.005), (50, 0): 15.0, (99, 1): 30.0 * half(0.995)},
    ),
}


@pytest.mark.parametrize("name", RATES)
def test_the_rates_of_steps(name):
    """Of a whole run, by what the optimiser has when it steps; the batch that is not full is dropped, or not."""
    epochs, batches, expected = RATES[name]
    descent, rows = descent_of(name), sum(batches)
    seen, sizes = run(descent, rows + 1 if descent.drop_last else rows)
    assert sizes == batches * epochs
    found = {place: seen[len(batches) * place[0] + place[1]]["lr"] for place in expected}
    assert found == pytest.approx(expected, rel=1e-9)
    optim = TABLE[name] if "optim.class" in TABLE[name] else {k[2:]: x for k, x in TABLE[name].items() if k[:2] == "0."}
    assert all(step["class"] == optim["optim.class"] for step in seen)
    assert all(step["weight_decay"] == optim["optim.weight_decay"] for step in seen)
    for field in ("momentum", "eps"):
        if f"optim.{field}" in optim:
            assert seen[0][field] == optim[f"optim.{field}"]


def test_every_descent_has_its_rates():
    """Of protocols that differ in no more than widths, decays and what chooses, one stands for all."""
    covered = [replace(descent_of(name), optim=replace(descent_of(name).optim, weight_decay=0.0)) for name in RATES]
    for name, named in PROTOCOLS.items():
        if isinstance(named.probe, Chosen | Trained | Finetuned):
            descent = descent_of(name)
            assert replace(descent, optim=replace(descent.optim, weight_decay=0.0)) in covered


def test_finetuning_takes_the_encoder_slowly():
    """Batches of 128 at half the rate of 256, the encoder at a tenth of that."""
    net = nn.Module()
    net.encoder, net.head = nn.Linear(1, 2), nn.Linear(2, 2)
    net.forward = lambda x: net.head(net.encoder(x))  # type: ignore[method-assign]
    rates = []
    handle = register_optimizer_step_pre_hook(lambda o, *_: rates.append([g["lr"] for g in o.param_groups]))
    descent_of("finetune").run(net, lambda rows, _: torch.zeros(len(rows), 1), torch.zeros(200, dtype=torch.long), 0)
    handle.remove()
    assert rates[0] == pytest.approx([0.005, 0.05]) and rates[30] == pytest.approx([0.0025, 0.025])


def test_the_mlp_of_issl():
    """Linear without bias, BatchNorm, ReLU, twice, then 200 classes; weights from a normal of .02, biases 0."""
    probe = NAMED["issl-mlp"].probe.probes[0]
    net = probe.build(torch.zeros(2, 16), 200, seed=0).net
    assert [type(layer).__name__ for layer in net] == [*("Linear", "BatchNorm1d", "ReLU") * 2, "Linear"]
    assert sum(p.numel() for p in net.parameters()) == 16 * 2048 + 2048 * 2048 + 4 * 2048 + 2048 * 200 + 200
    assert float(net[3].weight.detach().std()) == pytest.approx(0.02, rel=0.01) and not net[6].bias.any()
