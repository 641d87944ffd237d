"""Losses that compare a student's output with a teacher's."""

from typing import Literal, get_args

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.losses.checks import check_same
from erlangen.losses.precision import exact

Form = Literal["distance", "cosine", "unnormalized"]


@exact
def regression(p: Float[Tensor, "n d"], z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """Squared distance of unit vectors, 2 - 2 cos(p, z), mean over the batch (BYOL, arXiv:2006.07733, eq. 2).

    No gradient through z. p = (1, 0), z = (3, 4) have the cosine .6: 0.8.
    """
    check_same(p=p, z=z)
    return 2 - 2 * F.cosine_similarity(p, z.detach(), dim=-1).mean()


@exact
def negative_cosine(p: Float[Tensor, "n d"], z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """-cos(p, z), mean over the batch (SimSiam, arXiv:2011.10566, eq. 1): half of `regression`, less 1.

    No gradient through z. p = (1, 0), z = (3, 4): -0.6.
    """
    check_same(p=p, z=z)
    return -F.cosine_similarity(p, z.detach(), dim=-1).mean()


@exact
def squared_distance(p: Float[Tensor, "n d"], z: Float[Tensor, "n d"]) -> Float[Tensor, ""]:
    """|p - z|^2, mean over the batch: what DirectPred's code compares without normalisation (arXiv:2102.06810, eq. 1).

    No gradient through z. p = (1, 0), z = (3, 4): 20.
    """
    check_same(p=p, z=z)
    return (p - z.detach()).square().sum(-1).mean()


FORMS = {"distance": regression, "cosine": negative_cosine, "unnormalized": squared_distance}


@exact
def crosswise(
    p1: Float[Tensor, "n d"],
    p2: Float[Tensor, "n d"],
    z1: Float[Tensor, "n d"],
    z2: Float[Tensor, "n d"],
    form: Form = "distance",
    scale: float = 1.0,
) -> Float[Tensor, ""]:
    """Each view's prediction against the other view's target: scale (d(p1, z2) + d(p2, z1)), d being the form.

    Every original's own value: BYOL `distance` (0 to 8); KTH's reproduction `cosine` (-2 to 2); SimSiam `cosine` times
    1/2 (arXiv:2011.10566, eq. 2); DirectPred's code `cosine` times 2, or `unnormalized`. p1 = p2 = (1, 0), z1 = (3, 4),
    z2 = (0, 1), cosine, scale 1/2: -(0 + .6) / 2 = -0.3. `ValueError` for a form that does not exist, and for shapes
    that differ.
    """
    if form not in FORMS:
        raise ValueError(f"`form` (={form}) of the loss must be one of {', '.join(get_args(Form))}")
    check_same(p1=p1, p2=p2, z1=z1, z2=z2)
    d = FORMS[form]
    return scale * (d(p1, z2) + d(p2, z1))
