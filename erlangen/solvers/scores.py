"""Coefficients of determination, on every scale in use."""

import torch
from jaxtyping import Float
from torch import Tensor


def r2(prediction: Float[Tensor, "n k"], target: Float[Tensor, "n k"]) -> float:
    """Coefficient of determination, mean over the outputs; those that do not vary are left out."""
    target = target.to(prediction)
    variance = (target - target.mean(0)).square().mean(0)
    varies = variance > 1e-12
    if not bool(varies.any()):
        raise ValueError("the target does not vary: there is nothing to explain")
    return float((1 - (prediction - target).square().mean(0)[varies] / variance[varies]).mean())


def r2_scores(
    prediction: Float[Tensor, "*k n e"], target: Float[Tensor, "*k n e"], weights: Float[Tensor, "b n"] | None = None
) -> dict[str, Float[Tensor, " b"]]:
    """Coefficients of determination on every scale in use, for each of b weightings of the n images.

    `r2`: the mean over the outputs (scikit-learn, seq-JEPA). `r2_pooled`: all outputs together, against ONE mean over
    all of them (SIE, 3DIEBench, EquiCaps), where the best constant already has `r2_floor`; the floor of `r2` is 0.
    `r2_corrected`: (pooled - floor) / (1 - floor), scikit-learn's "variance_weighted".
    Targets (0, 2), (2, 4), predictions (0, 2), (2, 3): r2 (1 + 0.5) / 2, pooled 1 - 0.25 / 2, floor 1 - 1 / 2,
    corrected 0.75. `ValueError` if no output varies.
    """
    prediction, target = prediction.double(), target.double()
    middle = target.flatten(0, -2).mean(0)
    moments = torch.stack([(prediction - target).square(), target - middle, (target - middle).square()])
    rows = moments.reshape(3, -1, *target.shape[-2:]).mean(1)  # of each image
    varies = rows[2].mean(0) > 1e-12
    if not bool(varies.any()):
        raise ValueError("the target does not vary: there is nothing to explain")
    share = target.new_ones(1, target.shape[-2]) if weights is None else weights.to(target)
    residual, mean, square = (share / share.sum(1, keepdim=True)) @ rows
    variance = (square - mean.square()).clamp_min(1e-12)
    total = variance.mean(1) + (middle + mean).var(1, correction=0)  # within the outputs and between their means
    pooled, floor = 1 - residual.mean(1) / total, 1 - variance.mean(1) / total
    uniform = (1 - residual / variance)[:, varies].mean(1)
    corrected = 1 - residual.mean(1) / variance.mean(1)
    return {"r2": uniform, "r2_pooled": pooled, "r2_floor": floor, "r2_corrected": corrected}
