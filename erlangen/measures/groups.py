"""Pictures of the same thing, really taken anew: how much of a representation stays? (Ericsson et al. 2021)"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from erlangen.measures.whitening import Whitening
from erlangen.solvers.intervals import DRAWS, Weights, mean, with_intervals

POOL = 1024  # rows whose cosines with all others are computed together
TIE = 1e-6  # cosines that differ by less are equal: float32 tells no more


def over_groups(groups: Sequence[Float[Tensor, "_ d"]], whiten: Whitening, seed: int = 0) -> dict[str, Any]:
    """Of groups of representations, each of two or more views of one thing: the mean over groups, and `intervals`.

    `similarity` and `distance`, the original's: the mean cosine of whitened representations over all pairs of views
    of a group, EACH WITH ITSELF among them, and their mean Euclidean (Mahalanobis) distance over pairs of two.
    `pairs`: the cosine over pairs of two alone; `cosine` that of the representations as they are. `retrieval`: how
    often the nearest of all other images, by cosine, is of the same group. `variance`: 1 - the share of the variance
    that is within the groups. By group: `similarities`, `distances`. `ValueError` for a group of fewer than 2 views.
    """
    if small := [i for i, group in enumerate(groups) if len(group) < 2]:
        raise ValueError(f"group {small[0]} has fewer than 2 views: there is nothing to compare; leave it out")
    if not groups:
        raise ValueError("there are no groups to compare: give one at least")
    rows = [of_group(group, whiten) for group in groups]
    of = {name: torch.stack([row[name] for row in rows]) for name in rows[0]}
    of["retrieval"] = retrieved(groups)
    sizes = torch.tensor([float(len(group)) for group in groups]).to(of["within"])
    middle = torch.stack([(group.double() - whiten.mean).mean(0) for group in groups])

    def statistic(w: Weights) -> dict[str, Float[Tensor, " b"]]:
        found = {name: mean(x, w) for name, x in of.items() if name not in ("within", "square")}
        count = w * sizes
        centre = (count @ middle) / count.sum(1, keepdim=True)
        total = (count @ of["square"]) / count.sum(1) - centre.square().sum(1)
        within = (count @ of["within"]) / count.sum(1)
        return found | {"variance": torch.where(total > 0, 1 - within / total.clamp_min(1e-300), 1.0)}

    found = with_intervals(statistic, len(groups), seed, sizes.device)
    return {
        **found,
        "similarities": of["similarity"].tolist(),
        "distances": of["distance"].tolist(),
        "protocol": {
            "groups": len(groups),
            "views": sum(map(len, groups)),
            "similarity": "mean over groups of the cosine of whitened representations, over all pairs of views, each "
            "with itself among them",
            "intervals": f"95 %, {DRAWS} bootstrap samples of groups",
            "seed": seed,
        },
    }


def of_group(group: Float[Tensor, "v d"], whiten: Whitening) -> dict[str, Float[Tensor, ""]]:
    """The numbers of one group; `within` and `square` are its variance and mean square, about the reference's mean."""
    v = len(group)
    w, x = whiten(group), group.double() - whiten.mean
    first, second = torch.triu_indices(v, v, 1)
    cosines = F.normalize(w, dim=1) @ F.normalize(w, dim=1).T
    plain = F.normalize(group.double(), dim=1) @ F.normalize(group.double(), dim=1).T
    return {
        "similarity": cosines.mean(),
        "pairs": cosines[first, second].mean(),
        "distance": (w[first] - w[second]).norm(dim=1).mean(),
        "cosine": plain[first, second].mean(),
        "within": x.var(0, correction=0).sum(),
        "square": x.square().sum(1).mean(),
    }


def retrieved(groups: Sequence[Float[Tensor, "_ d"]]) -> Float[Tensor, " g"]:
    """How often, of each group, the nearest other image of all groups is one of it; of equally near ones any is."""
    u = F.normalize(torch.cat(list(groups)).double(), dim=1)
    owner = torch.cat([torch.full((len(group),), i) for i, group in enumerate(groups)]).to(u.device)
    found = []
    for part in torch.split(torch.arange(len(u), device=u.device), POOL):
        cosines = u[part] @ u.T
        cosines[torch.arange(len(part)), part] = -torch.inf
        near = (cosines >= cosines.amax(1, keepdim=True) - TIE).double()
        found.append((near * (owner[part, None] == owner)).sum(1) / near.sum(1))
    sums = torch.zeros(len(groups), dtype=torch.float64, device=u.device).index_add_(0, owner, torch.cat(found))
    return sums / owner.bincount()
