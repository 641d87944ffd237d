"""The story of the field in three minutes: what invariance buys, what it costs, and what equivariance keeps.

SimCLR and DUET learn from the same views of handwritten digits, turned at random. SimCLR becomes invariant, so that a
classifier fitted on upright digits still works on turned ones; DUET keeps the angle, so that it can be read off.
"""

import json
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from erlangen.data import Data, open_dataset
from erlangen.encoders.frozen import Pixels
from erlangen.measures import along_orbits
from erlangen.nets import Encoder
from erlangen.pipelines import replay
from erlangen.recipes.base import new_encoder, train
from erlangen.recipes.quickstart import RECIPES
from erlangen.report import page, plots
from erlangen.runs import environment
from erlangen.train import Observer
from erlangen.transforms import Rotation

ANGLES = 24


@dataclass(frozen=True)
class Claim:
    text: str
    holds: bool


def quickstart(out: Path, seed: int = 0, fresh: bool = False, observers: tuple[Observer, ...] = ()) -> dict[str, Any]:
    """Trains, measures and writes `report.json` and `report.html` into `out`; returns the content of the former.

    A report that exists is returned as it is, an unfinished run is resumed; `fresh` starts again. `ValueError` if the
    report that exists is of another seed.
    """
    if fresh:
        for folder in (out / "simclr", out / "duet"):
            if folder.exists():
                if not (folder / "recipe.json").exists():
                    raise ValueError(f"{folder} is no run folder and is not deleted: name another `out` (={out})")
                shutil.rmtree(folder)
        (out / "report.json").unlink(missing_ok=True)
    if (out / "report.json").exists():
        report: dict[str, Any] = json.loads((out / "report.json").read_text())
        made = report["protocol"]["training_seed"]
        if made != seed:
            raise ValueError(f"`out` (={out}) holds the report of seed {made}: name another folder or start --fresh")
        return report
    data = open_dataset("digits")
    measured: dict[str, dict[str, Any]] = {}
    rows = []
    for label in ("pixels", "random encoder", "SimCLR", "DUET"):
        start = time.perf_counter()
        encoder = represented_by(label, data, out, seed, observers)
        result = measured[label] = along_orbits(encoder, data, ["rotation"], k=ANGLES, images=len(data.train))[
            "rotation"
        ]
        rows.append(
            {
                "representation": label,
                "upright": result["unmoved"],
                "rotated": result["accuracy"],
                "invariance": result["invariance"],
                "angle_r2": result["decodability"],
                "seconds": round(time.perf_counter() - start),
            }
        )
    protocol = {**together(measured), "angles": ANGLES, "training_seed": seed, "environment": environment()}
    report = {"rows": rows, "claims": [vars(claim) for claim in claims(rows)], "protocol": protocol}
    (out / "report.html").write_text(html(report, measured, data), encoding="utf-8")
    (out / "report.json").write_text(json.dumps(report, indent=2))
    return report


def represented_by(label: str, data: Data, out: Path, seed: int, observers: tuple[Observer, ...]) -> Encoder:
    """The frozen representation of a row."""
    if label == "pixels":
        return Pixels(data.channels, data.size)
    name = "duet" if label == "DUET" else "simclr"
    recipe = RECIPES[f"quickstart-{name}"]
    recipe = replace(recipe, train=replace(recipe.train, seed=seed))
    if label == "random encoder":
        return new_encoder(recipe, data)
    return train(recipe, out / name, resume=(out / name).exists(), observers=observers).encoder


def together(measured: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The protocols of all rows as one: what differs (the penalties chosen) by representation."""
    protocols = {label: result["protocol"] for label, result in measured.items()}
    merged: dict[str, Any] = {}
    for key in protocols["pixels"]:
        values = {label: protocol[key] for label, protocol in protocols.items()}
        merged[key] = values["pixels"] if len(set(values.values())) == 1 else values
    return merged


def claims(rows: list[dict[str, Any]]) -> list[Claim]:
    """What the table is expected to say, checked against it."""
    pixels, random, simclr, duet = rows
    ratio = simclr["rotated"] / pixels["rotated"]
    gap = duet["angle_r2"] - simclr["angle_r2"]
    least = min(simclr["upright"], duet["upright"])
    return [
        Claim(
            f"on turned digits SimCLR is {ratio:.1f} times as accurate as pixels (at least 1.5) and better than the "
            f"random encoder ({simclr['rotated']:.2f} against {random['rotated']:.2f})",
            ratio >= 1.5 and simclr["rotated"] > random["rotated"],
        ),
        Claim(f"DUET explains {gap:.2f} more of the angle's variance than SimCLR (at least 0.2)", gap >= 0.2),
        Claim(f"on upright digits both are right in {least:.1%} or more (above 95 %)", least > 0.95),
    ]


def html(report: dict[str, Any], measured: dict[str, dict[str, Any]], data: Data) -> str:
    """The report as one page: table, claims, curves, a strip of turned digits, the protocol."""
    assert data.test is not None
    degrees = list(range(0, 360, 30))
    angles = torch.tensor([degrees], dtype=torch.float32).deg2rad().mT
    shown = data.test.take(torch.arange(2)).images
    turned = [replay(x.expand(12, -1, -1, -1), [Rotation()], {"rotation": angles}).images for x in shown]
    return page.page(
        "Erlangen quickstart: what a representation keeps of a rotation",
        page.paragraph(
            "Four representations of 8 x 8 handwritten digits. The classifier is fitted on upright digits only; "
            "`rotated` is its accuracy over 24 angles, `invariance` the cosine between a digit and itself turned, "
            "`angle_r2` how much of the angle a linear map can read off."
        ),
        page.table(report["rows"]),
        *(
            page.paragraph(c["text"] if c["holds"] else f"NOT so: {c['text']}", "yes" if c["holds"] else "no")
            for c in report["claims"]
        ),
        page.heading("Against the angle"),
        plots.tag(plots.curves(measured, "rotation"), "accuracy and cosine against the angle"),
        page.heading("What the encoders see"),
        plots.tag(plots.strip(torch.cat(turned), [f"{d}°" for d in degrees] * 2), "digits turned by 0 to 330 degrees"),
        page.heading("Protocol"),
        page.definitions(report["protocol"]),
    )
