"""Reports: from the JSON of runs to tables, plots and one self-contained page."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from erlangen.journal import read
from erlangen.report import page, plots, probing
from erlangen.report.eigenspace import eigenspace_figure
from erlangen.report.measured import tables


def run_report(folder: Path) -> Path:
    """Writes `report.html` of a run folder: its recipe, its training, and what was probed and measured."""
    if not (folder / "recipe.json").exists():
        raise ValueError(f"{folder} is no run folder: it has no recipe.json")
    name = folder.resolve().name  # of `.` too
    metrics = read(folder / "metrics.jsonl") if (folder / "metrics.jsonl").exists() else []
    parts = []
    if metrics:
        keys = [
            key for key in ("loss", "spread", "online_knn", "online_linear") if any(key in line for line in metrics)
        ]
        parts += [page.heading("Training"), plots.tag(plots.history(metrics, keys), "training curves")]
    if (folder / "eigenspace.jsonl").exists():
        figure = eigenspace_figure(read(folder / "eigenspace.jsonl"))
        parts += [page.heading("Eigenspace"), plots.tag(figure, "eigenspace of the predictor")]
    if (folder / "probe.json").exists():
        probed = json.loads((folder / "probe.json").read_text())
        parts += [page.heading("Probes"), page.table(probing.rows(probed))]
        parts += [page.definitions({kind: result["protocol"] for kind, result in probed.items()})]
    if (folder / "measure.json").exists():
        parts += measured_parts(json.loads((folder / "measure.json").read_text()))
    recipe = json.loads((folder / "recipe.json").read_text())
    parts += [page.heading("Recipe"), page.definitions(recipe["values"])]
    parts += [page.definitions(json.loads((folder / "env.json").read_text()))]
    target = folder / "report.html"
    target.write_text(page.page(name, *parts), encoding="utf-8")
    return target


def measured_parts(document: Mapping[str, Any]) -> list[str]:
    """Tables of all that was measured, curves of every transform; the page of the measure itself has more."""
    parts = [page.heading("Measures"), *map(page.table, tables(document))]
    by_label = document.get("invariance", {})
    for name in dict.fromkeys(name for results in by_label.values() for name in results):
        found = {label: results[name] for label, results in by_label.items() if name in results}
        parts.append(plots.tag(plots.similarities(found, name), f"similarity along {name}"))
        parts.append(page.definitions(next(iter(found.values()))["protocol"]))
    return parts
