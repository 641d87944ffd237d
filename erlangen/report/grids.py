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

    Pixels stay pixels. `ValueError` for no row, and for rows of other lengths or of pictures of another size.
    """
    from matplotlib.figure import Figure

    from erlangen.report.plots import DPI, plain

    rows = [(name, row, BETWEEN * (i == 0)) for block in blocks for i, (name, row) in enumerate(block.items())]
    if not rows or not titles:
        raise ValueError(f"a grid has one row at least in its `blocks` (={len(rows)}), and `titles` (={tuple(titles)})")
    pixels = rows[0][1].shape[-1]
    for name, row, _ in rows:
        if len(row) != len(titles):
            raise ValueError(f"row {name!r} has {len(row)} pictures, there are {len(titles)} `titles`")
        if row.shape[1] not in (1, 3) or row.shape[2:] != (pixels, pixels):
            raise ValueError(
                f"row {name!r} {tuple(row.shape)}: pictures are grey or RGB, all of {pixels} x {pixels} pixels"
            )
    zoom = max(1, round(side / pixels))
    side = zoom * pixels
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
