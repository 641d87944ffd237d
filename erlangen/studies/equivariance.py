"""What the methods keep: on images whose every latent is known, one table of invariant and equivariant methods.

Each row is trained from the same renderings with the same encoder and budget, and judged on figures that it has not
seen: is the class still there, what is told of each latent, and does the representation follow the pose?
"""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from erlangen.data import Data, open_dataset
from erlangen.data.latent import Shapes3DViews, ShapesViews
from erlangen.encoders.frozen import Pixels, represent
from erlangen.measures import equivariance
from erlangen.methods.base import Operates
from erlangen.nets import Encoder
from erlangen.recipes.base import Run, change, new_encoder
from erlangen.recipes.latents import METHODS, RECIPES, SIZE
from erlangen.report import page
from erlangen.solvers import classifier, knn_accuracy
from erlangen.studies.grid import Numbers, cells, made, part, shown, spread
from erlangen.train import Observer
from erlangen.views import Draws, View, generator

VIEWS, IMAGES = 12, 400  # of each image, and how many images, to fit on and to test on
PROBED = 2000  # images, as they are, that the classes are learned from and tested on
PENALTIES = (1e-4, 1e-3, 1e-2, 1e-1)
KINDS: Mapping[str, type[ShapesViews] | type[Shapes3DViews]] = {"shapes": ShapesViews, "shapes3d": Shapes3DViews}
FAST = {"train.epochs": 1, "train.steps_per_epoch": 2}
GROUPS = {
    "invariant": ("simclr", "vicreg", "care"),
    "told": ("essl", "augself", "cassle", "equimod", "duet"),
    "operators": ("sie", "sie-blocks", "equimod-blocks"),
}


PROTOCOL = {
    "linear": f"logistic regression, penalty of {PENALTIES} chosen on a fifth of {PROBED} train images, as they are",
    "knn": f"20 neighbours by cosine, temperature 0.07, among the same {PROBED}",
    "r2": "ridge from one view to its own latents, all of which vary",
    "views": f"{VIEWS} of {IMAGES} images to fit, as many of others to test",
    "relative": "ridge on two views and products of their components, to what leads from one pose to the other",
    "prediction": "only the pose varies; from the first view to all, by a fitted operator; `own`: by the method's own",
    "invariance": "mean cosine between views of an image less that of different images, only the pose varies",
}


def study(out: Path, seeds: Sequence[int], fast: bool = False, observers: Sequence[Observer] = ()) -> dict[str, Any]:
    """Trains what is missing below `out`, and writes `equivariance.json` and `.html` there; returns the former.

    `tables` by data set: a row for each method, of each number the mean and the standard deviation over the seeds.
    """
    tables = {data: rows(data, out, seeds, fast, observers) for data in KINDS}
    report: dict[str, Any] = {
        "tables": tables,
        "order": {data: order(table, data) for data, table in tables.items()},
        "protocol": {
            **made("equivariance", seeds, fast),
            "training": "recipes DATA-METHOD: `erlangen show shapes-sie` has every value",
            **PROTOCOL,
            "chance": {"mrr": sum(1 / r for r in range(1, VIEWS + 1)) / VIEWS, "h@1": 1 / VIEWS, "h@5": 5 / VIEWS},
        },
    }
    (out / "equivariance.json").write_text(json.dumps(report, indent=2))
    (out / "equivariance.html").write_text(html(report), encoding="utf-8")
    return report


def run(out: Path, seeds: Sequence[int], fast: bool, observers: Sequence[Observer]) -> dict[str, list[dict[str, str]]]:
    """The tables of `study`, to be printed."""
    return {data: lines(table) for data, table in study(out, seeds, fast, observers)["tables"].items()}


def rows(data: str, out: Path, seeds: Sequence[int], fast: bool, observers: Sequence[Observer]) -> list[Numbers]:
    """Two encoders without training, then every method."""
    opened = open_dataset(data, image_size=SIZE)
    found = [{"method": "pixels", **spread([judged(Pixels(opened.channels, opened.size), opened)])}]
    untrained = [new_encoder(change(RECIPES[f"{data}-simclr"], {"train.seed": seed}), opened) for seed in seeds]
    found.append({"method": "untrained", **spread([judged(encoder, opened) for encoder in untrained])})
    for name in METHODS:
        recipe = change(RECIPES[f"{data}-{name}"], FAST if fast else {})
        numbers = cells(out, f"{data}-{name}", recipe, seeds, partial(measured, opened), PROTOCOL, observers)
        found.append({"method": name, **spread(numbers)})
    return found


def measured(data: Data, run: Run) -> Numbers:
    """The row of a training; with the numbers of its own operator if the method has one."""
    method, nets = run.learner.method, run.learner.nets.eval()
    data = data.to(next(nets.parameters()).device)
    numbers = judged(run.encoder, data)
    if isinstance(method, Operates):
        fit, test = (views(data, which, ("pose",)) for which in ("train", "test"))
        own = equivariance(run.encoder, fit, test, "pose", partial(method.act, nets), partial(method.equivariant, nets))
        numbers |= {f"own {key}": own["prediction"][key] for key in ("mrr", "h@1", "h@5", "explained", "control")}
    return numbers


def judged(encoder: Encoder, data: Data) -> Numbers:
    """What every representation is asked."""
    (bank, labels), (x, truth) = (known(encoder, data, which) for which in ("train", "test"))
    fit, test = (views(data, which) for which in ("train", "test"))
    latents = list(fit[0].spaces)
    told = equivariance(encoder, fit, test, latents)
    moved = equivariance(encoder, views(data, "train", ("pose",)), views(data, "test", ("pose",)), "pose")
    return {
        "linear": accuracy(encoder, data),
        "knn": knn_accuracy(bank, labels, x, truth),
        **{f"r2 {name}": told["absolute"][name]["r2"] for name in latents},
        "relative pose": told["bilinear"]["pose"]["r2"],
        **{key: moved["prediction"][key] for key in ("mrr", "h@1", "h@5", "explained", "control")},
        "invariance": moved["invariance"]["difference"],
    }


def accuracy(encoder: Encoder, data: Data) -> float:
    """Of a linear classifier, of the class of images as they are."""
    (bank, labels), (x, truth) = (known(encoder, data, which) for which in ("train", "test"))
    return classifier(bank, labels, PENALTIES).accuracy(x, truth)


def known(encoder: Encoder, data: Data, which: str) -> tuple[Tensor, Tensor]:
    """Representations of the first images of a split, as they are, and their classes."""
    split = part(data, which)
    batch = split.take(torch.arange(min(PROBED, len(split))))
    assert batch.labels is not None
    return represent(encoder, batch.images), batch.labels


def views(data: Data, which: str, vary: tuple[str, ...] = ()) -> list[View]:
    """Renderings of figures of a split: at latents that all vary, or only these."""
    policy = KINDS[data.name](VIEWS, vary) if vary else KINDS[data.name](VIEWS)
    make = policy.build(data.channels, data.size)
    return make(part(data, which).take(torch.arange(IMAGES)), Draws(generator("equivariance", which)))


def order(table: Sequence[Mapping[str, Any]], data: str) -> dict[str, Any]:
    """The R2 of the pose by method, and whether every invariant method has less than every one that is told the pose,
    and these less than every method with an operator of fixed blocks or a matrix."""
    untold = {name for name in METHODS if "pose" not in str(RECIPES[f"{data}-{name}"].method)}
    pose = {row["method"]: row["r2 pose"]["mean"] for row in table}
    groups = {
        group: {name: pose[name] for name in names if name in pose and (group == "invariant" or name not in untold)}
        for group, names in GROUPS.items()
    }
    present = [found.values() for found in groups.values() if found]
    return {
        "by method": dict(sorted(pose.items(), key=lambda item: item[1])),
        "groups": groups,
        "as expected": all(max(low) < min(high) for low, high in pairwise(present)),
    }


def lines(table: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """A table for people; what a method does not have is a dash."""
    columns = list(dict.fromkeys(key for row in table for key in row if key != "method"))
    return [
        {"method": row["method"], **{key: shown(row[key]) if key in row else "–" for key in columns}} for row in table
    ]


def html(report: Mapping[str, Any]) -> str:
    """The tables, the order that came out, and the protocol, as one page."""
    parts = []
    for data, table in report["tables"].items():
        found = report["order"][data]
        ordered = " < ".join(f"{name} ({value:.2f})" for name, value in found["by method"].items())
        says = (
            "as expected"
            if found["as expected"]
            else "NOT as expected (every invariant method < every one that is told < every operator)"
        )
        parts += [page.heading(data), page.table(lines(table))]
        parts.append(page.paragraph(f"R2 of the pose, {says}: {ordered}", "yes" if found["as expected"] else "no"))
    parts += [page.heading("Protocol"), page.definitions(report["protocol"])]
    return page.page("Erlangen: what invariant and equivariant methods keep", *parts)
