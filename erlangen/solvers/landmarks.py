"""How near predicted landmarks are to the true ones, in units of a distance on the same face or body."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

# For so many landmarks: two whose distance is the unit, and within which part of it a landmark counts as found.
UNITS: Mapping[int, tuple[int, int, float]] = {
    68: (36, 45, 0.1),  # the outer corners of the eyes, 300-W (Sagonas et al. 2013)
    5: (0, 1, 0.1),  # the eyes, CelebA
    14: (9, 2, 0.2),  # the torso, left shoulder to right hip: PCK@0.2 (Yang and Ramanan 2013)
}


def distances(
    prediction: Float[Tensor, "n e"], target: Float[Tensor, "n e"], first: int, second: int
) -> Float[Tensor, "n p"]:
    """From each landmark (x, y; x, y; ...) to the true one, in units of that between two true ones of an image."""
    found, true = (points.double().reshape(len(points), -1, 2) for points in (prediction, target))
    unit: Tensor = torch.linalg.vector_norm(true[:, first] - true[:, second], dim=1, keepdim=True)
    apart: Tensor = torch.linalg.vector_norm(found - true, dim=2)
    return apart / unit.clamp_min(1e-12)


def normalised_mean_error(
    prediction: Float[Tensor, "n e"], target: Float[Tensor, "n e"], pair: tuple[int, int]
) -> float:
    """NME: the mean of the `distances` over landmarks and images."""
    return float(distances(prediction, target, *pair).mean())


def correct_keypoints(
    prediction: Float[Tensor, "n e"], target: Float[Tensor, "n e"], pair: tuple[int, int], within: float
) -> float:
    """PCK: the share of landmarks whose distance is at most `within`."""
    return float((distances(prediction, target, *pair) <= within).double().mean())
