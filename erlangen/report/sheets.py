"""Contact sheets: what every transform, and every view of a recipe, does to images, to be looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from erlangen.pipelines import augment, replay
from erlangen.transforms import ColorJitter
from erlangen.transforms.sweeps import SYNTHETIC, sweep
from erlangen.views import Batch, Draws, View, Views, generator

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# how many points are swept, so that the grid is a whole one; `COLUMNS` of them are shown
SWEPT = {"translation": 64, "shear": 64, "resized_crop": 16, "quarter_turn": 4, "posterize": 7}
SWITCHES = ("h_flip", "v_flip", "grayscale", "invert", "equalize")
DEGREES = ("rotation", "shear")
COLUMNS = 8
GAP, LABEL, LINE = 14, 130, 13  # pixels: between images, for the names at the left, of a line of a caption


@dataclass(frozen=True)
class Row:
    """A line of a sheet: images of any size, and a caption for each."""

    name: str
    images: Sequence[Float[Tensor, "c _ _"]]
    captions: Sequence[str]


def transform_rows(image: UInt8[Tensor, "c s s"], columns: int = COLUMNS) -> list[Row]:
    """Every synthetic transform along its grid, the parameter under each image."""
    rows = []
    for name in SYNTHETIC:
        points = 2 if name in SWITCHES else SWEPT.get(name, columns)
        swept = sweep(name, image.shape[-1], points)
        shown = torch.linspace(0, len(swept) - 1, min(columns, len(swept))).round().long()
        params = {key: p[shown] for key, p in swept.params.items()}
        view = replay(image.expand(len(shown), -1, -1, -1), [swept.transform], params)
        captions = [_caption(name, {key: p[i] for key, p in params.items()}) for i in range(len(shown))]
        rows.append(Row(name, list(view.images), captions))
    jittered = augment(image.expand(columns, -1, -1, -1), [ColorJitter(probability=1.0)])
    return [*rows, Row("color", list(jittered.images), _told(jittered))]


def view_rows(batch: Batch, views: Views, seed: int = 0) -> list[Row]:
    """Each image of a batch and its views, with what was done to it: one line per view, the originals first."""
    made = views(batch, Draws(generator(seed, "show")))
    rows = [Row("image", [x.float() / 255 for x in batch.images], [str(i) for i in batch.index.tolist()])]
    return rows + [Row(f"view {i + 1}", list(view.images), _told(view)) for i, view in enumerate(made)]


def _told(view: View) -> list[str]:
    """What was done to each image, in a few words: parameters at their identity are left out."""
    lines = []
    for i in range(len(view.images)):
        moved = {
            name: p[i]
            for name, p in view.params.items()
            if not torch.equal(p[i].cpu(), view.spaces[name].identity.to(p[i].cpu())) and not name.endswith(".order")
        }
        lines.append("\n".join(f"{name.rpartition('.')[2]} {_numbers(name, p)}" for name, p in moved.items()))
    return lines


def _caption(name: str, params: Mapping[str, Float[Tensor, " d"]]) -> str:
    if name == "deform":
        return f"seed {int(params['deform.seed'])}"
    if name in SWITCHES:
        return "on" if float(next(iter(params.values()))) else "off"
    return "\n".join(_numbers(name, p) for p in params.values())


def _numbers(name: str, p: Float[Tensor, " d"]) -> str:
    if name in DEGREES:
        return " ".join(f"{x:.0f}°" for x in p.rad2deg().tolist())
    numbers = [f"{x:.2f}" if len(p) > 1 else f"{x:.3g}" for x in p.tolist()]
    return " ".join(numbers[:2]) + "".join("\n" + " ".join(numbers[i : i + 2]) for i in range(2, len(numbers), 2))


def sheet(rows: Sequence[Row]) -> "Figure":
    """The rows one under the other, names at the left, captions below; pixels stay pixels, small images enlarged."""
    from matplotlib.figure import Figure

    from erlangen.report.plots import DPI, plain

    sides = [max(x.shape[-1] for x in row.images) for row in rows]
    zoom = max(1, round(96 / max(sides)))
    cell = max(max(sides) * zoom, 96) + GAP
    heights = [max(x.shape[-2] for x in row.images) * zoom for row in rows]
    below = [LINE * max(text.count("\n") + 1 for text in row.captions) + GAP for row in rows]
    width, height = LABEL + cell * max(len(row.images) for row in rows), GAP + sum(heights) + sum(below)
    fig = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    top = GAP
    for row, tall, text_height in zip(rows, heights, below, strict=True):
        middle = 1 - (top + tall / 2) / height
        fig.text((LABEL - GAP) / width, middle, plain(row.name), ha="right", va="center", fontsize=7)
        for i, (image, caption) in enumerate(zip(row.images, row.captions, strict=True)):
            h, w = (zoom * side for side in image.shape[-2:])
            left = LABEL + i * cell + (cell - GAP - w) // 2
            ax = fig.add_axes((left / width, 1 - (top + h) / height, w / width, h / height))
            ax.axis("off")
            shown = image.detach().clamp(0, 1).permute(1, 2, 0).expand(-1, -1, 3).numpy(force=True)
            ax.imshow(shown, interpolation="nearest", vmin=0, vmax=1, aspect="auto")
            fig.text(
                (left + w / 2) / width, 1 - (top + h + 4) / height, plain(caption), ha="center", va="top", fontsize=5
            )
        top += tall + text_height
    return fig
