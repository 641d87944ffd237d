"""Linear CKA: are two representations of the same images one, up to a rotation and a scale? (Kornblith et al. 2019)"""

import torch
from jaxtyping import Float
from torch import Tensor

FEWEST = 4  # images, below which no estimate without bias exists


def cka(a: Float[Tensor, "n d"], b: Float[Tensor, "n e"]) -> Float[Tensor, ""]:
    """In [0, 1] but for chance: 1 for b = s a R + t with any rotation R, 0 in the mean for independent ones.

    The estimate without bias (HSIC_1; Song et al. 2012, eq. 5), for with few images the usual one is far above 0
    whatever the representations. 0 where one of them does not vary. `ValueError` for fewer than 4 images.
    """
    if len(a) < FEWEST:
        raise ValueError(f"CKA needs {FEWEST} images at least, not {len(a)}")
    return of_grams(gram(a), gram(b))


def gram(a: Float[Tensor, "n d"]) -> Float[Tensor, "n n"]:
    """Products of all pairs of two images, about the mean, 0 for an image with itself; in float64."""
    centred = a.double() - a.double().mean(0)
    return (centred @ centred.T).fill_diagonal_(0)


def of_grams(k: Float[Tensor, "n n"], l: Float[Tensor, "n n"]) -> Float[Tensor, ""]:  # noqa: E741, HSIC's own names
    own = hsic(k, k).clamp_min(0) * hsic(l, l).clamp_min(0)
    return torch.where(own > 0, hsic(k, l) / own.clamp_min(1e-300).sqrt(), 0.0)


def hsic(k: Float[Tensor, "n n"], l: Float[Tensor, "n n"]) -> Float[Tensor, ""]:  # noqa: E741
    n = len(k)
    rows, columns = k.sum(0), l.sum(0)
    every = (k * l).sum() + rows.sum() * columns.sum() / ((n - 1) * (n - 2)) - 2 * (rows @ columns) / (n - 2)
    return every / (n * (n - 3))


def without_each(
    k: Float[Tensor, "n n"],
    l: Float[Tensor, "n n"],  # noqa: E741
    blocks: int,
) -> Float[Tensor, " b"]:
    """CKA without each of several parts of the images in turn, for its error (the delete-a-group jackknife)."""
    left_out = torch.arange(len(k), device=k.device).chunk(blocks)
    found = []
    for part in left_out:
        kept = torch.ones(len(k), dtype=torch.bool, device=k.device).index_fill_(0, part, False)
        found.append(of_grams(k[kept][:, kept], l[kept][:, kept]))
    return torch.stack(found)
