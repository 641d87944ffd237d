"""Pictures in a grid: for each of several images rows that belong together, for each column a value."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

GAP, BETWEEN, TITLE, NAME = 6, 22, 26, 132  # pixels: of images, of blocks, for the titles, for the names at the left


def grid(blocks: Sequence[Mapping[str, Float[Tensor, "k c s s"]]], titles: Sequence[str], side: int = 72) -> "Figure":
    """Each block is one image: its rows by name, as many pictures as there are `titles`, about `side` pixels wide.

    Pixels stay pixels. `ValueError` for a row of another length.
    """
    from matplotlib.figure import Figure

    from erlangen.report.plots import DPI, plain

    rows = [(name, row, BETWEEN * (i == 0)) for block in blocks for i, (name, row) in enumerate(block.items())]
    for name, row, _ in rows:
        if len(row) != len(titles):
            raise ValueError(f"row {name!r} has {len(row)} pictures, there are {len(titles)} `titles`")
    zoom = max(1, round(side / rows[0][1].shape[-1]))
    side = zoom * rows[0][1].shape[-1]
    step = side + GAP
    width, height = NAME + len(titles) * step, TITLE - BETWEEN + len(rows) * step + BETWEEN * len(blocks)
    canvas = torch.ones(height, width, 3)
    fig = Figure(figsize=(width / DPI, height / DPI), dpi=DPI)
    for i, title in enumerate(titles):
        x = (NAME + i * step + side / 2) / width
        fig.text(x, 1 - (TITLE - GAP) / height, plain(title), ha="center", va="bottom", fontsize=6)
    top = TITLE - BETWEEN
    for name, row, above in rows:
        top += above
        y = 1 - (top + side / 2) / height
        fig.text((NAME - 2 * GAP) / width, y, plain(name), ha="right", va="center", fontsize=6)
        for i, image in enumerate(row.detach().cpu().clamp(0, 1)):
            left = NAME + i * step
            large = image.repeat_interleave(zoom, 1).repeat_interleave(zoom, 2)
            canvas[top : top + side, left : left + side] = large.permute(1, 2, 0)  # grey is spread over the colours
        top += step
    fig.figimage(canvas.numpy(), vmin=0, vmax=1)
    return fig
