"""How sure the number of a probe is: over test images, over seeds, and between two encoders."""

from collections.abc import Sequence
from math import exp, lgamma, log
from statistics import mean, stdev
from typing import Any

from jaxtyping import Float
from torch import Tensor

from erlangen.solvers import intervals


def interval(outcome: Float[Tensor, " n"], seed: int = 0) -> list[float]:
    """The 95 % percentile bootstrap interval, over images, of the mean of one number for each."""
    found = intervals.with_intervals(
        lambda weights: {"mean": intervals.mean(outcome, weights)}, len(outcome), seed, outcome.device
    )
    edges: list[float] = found["intervals"]["mean"]
    return edges


def over_seeds(values: Sequence[float]) -> dict[str, Any]:
    """Mean and standard error (that of the mean; None for one seed), and how many there are."""
    error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
    return {"mean": mean(values), "standard_error": error, "seeds": len(values)}


def paired(a: Float[Tensor, " n"], b: Float[Tensor, " n"], seed: int = 0) -> dict[str, Any]:
    """Two encoders on the same images: what b has more than a, with the bootstrap interval of the difference.

    Where the outcomes are right (1) and wrong (0), `p` besides: the exact test of McNemar, two-sided, of the images
    that one tells right and the other does not. `ValueError` for outcomes of other images.
    """
    if len(a) != len(b):
        raise ValueError(
            f"the outcomes of {len(a)} and of {len(b)} images cannot be compared: they are of other images"
        )
    a, b = a.double(), b.double().to(a.device)
    result = {"difference": float((b - a).mean()), "interval": interval(b - a, seed), "images": len(a)}
    if bool((((a == 0) | (a == 1)) & ((b == 0) | (b == 1))).all()):
        gained, lost = int((b > a).sum()), int((a > b).sum())
        tail = binomial_tail(min(gained, lost), gained + lost)
        result |= {"gained": gained, "lost": lost, "p": min(1.0, 2 * tail)}
    return result


def binomial_tail(k: int, n: int) -> float:
    """The probability of at most k heads in n tosses of a fair coin."""
    logs = [lgamma(n + 1) - lgamma(i + 1) - lgamma(n - i + 1) - n * log(2) for i in range(k + 1)]
    return sum(exp(value) for value in logs)
