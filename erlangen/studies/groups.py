"""The question of DUET's Figure 4, in small: which transformation may a method be asked to keep, and at what price?

SimCLR, E-SSL and DUET learn from crops and one transformation more; the images, shapes that stand upright and have one
colour, show what was done to them. Accuracy of the class says what it costs, the error of the parameter, decoded from a
view, says what is kept.
"""

import json
import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.data import Data, open_dataset
from erlangen.encoders.frozen import represent
from erlangen.methods.base import AnyMethod
from erlangen.methods.duet import DUET
from erlangen.methods.essl import ESSL
from erlangen.methods.simclr import SimCLR
from erlangen.optim import AdamW, Cosine
from erlangen.recipes.base import Recipe, Run, change
from erlangen.report import page
from erlangen.solvers import ridge_of_versions
from erlangen.spaces import Circle
from erlangen.studies.equivariance import accuracy
from erlangen.studies.grid import Numbers, cells, made, part, shown, spread
from erlangen.train import Observer, TrainConfig
from erlangen.transforms.duet import Code, DUETESSLViews, DUETViews
from erlangen.views import Draws, View, ViewPolicy, generator

CODES: tuple[Code, ...] = ("rot", "ron", "fli", "gra", "hue")
BINS = (2, 4, 8, 16)
SIZE, IMAGES, VIEWS = 20, 1000, 4
HEADS: dict[str, Any] = {"hidden": (256,), "out": 64}
TRAIN = TrainConfig(epochs=4, batch_size=64, probe_every=4)
OPTIM = AdamW(lr=1e-3, weight_decay=1e-4, schedule=Cosine(warmup=0.1))
FAST = {"train.epochs": 1, "train.steps_per_epoch": 2}

PROTOCOL = {
    "training": f"shapes-upright, {SIZE} px, encoder small, {TRAIN.epochs} epochs of batches of {TRAIN.batch_size}, "
    f"{OPTIM}",
    "methods": "projectors 256-64, temperature .1; DUET of weight 100; crops beside the transformation",
    "linear": "as in the study `equivariance`: images as they are",
    "error": f"mean absolute error of g, decoded by ridge from an image that got this transformation alone, no crop; "
    f"{VIEWS} times {IMAGES} images to fit, as many to test; of cyclic groups the shorter way round",
    "constant": "the same error of the best constant",
}


def study(out: Path, seeds: Sequence[int], fast: bool = False, observers: Sequence[Observer] = ()) -> dict[str, Any]:
    """Trains what is missing below `out`, and writes `groups.json` and `.html` there; returns the former."""
    data = open_dataset("shapes-upright", image_size=SIZE)
    table = []
    for code in CODES:
        for label, recipe in recipes(code).items():
            recipe = change(recipe, FAST if fast else {})
            name, how = f"{code}-{label.replace(' ', '-')}", partial(measured, data, code)
            table.append(
                {"group": code, "method": label, **spread(cells(out, name, recipe, seeds, how, PROTOCOL, observers))}
            )
    report: dict[str, Any] = {"table": table, "protocol": {**made("groups", seeds, fast), **PROTOCOL}}
    (out / "groups.json").write_text(json.dumps(report, indent=2))
    (out / "groups.html").write_text(html(report), encoding="utf-8")
    return report


def run(out: Path, seeds: Sequence[int], fast: bool, observers: Sequence[Observer]) -> dict[str, list[dict[str, str]]]:
    """The table of `study`, to be printed."""
    return {"shapes-upright": lines(study(out, seeds, fast, observers)["table"])}


def recipes(code: Code) -> dict[str, Recipe]:
    """SimCLR is invariant to the transformation; E-SSL does not see it, but predicts it; DUET follows it."""

    def recipe(method: AnyMethod, views: ViewPolicy) -> Recipe:
        return Recipe(method, views, OPTIM, TRAIN, data="shapes-upright", image_size=SIZE)

    tx: tuple[Code, ...] = ("sca", code)
    return {
        "SimCLR": recipe(SimCLR(temperature=0.1, scale=2.0, **HEADS), DUETViews(tx)),
        "E-SSL": recipe(ESSL(group=code, **HEADS), DUETESSLViews(tx)),
        **{f"DUET {n} bins": recipe(DUET(group=(code,), bins=n, weight=100.0, **HEADS), DUETViews(tx)) for n in BINS},
    }


def measured(data: Data, code: Code, run: Run) -> Numbers:
    """Accuracy of the class, and how far the decoded parameter is from what was done."""
    shown = {which: views(data, which, code) for which in ("train", "test")}
    h_fit, h = (torch.stack([represent(run.encoder, view.images) for view in shown[w]]) for w in ("train", "test"))
    y_fit, y = (torch.stack([view.embed(code) for view in shown[which]]) for which in ("train", "test"))
    (model,) = ridge_of_versions(h_fit, y_fit.to(h), [y.shape[2]])
    guess = model(h.flatten(0, 1)).reshape(y.shape)
    space, g = shown["test"][0].spaces[code], torch.stack([view.params[code] for view in shown["test"]]).to(guess)
    cyclic = isinstance(space, Circle)
    turned = torch.atan2(guess[..., 1:], guess[..., :1] + 1) / math.tau if cyclic else guess
    constants = [error(torch.full_like(g, c / 100), g, cyclic) for c in range(101)]
    return {
        "linear": accuracy(run.encoder, data),
        "error": error(turned + space.identity.to(guess), g, cyclic),
        "constant": min(constants),
    }


def views(data: Data, which: str, code: Code) -> list[View]:
    """Images of a split with this transformation alone, drawn several times."""
    make = DUETViews((code,)).view(data.channels, data.size, data.size)
    batch = part(data, which).take(torch.arange(IMAGES))
    return [make(batch, Draws(generator("groups", which, i))) for i in range(VIEWS)]


def error(told: Float[Tensor, "k n 1"], g: Float[Tensor, "k n 1"], cyclic: bool) -> float:
    """Mean absolute error in units of g; of a cyclic group the shorter way round."""
    away = told - g
    return float((away - away.round() if cyclic else away).abs().mean())


def lines(table: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The table for people."""
    return [
        {name: value if isinstance(value, str) else shown(value, 3) for name, value in row.items()} for row in table
    ]


def html(report: Mapping[str, Any]) -> str:
    parts = [page.table(lines(report["table"])), page.heading("Protocol")]
    parts.append(page.definitions(report["protocol"]))
    return page.page("Erlangen: what it costs to keep a transformation", *parts)
