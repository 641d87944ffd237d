"""Pictures for reports: matplotlib figures as self-contained image tags or files."""

import base64
import io
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float
from torch import Tensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 150
PALETTE = ("#8a8a8a", "#c4a35a", "#2a6fbb", "#c0392b", "#2e8b57", "#7d5ba6")


def figure(width: float, height: float, columns: int = 1) -> tuple["Figure", list[Any]]:
    """A figure without a global state or a window, and its axes."""
    from matplotlib.figure import Figure

    fig = Figure(figsize=(width, height), layout="constrained")
    axes = fig.subplots(1, columns, squeeze=False)[0]
    for ax in axes:
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(alpha=0.25)
    return fig, list(axes)


def plain(text: str) -> str:
    """Text that matplotlib draws as it is: no mathematics, and a label that the legend does not leave out."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def curves(measured: Mapping[str, Mapping[str, Any]], name: str) -> "Figure":
    """Accuracy and invariance of several representations against one parameter (`measure`'s results by label)."""
    keys = [key for key in ("accuracy", "cosine") if all(key in result["curves"] for result in measured.values())]
    fig, axes = figure(4.6 * len(keys) + 0.4, 3.4, len(keys))
    titles = {"accuracy": "linear accuracy, fitted unmoved", "cosine": "cosine to the unmoved image"}
    for ax, key in zip(axes, keys, strict=True):
        for (label, result), colour in zip(measured.items(), PALETTE * 9, strict=False):
            parameter = torch.tensor(result["curves"]["parameter"])
            x = (parameter[:, 0].rad2deg() if name == "rotation" else parameter[:, -1]).tolist()
            ax.plot(
                x, result["curves"][key], color=colour, label=plain(label), marker="o", markersize=2.5, linewidth=1.6
            )
        ax.set_title(titles[key], fontsize=10)
        ax.set_xlabel("angle (degrees, counter-clockwise)" if name == "rotation" else plain(name))
        ax.set_ylim(min(0.0, *(min(result["curves"][key]) - 0.03 for result in measured.values())), 1.03)
    axes[0].legend(frameon=False, fontsize=9)
    return fig


def similarities(measured: Mapping[str, Mapping[str, Any]], name: str) -> "Figure":
    """Similarity and its 95 % band along a sweep, of several encoders (`invariances`' results by label)."""
    fig, (ax,) = figure(5.0, 3.0)
    for (label, result), colour in zip(measured.items(), PALETTE[2:] * 9, strict=False):
        order = torch.tensor(result["axis"]["values"]).argsort()
        x, y = (torch.tensor(values)[order] for values in (result["axis"]["values"], curve(result)["mean"]))
        low, high = torch.tensor(curve(result)["band"])[:, order]
        ax.plot(x, y, color=colour, label=plain(label), marker="o", markersize=2.5, linewidth=1.4)
        ax.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
    ax.set_title("similarity to the image as it is", fontsize=10)
    ax.set_xlabel(plain(next(iter(measured.values()))["axis"]["label"]))
    ax.legend(frameon=False, fontsize=8)
    return fig


def curve(result: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = result["curves"]["similarity"]
    return found


def strip(images: Float[Tensor, "n c h w"], captions: Sequence[str], columns: int = 12) -> "Figure":
    """Images side by side, a caption under each."""
    from matplotlib.figure import Figure

    columns = min(columns, len(images))
    rows = math.ceil(len(images) / columns)
    fig = Figure(figsize=(0.85 * columns, 1.05 * rows), layout="constrained")
    axes = fig.subplots(rows, columns, squeeze=False).flatten()
    for ax in axes:
        ax.axis("off")
    for ax, image, caption in zip(axes, images.clamp(0, 1), captions, strict=False):
        ax.imshow(image.permute(1, 2, 0).expand(-1, -1, 3).numpy(force=True), interpolation="nearest", vmin=0, vmax=1)
        ax.set_title(caption, fontsize=8, y=-0.28)
    return fig


def bars(values: Mapping[str, float], title: str) -> "Figure":
    """One bar per name, between 0 and 1."""
    fig, (ax,) = figure(max(4.0, 0.45 * len(values) + 1), 3.2)
    ax.bar(list(values), list(values.values()), color=PALETTE[2])
    ax.set_ylim(0, 1.03)
    ax.set_title(plain(title), fontsize=10)
    ax.tick_params(axis="x", rotation=45 if len(values) > 12 else 0)
    return fig


def history(metrics: Sequence[Mapping[str, float | None]], keys: Sequence[str]) -> "Figure":
    """Logged values against the step, one panel each; what was not finite is left out."""
    fig, axes = figure(3.4 * len(keys), 2.8, len(keys))
    for ax, key in zip(axes, keys, strict=True):
        points = [(line["step"], line[key]) for line in metrics if line.get(key) is not None]
        ax.plot(
            [x for x, _ in points], [y for _, y in points], color=PALETTE[2], linewidth=1.4, marker=".", markersize=3
        )
        ax.set_title(key, fontsize=10)
        ax.set_xlabel("step")
    return fig


def tag(fig: "Figure", alt: str) -> str:
    """The figure as an image tag that needs no other file."""
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png", dpi=DPI)
    return png_tag(buffer.getvalue(), alt)


def png_tag(png: bytes, alt: str) -> str:
    """The same of a picture that is drawn."""
    from html import escape

    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{base64.b64encode(png).decode()}">'


def save(fig: "Figure", path: Path) -> None:
    fig.savefig(path, dpi=DPI)
