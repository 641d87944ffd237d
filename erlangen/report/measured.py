"""What was measured, as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

KEPT = ("similarity", "distance", "cosine", "variance", "cka", "retrieval", "consistency", "accuracy", "decodability")
HEALTH = ("rankme", "alpha", "stable_rank", "participation", "uniformity", "spread", "dimensions", "images")
GROUPS = ("composition", "inverse", "identity", "order")
Row = dict[str, Any]


def tables(document: Mapping[str, Any]) -> list[list[Row]]:
    """One for each section that is there: a line for each encoder and what it was measured by."""
    made = (invariance, equivariance, derivatives, health, real, latents)
    return [filled(rows) for rows in (make(document) for make in made) if rows]


def filled(rows: Sequence[Row]) -> list[Row]:
    """Every line with every column, empty where nothing is known."""
    columns = list(dict.fromkeys(column for row in rows for column in row))
    return [{column: "" if row.get(column) is None else row[column] for column in columns} for row in rows]


def half_width(found: Mapping[str, Any], key: str) -> float | None:
    """Of the 95 % interval."""
    interval = found.get("intervals", {}).get(key)
    return None if interval is None else (interval[1] - interval[0]) / 2


def invariance(document: Mapping[str, Any]) -> list[Row]:
    rows = []
    for encoder, results in document.get("invariance", {}).items():
        for name, found in results.items():
            row: Row = {"transform": name, "encoder": encoder}
            for key in KEPT:
                row[key] = found.get(key)
                if key == "similarity":
                    row["+-"] = half_width(found, key)
            rows.append(row)
    return sorted(rows, key=lambda row: list_of(rows).index(row["transform"]))


def list_of(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["transform"] for row in rows))


def equivariance(document: Mapping[str, Any]) -> list[Row]:
    rows = []
    for encoder, groups in document.get("equivariance", {}).items():
        for group, layers in groups.items():
            for layer, found in layers.items():
                row: Row = {"group": group, "encoder": encoder, "layer": layer}
                row |= {key: found.get(key) for key in ("cosine", "cka")}
                row["explained"] = found["ridge"]["explained"]
                row["+-"] = half_width(found["ridge"], "explained")
                row["by a rotation"] = found["procrustes"]["explained"]
                rows.append(row | {key: found["ridge"].get(key) for key in GROUPS})
    return rows


def derivatives(document: Mapping[str, Any]) -> list[Row]:
    return [
        {"direction": name, "encoder": encoder, "speed": found["speed"], "+-": half_width(found, "speed")}
        | {"per": found["per"], "explained": found["explained"]}
        for encoder, results in document.get("derivatives", {}).items()
        for name, found in results.items()
    ]


def health(document: Mapping[str, Any]) -> list[Row]:
    return [
        {"encoder": encoder, **{key: found.get(key) for key in HEALTH}}
        for encoder, found in document.get("health", {}).items()
    ]


def real(document: Mapping[str, Any]) -> list[Row]:
    return [
        {"pictures": name, "encoder": encoder, "similarity": found["similarity"], "+-": half_width(found, "similarity")}
        | {key: found[key] for key in ("distance", "pairs", "cosine", "retrieval", "variance")}
        for name, results in document.get("real", {}).items()
        for encoder, found in results.items()
    ]


def latents(document: Mapping[str, Any]) -> list[Row]:
    return [
        {"latent": name, "encoder": encoder, "r2": found["r2"], "+-": half_width(found, "r2")}
        for results in document.get("latents", {}).values()
        for encoder, targets in results.items()
        for name, found in targets.items()
    ]
