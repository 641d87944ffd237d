"""One probe of one encoder on one data set, over seeds and label budgets: its numbers, and all that they depend on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from erlangen.data.base import Data, batches
from erlangen.features import Features, digests_of, features, weights
from erlangen.probes import checks
from erlangen.probes.base import Fitted, OnImages, Sample, subset
from erlangen.probes.ericsson import Ericsson
from erlangen.probes.protocols import Named
from erlangen.probes.uncertainty import interval, over_seeds
from erlangen.runs import environment, resolved
from erlangen.solvers import intervals, r2_scores
from erlangen.solvers.landmarks import UNITS, correct_keypoints, normalised_mean_error

LANDMARKS = "landmarks"  # the target of data that know nothing else


@dataclass(frozen=True)
class Asked:
    """What a probe is to tell of the images: classes, or numbers (`classes` is 0)."""

    train: Shaped[Tensor, "n ..."]
    test: Shaped[Tensor, "m ..."]
    classes: int
    target: str  # `labels`, or the name of latents


@dataclass(frozen=True)
class Found:
    """What a probe found: its numbers and protocol, ready for JSON, and the model of the first seed and largest budget.

    `tested` has a row for each test image: `predicted`, `truth`, `outcome` (1 right, 0 wrong; or the squared error).
    """

    report: dict[str, Any]
    fitted: Fitted
    tested: dict[str, Tensor]


def examine(
    name: str,
    named: Named,
    source: Features,
    seed: int = 0,
    seeds: int | None = None,
    budgets: Sequence[float] | None = None,
    target: str | None = None,
) -> Found:
    """A probe's numbers on the test images.

    The headline is that of the largest label budget, its mean over `seeds` (from `seed` on; the protocol's number of
    runs unless given), with the bootstrap interval over test images of the first. `ValueError` for data that the probe
    cannot be fitted to.
    """
    if isinstance(named.probe, Ericsson):
        named = replace(named, probe=named.probe.suited(source.encoder, source.data.name))
    seeds = named.runs if seeds is None else seeds
    if seeds < 1:
        raise ValueError(f"`seeds` (={seeds}) is how many there are: at least 1")
    budgets = sorted(set(budgets or (named.budget,)), reverse=True)
    given = asked(name, named, source, target)
    counts = looked_at(named, source)
    runs: list[dict[str, Any]] = []
    found: list[tuple[Fitted, dict[str, Tensor]]] = []
    for budget in budgets:
        for number in range(seed, seed + seeds):
            rows = torch.arange(len(given.train)) if budget == 1 else subset(rows_by(given), budget, number)
            fitted, output = fit(named, source, rows, given, number)
            scores, tested = judged(output, given, named.test_batch)
            runs.append({"budget": budget, "images": len(rows), "seed": number, **scores, "told": dict(fitted.told)})
            found = found or [(fitted, tested)]
    fitted, tested = found[0]
    key, full = "accuracy" if given.classes else "r2", [run for run in runs if run["budget"] == budgets[0]]
    scores = {k: v for k, v in full[0].items() if k not in ("budget", "images", "seed", "told")}
    means = {k: over_seeds([run[k] for run in full])["mean"] for k, v in scores.items() if isinstance(v, float)}
    report = {
        **scores,
        **means,
        "interval": sure(tested, given, seed),
        "seeds": over_seeds([run[key] for run in full]),
        "runs": runs,
        "protocol": {
            **protocol(name, named, source, given, counts),
            "seed": seed,
            "runs": seeds,
            "budgets": list(budgets),
            **fitted.told,
        },
    }
    return Found(report, fitted, tested)


def asked(name: str, named: Named, source: Features, target: str | None) -> Asked:
    """The labels; or, for a probe of numbers, the latents of this name."""
    data = source.data
    target = target or (LANDMARKS if only_landmarks(data) and named.answers != "classes" else None)
    if target is None and named.answers == "numbers":
        known = ", ".join(checks.latents(data.train))
        raise ValueError(
            f"probe {name!r} predicts numbers: `target` must say which"
            + (f", of {known}" if known else f"; data {data.name!r} know none, name others")
        )
    if target is None:
        return Asked(*checks.labels_of(name, data), target="labels")
    if named.answers == "classes":
        raise ValueError(
            f"probe {name!r} tells classes, not the numbers of `target` (={target!r}): take ridge, kernel-ridge or "
            "ericsson"
        )
    return Asked(*checks.latents_of(name, data, target), classes=0, target=target)


def only_landmarks(data: Data) -> bool:
    """Whether landmarks are all that is known of the images."""
    return data.train.labels is None and set(checks.latents(data.train)) == {LANDMARKS}


def rows_by(given: Asked) -> Int[Tensor, " n"]:
    """What subsets are stratified by: classes, or for numbers nothing."""
    return given.train if given.classes else torch.zeros(len(given.train), dtype=torch.long, device=given.train.device)


def looked_at(named: Named, source: Features) -> dict[str, int]:
    """How many test images are among the train images, and how many features never vary."""
    data, test = source.data, checks.tested(source.data)
    if isinstance(named.probe, OnImages):
        digests = (
            torch.cat([digests_of(batch.images) for batch in batches(split, torch.arange(len(split)), 512)])
            for split in (data.train, test)
        )
        return {"twins": checks.warn_of_twins(data.name, *digests)}
    fit, held = source(named.preparation, named.precision)
    return {
        "twins": checks.warn_of_twins(data.name, fit.digests, held.digests),
        "width": fit.x.shape[1],
        "constant": checks.warn_of_collapse(fit.x),
    }


def fit(
    named: Named, source: Features, rows: Int[Tensor, " k"], given: Asked, seed: int
) -> tuple[Fitted, Float[Tensor, "m e"]]:
    """The probe fitted to these rows of the train images, and what it makes of the test images."""
    probe, test = named.probe, checks.tested(source.data)
    if isinstance(probe, OnImages):
        fitted = probe.fit_images(source.encoder, source.data.train, rows, given.classes, seed)
        assert isinstance(fitted.model, torch.nn.Module)
        return fitted, features(fitted.model, test, preparation=named.preparation)
    train, held = source(named.preparation, named.precision)
    places = rows.to(train.x.device)
    sample = Sample(train.x[places], given.train[places], given.classes)
    fitted = probe.fit(sample, Sample(held.x, given.test, given.classes), seed)
    return fitted, torch.cat([fitted.model(part) for part in torch.split(held.x, 4096)])


def judged(
    output: Float[Tensor, "m e"], given: Asked, test_batch: int | None
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The scores of what a probe says, and what is kept of it for each test image."""
    if not given.classes:
        truth = given.test.to(output)
        scores: dict[str, Any] = {"r2": float(r2_scores(output, truth)["r2"])}
        if given.target == LANDMARKS and truth.shape[1] // 2 in UNITS:
            *pair, within = UNITS[truth.shape[1] // 2]
            scores["nme"] = normalised_mean_error(output, truth, (pair[0], pair[1]))
            scores[f"pck@{within}"] = correct_keypoints(output, truth, (pair[0], pair[1]), within)
        return scores, {"predicted": output, "truth": truth, "outcome": (output - truth).square().mean(1)}
    predicted, truth = output.argmax(1), given.test.to(output.device)
    outcome = (predicted == truth).double()
    per_class = [float(outcome[truth == c].mean()) if bool((truth == c).any()) else None for c in range(given.classes)]
    seen = [value for value in per_class if value is not None]
    scores = {"accuracy": float(outcome.mean()), "mean_per_class": sum(seen) / len(seen), "per_class": per_class}
    if test_batch:
        means = [float(part.mean()) for part in torch.split(outcome, test_batch)]
        scores["accuracy_of_batches"] = sum(means) / len(means)
    return scores, {"predicted": predicted, "truth": truth, "outcome": outcome}


def sure(tested: dict[str, Tensor], given: Asked, seed: int) -> list[float]:
    """The 95 % bootstrap interval over test images, of the accuracy or of R^2."""
    if given.classes:
        return interval(tested["outcome"], seed)
    predicted, truth = tested["predicted"], tested["truth"]
    found = intervals.with_intervals(
        lambda w: {"r2": r2_scores(predicted, truth, w)["r2"]}, len(truth), seed, truth.device
    )
    edges: list[float] = found["intervals"]["r2"]
    return edges


def protocol(name: str, named: Named, source: Features, given: Asked, counts: dict[str, int]) -> dict[str, Any]:
    """All that the numbers depend on, ready for JSON."""
    encoder, data = source.encoder, source.data
    return {
        "name": name,
        "source": named.source,
        "probe": resolved(named.probe),
        "features": "none: trained on images" if isinstance(named.probe, OnImages) else "eval mode, frozen",
        "precision": named.precision,
        "preparation": resolved(named.preparation),
        "encoder": dict(getattr(encoder, "spec", {})) or type(encoder).__name__,
        "weights": weights(encoder),
        "data": data.name,
        "size": data.size,
        "train": len(given.train),
        "test": len(given.test),
        "classes": given.classes,
        "target": given.target,
        **counts,
        "interval": f"95 %, {intervals.DRAWS} bootstrap samples of test images, of the first seed",
        "versions": environment(),
    }
