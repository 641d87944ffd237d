"""Do a predictor and the correlation of its inputs share their eigenvectors? (Tian et al. 2021, arXiv:2102.06810)

Pure functions of F, the mean of z z' over the predictor's inputs z, and Wp, the predictor without its norms,
nonlinearities and biases. Computed in float64 on the CPU.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen.predictors import eigen

ALIGNED = 0.9  # cosine from which on an eigenvector of F counts as one of Wp


@dataclass(frozen=True)
class Eigenspace:
    """The three spectra in the order of KTH's figures: F's eigenvalues descend, and the alignment follows them."""

    f: Float[Tensor, " d"]
    predictor: Float[Tensor, " d"]
    alignment: Float[Tensor, " d"]
    asymmetry: float

    @property
    def aligned(self) -> int:
        """How many eigenvectors of F are nearly eigenvectors of Wp, of positive eigenvalue."""
        return int((self.alignment > ALIGNED).sum())


def eigenspace(f: Float[Tensor, "d d"], wp: Float[Tensor, "d d"]) -> Eigenspace:
    """All of them at once, of a predictor whose inputs have this F."""
    values, vectors = eigen(f.cpu())
    return Eigenspace(values.flip(0), predictor_spectrum(wp), alignment(wp, vectors.flip(1)), float(asymmetry(wp)))


def linearised(weights: Sequence[Float[Tensor, "_ _"]]) -> Float[Tensor, "_ _"]:
    """Wp: the product of the weights (out, in) of a predictor's linear layers, given from the first to the last.

    (1, 2) after the column (3, 4), a predictor from two numbers through one: ((3, 6), (4, 8)).
    """
    return reduce(lambda product, w: w.double().cpu() @ product, weights[1:], weights[0].double().cpu())


def asymmetry(wp: Float[Tensor, "d d"]) -> Float[Tensor, ""]:
    """sum |W - W'| / sum |W|: 0 for a symmetric matrix, near sqrt 2 for a large one of independent normal entries.

    ((1, 2), (0, 1)): (2 + 2) / 4 = 1.
    """
    wp = wp.double().cpu()
    return (wp - wp.T).abs().sum() / wp.abs().sum().clamp_min(torch.finfo(wp.dtype).tiny)


def predictor_spectrum(wp: Float[Tensor, "d d"]) -> Float[Tensor, " d"]:
    """The real parts of Wp's eigenvalues, descending. ((2, 1), (0, 3)): 3, 2."""
    real: Tensor = torch.linalg.eigvals(wp.double().cpu()).real
    return real.sort(descending=True)[0]


def alignment(wp: Float[Tensor, "d d"], vectors: Float[Tensor, "d k"]) -> Float[Tensor, " k"]:
    """cos(u, Wp u) for the columns u: 1 where u is an eigenvector of positive eigenvalue, 0 where Wp u vanishes.

    KTH's files hold the negative of it. Wp = ((1, 1), (0, 1)), u = (0, 1): Wp u = (1, 1), cosine 0.7071.
    """
    u = vectors.double().cpu()
    moved = wp.double().cpu() @ u
    lengths = torch.linalg.vector_norm(u, dim=0) * torch.linalg.vector_norm(moved, dim=0)
    return torch.div((u * moved).sum(0), lengths.clamp_min(torch.finfo(u.dtype).tiny))
