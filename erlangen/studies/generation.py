"""Controlled generation: images decoded from frozen representations, and turned by editing the representation.

The claim of DUET's abstract (arXiv:2306.16058): its images are decoded with a smaller error than SimCLR's and E-SSL's,
and its group axis controls what is decoded. The authors' code has no decoder; the one here is ours. Digits are turned
about the whole circle, where an edit rolls the group axis, or by up to 90 degrees, where it re-weights the rows.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen import losses
from erlangen.data import Data, Source, open_dataset
from erlangen.encoders.frozen import represent
from erlangen.methods.duet import DUET
from erlangen.methods.essl import ESSL
from erlangen.methods.simclr import SimCLR
from erlangen.optim import AdamW, Cosine
from erlangen.pipelines import Pipeline, Pipelines
from erlangen.probes import decode
from erlangen.recipes.base import Recipe, Run
from erlangen.report import page, plots
from erlangen.report.grids import grid
from erlangen.solvers.intervals import mean, with_intervals
from erlangen.spaces import Circle, Interval
from erlangen.studies.grid import Numbers, cells, made, shown, spread
from erlangen.train import Observer, TrainConfig
from erlangen.transforms import ResizedCrop, Rotation
from erlangen.views import Draws, Views, generator

BINS = 8
SHOWN = (2, 3, 4, 5, 7)  # digits in the picture
NUMBERS = {
    "reconstruction": "turned images decoded from their own representations",
    "unedited": "turned images, decoded from those of the images before turning",
    "edited": "likewise, the representation edited, by a decoder that never saw an edited one",
    "taught": "likewise, by a decoder that learned from edited representations of other images",
    "mean_image": "turned images, told as the mean image",
}


@dataclass(frozen=True)
class TurnedViews:
    """Two crops, each turned by any angle, or by up to 90 degrees to either side if `half`.

    `third`: E-SSL's, two crops that are contrasted as they are and a third that is turned, all of one size.
    """

    half: bool = False
    third: bool = False

    def build(self, channels: int, size: int) -> Views:
        still = Pipeline((ResizedCrop(size, (0.6, 1.0)),))
        return Pipelines((still, still, self.turned(size)) if self.third else (self.turned(size),) * 2)

    def turned(self, size: int) -> Pipeline:
        angles = Interval(-math.pi / 2, math.pi / 2) if self.half else Circle()
        return Pipeline((ResizedCrop(size, (0.6, 1.0)), Rotation(angles)))


HEAD: dict[str, Any] = {"temperature": 0.1, "hidden": (256,), "out": 64}
RECIPE = Recipe(
    SimCLR(hidden_bias=True, last_norm=True, one_batch=False, scale=2.0, **HEAD),  # as DUET's authors compare it
    TurnedViews(),
    AdamW(lr=2e-3, weight_decay=1e-4, schedule=Cosine(warmup=0.1)),
    TrainConfig(epochs=60, probe_every=60),
)
FOLLOWING = DUET(weight=100.0, bins=BINS, **HEAD)
RECIPES = {
    "SimCLR": RECIPE,
    "E-SSL": replace(RECIPE, method=ESSL("rotation", **HEAD), views=TurnedViews(third=True)),
    "DUET": replace(RECIPE, method=FOLLOWING),
    "DUET, half circle": replace(RECIPE, method=FOLLOWING, views=TurnedViews(half=True)),
}


@dataclass(frozen=True)
class Versions:
    """Images as they were drawn, and the same crops at other angles; the parameters in [0, 1]."""

    source: Float[Tensor, "n c s s"]
    old: Float[Tensor, "n 1"]
    moved: Float[Tensor, "k n c s s"]
    new: Float[Tensor, "k n 1"]
    titles: tuple[str, ...]
    cyclic: bool

    @property
    def every(self) -> Float[Tensor, "m c s s"]:
        return torch.cat([self.source, self.moved.flatten(0, 1)])

    def edits(self, z: Float[Tensor, "n d"], duet: DUET) -> Float[Tensor, "k n d"]:
        """What the representations of the source become if edited to each of the other angles, as those of `duet`."""
        if self.cyclic:
            return torch.stack([decode.roll(z, duet.bins, k + 1) for k in range(len(self.new))])
        kind: losses.Target = "ga" if duet.target == "auto" else duet.target
        width = duet.width or {"vm": 3.0, "ga": 0.2}[kind]
        edited = [decode.reweight(z, duet.bins, self.old, new, kind, width, duet.marginal) for new in self.new]
        return torch.stack(edited)


def versions(pipeline: Pipeline, split: Source, index: Tensor, seed: int, upright: bool = False) -> Versions:
    """One draw for these images, or, `upright`, all of each as it is, and its replay at 7 or 8 other angles."""
    batch, space = split.take(index), pipeline.spaces["rotation"]
    drawn = pipeline.draw(len(index), Draws(generator(seed, "generation")))
    if upright:
        drawn = {name: each.identity.repeat(len(index), 1) for name, each in pipeline.spaces.items()}
    old, cyclic = drawn["rotation"], isinstance(space, Circle)
    if cyclic:
        steps = [k / BINS for k in range(1, BINS)]  # of a turn
        angles, titles = [old + math.tau * step for step in steps], [f"+{360 * step:.0f}°" for step in steps]
    else:
        middles = [math.pi * ((k + 0.5) / BINS - 0.5) for k in range(BINS)]
        angles, titles = [torch.full_like(old, x) for x in middles], [f"{math.degrees(x):.0f}°" for x in middles]
    moved = [pipeline.replay(batch, {**drawn, "rotation": angle}).images for angle in angles]
    new = torch.stack([space.unit(angle) for angle in angles])
    source = pipeline.view(batch, drawn).images
    return Versions(source, space.unit(old), torch.stack(moved), new, ("image", "not edited", *titles), cyclic)


def generation(
    out: Path, seeds: Sequence[int] = (0, 1, 2), fast: bool = False, observers: Sequence[Observer] = ()
) -> dict[str, Any]:
    """Trains encoders and decoders, writes `generation.json` and `generation.html` into `out`; returns the former.

    About 8 minutes on two cores for three seeds; an unfinished study goes on. `fast` trains next to nothing.
    """
    data = open_dataset("digits")
    steps, draws = (20, 128) if fast else (1000, 4 * len(data.train))
    protocol = {
        "numbers": "mean squared errors of pixels in [0, 1] over test images and angles; " + told(NUMBERS),
        "spread": "standard deviation over the training seeds; intervals: 95 % bootstrap over test images, each seed",
        "decoder": f"Adam, {steps} steps of 128 images, lr 0.002, cosine; the same network for all",
        "images": f"{draws} views of the train images, each at {BINS} angles or more",
        "epochs": 1 if fast else RECIPE.train.epochs,
    }
    found: dict[str, list[Numbers]] = {}
    for label, recipe in RECIPES.items():
        recipe = replace(recipe, train=replace(recipe.train, epochs=1 if fast else recipe.train.epochs))
        how = partial(measured, data=data, steps=steps, draws=draws)
        found[label] = cells(out, folder_name(label), recipe, seeds, how, protocol, observers)
    rows = [{"encoder": label, **spread([only(each) for each in numbers])} for label, numbers in found.items()]
    protocol |= made("generation", seeds, fast)
    report = {"rows": rows, "claims": claims(rows), "cells": found, "protocol": protocol}
    (out / "generation.html").write_text(html(report, out, seeds[0]), encoding="utf-8")
    (out / "generation.json").write_text(json.dumps(report, indent=2))
    return report


def run(out: Path, seeds: Sequence[int], fast: bool, observers: Sequence[Observer]) -> dict[str, list[dict[str, str]]]:
    """The table of `generation`, to be printed."""
    rows = generation(out, seeds, fast, observers)["rows"]
    return {"digits": [{"encoder": row["encoder"], **{n: shown(row[n], 4) for n in NUMBERS}} for row in rows]}


def folder_name(label: str) -> str:
    return label.lower().replace(", ", "-").replace(" ", "-")


def measured(run: Run, data: Data, steps: int, draws: int) -> Numbers:
    """Errors of both decoders on the test images, with intervals; the picture goes into the run's folder."""
    assert isinstance(run.recipe.views, TurnedViews) and data.test is not None and run.folder is not None
    pipeline, seed, duet = run.recipe.views.turned(data.size), run.recipe.train.seed, edited_as(run.recipe)
    fit = versions(pipeline, data.train, torch.arange(draws) % len(data.train), seed)
    test = versions(pipeline, data.test, torch.arange(min(draws, len(data.test))), seed + 1)
    truth = test.moved.flatten(0, 1)
    plain, own = decode.reconstruct(run.encoder, fit.every, truth, steps, seed)
    z, z_test = represent(run.encoder, fit.source), represent(run.encoder, test.source)
    taught = decode.fit(torch.cat([z, *fit.edits(z, duet)]), fit.every, steps, seed=seed)
    edited = test.edits(z_test, duet).flatten(0, 1)
    errors = {
        "reconstruction": own,
        "unedited": decode.squared_errors(plain, z_test.repeat(len(test.moved), 1), truth),
        "edited": decode.squared_errors(plain, edited, truth),
        "taught": decode.squared_errors(taught, edited, truth),
        "mean_image": (fit.every.mean(0) - truth).square().mean((1, 2, 3)),
    }
    of_image = {name: error.view(len(test.moved), -1).mean(0).double() for name, error in errors.items()}
    plots.save(picture(run, data, plain, taught), run.folder / "generation.png")
    return with_intervals(
        lambda weights: {name: mean(error, weights) for name, error in of_image.items()},
        len(test.source),
        seed,
        z.device,
    )


def picture(run: Run, data: Data, plain: decode.Decoder, taught: decode.Decoder) -> Any:
    """Upright test digits: truly turned, and decoded from edited representations by both decoders."""
    assert isinstance(run.recipe.views, TurnedViews) and data.test is not None and data.test.labels is not None
    index = torch.stack([(data.test.labels == label).nonzero()[0, 0] for label in SHOWN])
    seen = versions(run.recipe.views.turned(data.size), data.test, index, seed=0, upright=True)
    z = represent(run.encoder, seen.source)
    edited = torch.cat([z[None], seen.edits(z, edited_as(run.recipe))])

    def row(i: int, rest: Tensor) -> Tensor:
        return torch.cat([seen.source[i : i + 1], rest])

    blocks = [
        {
            "turned": row(i, torch.cat([seen.source[None], seen.moved])[:, i]),
            "edited, taught": row(i, taught(edited[:, i])),
            "edited": row(i, plain(edited[:, i])),
        }
        for i in range(len(index))
    ]
    return grid(blocks, seen.titles)


def edited_as(recipe: Recipe) -> DUET:
    """Whose group axis is edited: the method's own; where there is none, the features that would be DUET's."""
    return recipe.method if isinstance(recipe.method, DUET) else FOLLOWING


def only(found: Numbers) -> dict[str, float]:
    """The numbers without their intervals."""
    return {name: found[name] for name in NUMBERS}


def told(values: Mapping[str, str]) -> str:
    return "; ".join(f"{name}: {text}" for name, text in values.items())


def claims(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What is claimed, checked against the means over the seeds."""
    of = {row["encoder"]: {name: row[name]["mean"] for name in NUMBERS} for row in rows}
    duet, half = of["DUET"], of["DUET, half circle"]
    others = {name: min(of[label][name] for label in ("SimCLR", "E-SSL")) for name in NUMBERS}

    def still(found: Mapping[str, float]) -> float:
        """What is reached without an edit: by the image before turning, or by the mean image."""
        return min(found["unedited"], found["mean_image"])

    pairs = [
        ("DUET's images are decoded with the smallest error", "reconstruction", duet, others),
        ("rolling DUET's group axis turns what is decoded", "edited", duet, {"edited": still(duet)}),
        ("re-weighting its rows does, on half a circle", "edited", half, {"edited": still(half)}),
        ("taught to follow the edit, its decoder turns images best", "taught", duet, others),
    ]
    return [
        {"text": f"{text}: {ours[name]:.4f} against {theirs[name]:.4f}", "holds": ours[name] < theirs[name]}
        for text, name, ours, theirs in pairs
    ]


def html(report: Mapping[str, Any], out: Path, seed: int) -> str:
    """The report as one page: table, claims, the pictures of one seed, the protocol."""
    table = [{"encoder": row["encoder"], **{n: shown(row[n], 4) for n in NUMBERS}} for row in report["rows"]]
    parts = [page.table(table)]
    parts += [
        page.paragraph(c["text"] if c["holds"] else f"NOT so: {c['text']}", "yes" if c["holds"] else "no")
        for c in report["claims"]
    ]
    for label in RECIPES:
        png = (out / f"{folder_name(label)}-{seed}" / "generation.png").read_bytes()
        alt = f"{label}: digits turned, and decoded from edited representations"
        parts += [page.heading(label), plots.png_tag(png, alt)]
    return page.page("Controlled generation", *parts, page.heading("Protocol"), page.definitions(report["protocol"]))
