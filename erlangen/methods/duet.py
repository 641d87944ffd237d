"""DUET (Suau et al. 2023, arXiv:2306.16058): the representation is a grid, group x content, or several such grids.

The content, a sum over the group axis, is contrasted as in SimCLR; the marginal over it turns with a parameter.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from erlangen import losses
from erlangen.dist import gather
from erlangen.losses.checks import check_positive, check_weight
from erlangen.methods.base import Clock, Output, pair
from erlangen.names import lookup
from erlangen.nets import Branch, Encoder, mlp
from erlangen.operators import check_names
from erlangen.spaces import Choice, Circle, Cyclic, Seed, Space, Switch
from erlangen.views import View


@dataclass(frozen=True)
class DUET:
    group: tuple[str, ...] = ("rotation",)  # the parameters that are followed, each by a group axis of its own
    target: Literal["auto", "vm", "ga"] = "auto"  # von Mises or Gaussian; auto: vm for cyclic groups, ga for the others
    width: float | None = None  # concentration 3 for vm, standard deviation 0.2 for ga, unless given
    bins: int = 8  # G
    marginal: losses.Marginal = "mean"  # over the content: the authors' code; sum: their figure's caption
    weight: float = 10.0  # lambda
    temperature: float = 0.1
    hidden: tuple[int, ...] = (2048, 2048)
    out: int = 128

    def __post_init__(self) -> None:
        lookup("target", self.target, dict.fromkeys(("auto", "vm", "ga")))
        lookup("marginal", self.marginal, dict.fromkeys(("mean", "sum")))
        check_names("group", self.group)
        check_weight(weight=self.weight)
        check_positive(temperature=self.temperature, width=1.0 if self.width is None else self.width)
        if self.bins < 2:
            raise ValueError(f"`bins` (={self.bins}) of the group axis must be at least 2")

    def fitted(self, views: Sequence[View]) -> "DUET":
        """Itself: the networks are the same for all views that have the parameters; `ValueError` for others."""
        odd = (Choice, Seed, Switch) if self.target == "vm" else (Choice, Seed)
        for spaces in (view.spaces for view in views):
            can = [name for name, space in spaces.items() if space.dim == 1 and not isinstance(space, odd)]
            if unfit := [name for name in self.group if name not in can]:
                raise ValueError(
                    f"`group`: the views have no parameter {unfit[0]!r} of one number for each image"
                    f"{', no switch (take ga)' * (self.target == 'vm')}; can be followed: {', '.join(can) or 'none'}"
                )
        return self

    def build(self, encoder: Encoder) -> Branch:
        if (dim := encoder.dim) % (self.bins * (k := len(self.group))):
            fill = ", ".join(str(n) for n in range(2, dim + 1) if dim % (n * k) == 0) or "none, take fewer groups"
            raise ValueError(f"`bins` (={self.bins}) must divide a group's width ({dim} / {k}); these do: {fill}")
        return Branch(encoder, mlp(dim // self.bins, *self.hidden, self.out, bias=True, last_norm=True))

    def loss(self, nets: Branch, views: Sequence[View]) -> Output:
        self.fitted(pair(views))  # refuses what cannot be followed, in any loop
        h1, h2 = (nets.encoder(view.images) for view in views)
        z1, z2 = (nets.projector(self.grid(h).sum(2).flatten(1)) for h in (h1, h2))
        every1, every2 = gather(z1), gather(z2)
        contrast = 2 * losses.nt_xent(every1, every2, self.temperature)  # the sum of both directions
        log_p = losses.log_marginal(self.grid(torch.cat([h1, h2])), self.marginal)  # (2n, k, g)
        logs, divergences = {f"ntxent_{name}": x for name, x in losses.found(every1, every2).items()}, []
        for i, name in enumerate(self.group):
            g = torch.cat([view.unit(name) for view in views])
            divergence, error = self.follow(log_p[:, i], g, views[0].spaces[name])
            divergences.append(divergence)
            logs |= {f"group_{i}_loss": divergence.detach(), f"group_{i}_error": error}
        jsd = torch.stack(divergences).mean()
        logs |= {"nce_loss": contrast.detach(), "jsd": jsd.detach(), "group_loss": self.weight * jsd.detach()}
        return Output(contrast + self.weight * jsd, [h1, h2], [z1, z2], logs, negatives=2 * len(every1) - 2)

    def follow(self, log_p: Float[Tensor, "n g"], g: Float[Tensor, "n 1"], space: Space) -> tuple[Tensor, Tensor]:
        """How far a marginal is from its target at g in [0, 1], and the g decoded from it from g: means over images."""
        cyclic = isinstance(space, Circle | Cyclic)
        kind: losses.Target = ("vm" if cyclic else "ga") if self.target == "auto" else self.target
        target = losses.log_target(g, self.bins, kind, self.width or {"vm": 3.0, "ga": 0.2}[kind])
        away = losses.decoded(log_p.detach(), kind) - g  # of a circle, be it the target's alone, the shorter way
        return losses.jensen_shannon(log_p, target), (away - away.round() * (cyclic or kind == "vm")).abs().mean()

    def grid(self, h: Float[Tensor, "n d"]) -> Float[Tensor, "n k g c"]:
        """The representation as groups x bins x content, the content fastest."""
        return h.reshape(len(h), len(self.group), self.bins, -1)

    def couples(self) -> bool:
        return True

    def after_step(self, nets: Branch, carry: dict[str, Tensor], clock: Clock) -> None:
        pass

    def encoder(self, nets: Branch) -> Encoder:
        return nets.encoder
