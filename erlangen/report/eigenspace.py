"""The figure of KTH's study: how the eigenvectors of a predictor and of its inputs' correlation align."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from erlangen.journal import read
from erlangen.report.plots import figure, save

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# what a record calls it, title, label of its axis
PANELS = (
    ("f", "eigenvalues of F", "eigenvalue (logarithmic)"),
    ("predictor", "eigenvalues of $W_p$ (real part)", "eigenvalue"),
    ("alignment", "alignment of the eigenvectors of F", "cosine of $u_j$ and $W_p u_j$"),
)
LABELLED = 6  # epochs in the legend


def plot_eigenspace(folder: Path) -> Path:
    """Writes `eigenspace.png` of a run folder whose run had the monitor; `ValueError` if it has no records."""
    path = folder / "eigenspace.jsonl"
    records = read(path) if path.exists() else []
    if not records:
        raise ValueError(f"{folder} has no records of an eigenspace: train with `monitors` eigenspace")
    save(eigenspace_figure(records), folder / "eigenspace.png")
    return folder / "eigenspace.png"


def eigenspace_figure(records: Sequence[Mapping[str, Any]]) -> "Figure":
    """Four panels: both spectra, the alignment in the order of F's eigenvalues, and the asymmetry of Wp over epochs.

    One line per record, from violet to red. Eigenvalues that have no logarithm are left out.
    """
    from matplotlib import colormaps

    fig, axes = figure(20, 4.2, 4)
    shown = {round(i * (len(records) - 1) / (LABELLED - 1)) for i in range(LABELLED)}
    for i, record in enumerate(records):
        colour = colormaps["rainbow"](i / max(1, len(records) - 1))
        for ax, (key, _, _) in zip(axes, PANELS, strict=False):
            values = [value if value is not None and (key != "f" or value > 0) else math.nan for value in record[key]]
            label = f"step {record['step']}" if record["epoch"] < 1 else f"epoch {record['epoch']:g}"
            ax.plot(values, color=colour, linewidth=1.2, label=label if i in shown else None)
    for ax, (_, title, label) in zip(axes, PANELS, strict=False):
        ax.set(title=title, xlabel="index, by size" if "alignment" not in title else "index of F's", ylabel=label)
    axes[0].set_yscale("log")
    axes[1].set_ylim(-0.5, max(1.0, *(1.05 * (record["predictor"][0] or 0) for record in records)))
    axes[2].set_ylim(-1.05, 1.05)
    axes[2].legend(frameon=False, fontsize=8)
    over = [[record[key] for record in records] for key in ("epoch", "asymmetry")]
    axes[3].plot(*over, color="black", marker=".")
    axes[3].set(title="asymmetry of $W_p$", xlabel="epoch", ylabel=r"$\sum|W-W'| \,/\, \sum|W|$")
    axes[3].set_ylim(bottom=0)
    return fig
