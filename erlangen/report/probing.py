"""What probes found, for people: a table, the protocol in a line, and pictures."""

from collections.abc import Mapping, Sequence
from statistics import mean
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from erlangen.report.plots import PALETTE, figure, plain
from erlangen.solvers.components import principal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAPPED = 2000  # points of a map at most
NAMED = 25  # classes of a matrix that are written beside it at most
SCORES = ("accuracy", "r2")


def headline(report: Mapping[str, Any]) -> str:
    """Which of its numbers a probe is compared by."""
    return next(key for key in SCORES if key in report)


def rows(reports: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A line of the table for each probe; a column is there if one of the probes has it."""
    lines: list[dict[str, Any]] = []
    for name, report in reports.items():
        line: dict[str, Any] = {"probe": name}
        for key, value in report.items():
            if isinstance(value, float):
                line[key.replace("_", " ")] = value
        if report.get("interval"):
            line["95 % interval"] = "{:.3f} to {:.3f}".format(*report["interval"])
        if report.get("seeds", {}).get("standard_error") is not None:
            line["standard error"] = report["seeds"]["standard_error"]
            line["seeds"] = report["seeds"]["seeds"]
        lines.append(line)
    columns = list(dict.fromkeys(key for line in lines for key in line))
    return [{column: line.get(column, "") for column in columns} for line in lines]


def protocol_line(name: str, report: Mapping[str, Any]) -> str:
    """All that a number depends on, so that it can be found again."""
    p = report["protocol"]
    size = f"{p['size']} px"
    if p["preparation"]["resize"] != 1:
        size = f"middle {size} of {round(p['preparation']['resize'] * p['size'])} ({p['preparation']['filter']})"
    found = ", ".join(f"{key} {told(value)}" for key, value in report["runs"][0]["told"].items() if key != "selection")
    budgets = ", ".join(f"{100 * budget:g} %" for budget in p["budgets"])
    parts = [
        told(p["probe"]),
        f"selection: {p['selection']}{f' ({found})' if found else ''}",
        f"features: {p['features']}, {p['precision']}",
        f"images: {size}, {p['train']} train ({budgets} of the {p['target']}), {p['test']} test, of {p['data']}",
        f"seeds {p['seed']} to {p['seed'] + p['runs'] - 1}" if p["runs"] > 1 else f"seed {p['seed']}",
        f"encoder {p['weights'][:12]}",
        f"after {p['source']}" if p["source"] != "ours" else "",
        f"erlangen {p['versions']['erlangen']}, torch {p['versions']['torch']}",
    ]
    return f"{name}: {'; '.join(part for part in parts if part)}"


def told(value: Any) -> str:
    """A resolved dataclass as one would write it; of several alike, what they differ in, with | between."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        items = list(value)
        if len(items) > 1 and all(isinstance(item, Mapping) for item in items):
            return f"{len(items)} x {told(merged(items))}"
        return f"({', '.join(told(item) for item in items)})"
    if isinstance(value, Mapping):
        inside = ", ".join(f"{key}={told(item)}" for key, item in value.items() if key != "class")
        return f"{value.get('class', '')}({inside})"
    return f"{value:g}" if isinstance(value, float) else str(value)


def merged(items: Sequence[Any]) -> Any:
    """What alike things have in common, and all values of what they have not."""
    if all(item == items[0] for item in items):
        return items[0]
    if all(isinstance(item, Mapping) and item.keys() == items[0].keys() for item in items):
        return {key: merged([item[key] for item in items]) for key in items[0]}
    return " | ".join(told(item) for item in items)


def accuracies(reports: Mapping[str, Mapping[str, Any]], title: str) -> "Figure":
    """Every probe against the label budget, with the standard error of several seeds; with one budget, a dot for each
    and its interval over test images."""
    fig, (ax,) = figure(6.0, 3.6)
    several = any(len({run["budget"] for run in report["runs"]}) > 1 for report in reports.values())
    for i, (name, report) in enumerate(reports.items()):
        colour, key = PALETTE[(i + 2) % len(PALETTE)], headline(report)
        if not several:
            low, high = report["interval"] or (report[key], report[key])
            ax.plot([low, high], [i, i], color=colour, linewidth=2)
            ax.plot([report[key]], [i], color=colour, marker="o")
            continue
        budgets = sorted({run["budget"] for run in report["runs"]})
        values = [[run[key] for run in report["runs"] if run["budget"] == budget] for budget in budgets]
        errors = [torch.tensor(part).std().item() / len(part) ** 0.5 if len(part) > 1 else 0.0 for part in values]
        ax.errorbar(
            [100 * budget for budget in budgets],
            [mean(part) for part in values],
            errors,
            color=colour,
            marker="o",
            capsize=3,
            label=plain(name),
        )
    kinds = {headline(report) for report in reports.values()}
    score = " or ".join(sorted(kinds))
    if several:
        ax.set(xscale="log", xlabel="labelled train images (%)", ylabel=score)
        ax.legend(frameon=False, fontsize=9)
    else:
        ax.set(xlabel=f"{score}, 95 % interval over test images", ylim=(len(reports) - 0.5, -0.5))
        ax.set_yticks(range(len(reports)), [plain(name) for name in reports])
    ax.set_title(plain(title), fontsize=10)
    return fig


def confusion(predicted: Int[Tensor, " n"], truth: Int[Tensor, " n"], title: str) -> "Figure":
    """For each true class (a row) the share of its test images that is told to be of each class."""
    classes = int(torch.maximum(predicted, truth).max()) + 1
    counts = (truth * classes + predicted).bincount(minlength=classes**2).view(classes, classes).double()
    shares = counts / counts.sum(1, keepdim=True).clamp_min(1)
    side = min(9.0, max(4.0, 0.42 * classes + 1.4))
    fig, (ax,) = figure(side + 0.8, side)
    shown = ax.imshow(shares.numpy(force=True), cmap="Blues", vmin=0, vmax=1)
    ax.grid(False)
    ax.set(xlabel="predicted class", ylabel="class")
    if classes <= NAMED:
        ax.set_xticks(range(classes))
        ax.set_yticks(range(classes))
        for i, j in (shares >= 0.005).nonzero().tolist():
            dark = float(shares[i, j]) > 0.5
            ax.text(
                j, i, f"{100 * float(shares[i, j]):.0f}", ha="center", va="center", fontsize=7,
                color="white" if dark else "black",
            )  # fmt: skip
    fig.colorbar(shown, ax=ax, fraction=0.046, pad=0.04, label="share of the class")
    ax.set_title(plain(title), fontsize=10)
    return fig


def placed(x: Float[Tensor, "n d"], kind: str, seed: int = 0) -> Float[Tensor, "n 2"]:
    """Features in the plane: by `pca`, or by `umap` (McInnes et al. 2018), which needs the extra of this name."""
    if kind == "pca":
        return principal(x)
    try:
        from umap import UMAP
    except ImportError as error:
        raise ValueError(f"a map by UMAP needs the extra: pip install 'erlangen[umap]' ({error})") from error
    made = UMAP(n_components=2, random_state=seed, n_jobs=1).fit_transform(x.float().numpy(force=True))
    return torch.as_tensor(made).double()


def scatter(points: Float[Tensor, "n 2"], labels: Int[Tensor, " n"] | None, title: str) -> "Figure":
    """A map of test images, coloured by class where there are classes."""
    from matplotlib import colormaps

    fig, (ax,) = figure(5.4, 4.6)
    x, y = points.numpy(force=True).T
    if labels is None:
        ax.scatter(x, y, s=6, color=PALETTE[2], linewidths=0)
    else:
        classes = int(labels.max()) + 1
        colours = colormaps["tab10" if classes <= 10 else "tab20" if classes <= 20 else "hsv"].resampled(classes)
        shown = ax.scatter(
            x, y, s=6, c=labels.numpy(force=True), cmap=colours, vmin=-0.5, vmax=classes - 0.5, linewidths=0
        )
        bar = fig.colorbar(shown, ax=ax, label="class")
        if classes <= NAMED:
            bar.set_ticks(list(range(classes)))
    ax.set(xlabel="first direction", ylabel="second direction")
    ax.set_title(plain(title), fontsize=10)
    return fig
