"""MoCo v2 (Chen et al. 2020, arXiv:2003.04297), as in "Why Do Self-Supervised Models Transfer?" (arXiv:2111.11398).

A query is told from the keys of earlier batches, which a slowly moving copy of the network made. v1 (He et al. 2020,
arXiv:1911.05722): `MoCo(temperature=0.07, mlp_head=False)`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from erlangen import losses
from erlangen.dist import from_rank_0, gather, held, rank
from erlangen.methods.base import Clock, Output, pair
from erlangen.nets import Branch, Encoder, ema_, frozen_copy, mlp
from erlangen.split_norm import split_
from erlangen.views import View


class Nets(nn.Module):
    queue: Tensor
    pointer: Tensor

    def __init__(self, query: Branch, queue: Tensor) -> None:
        super().__init__()
        self.query, self.key = query, frozen_copy(query)
        self.register_buffer("queue", queue)  # (out, queue): a key is a column
        self.register_buffer("pointer", torch.zeros(1, dtype=torch.long))  # the oldest, which goes next


@dataclass(frozen=True)
class MoCo:
    out: int = 128
    queue: int = 65536  # K, a multiple of the batch size
    decay: float = 0.999  # m
    temperature: float = 0.2
    mlp_head: bool = True  # a hidden layer as wide as the encoder; else the head is linear (v1)
    bn_groups: int = 1
    """BatchNorm normalises so many parts of the batch each for itself, keys in an order of their own, so that it cannot
    tell which key is whose: the original's shuffled BatchNorm on as many GPUs."""

    def __post_init__(self) -> None:
        if self.queue < 1 or self.bn_groups < 1:
            raise ValueError(f"`queue` (={self.queue}) and `bn_groups` (={self.bn_groups}) must be at least 1")
        if not 0 <= self.decay <= 1 or not self.temperature > 0:
            raise ValueError(f"`decay` (={self.decay}) must lie in [0, 1], `temperature` (={self.temperature}) above 0")

    def build(self, encoder: Encoder) -> Nets:
        widths = (encoder.dim, encoder.dim, self.out) if self.mlp_head else (encoder.dim, self.out)
        query = Branch(encoder, mlp(*widths, bias=True, norm=False))
        if self.bn_groups > 1:
            split_(query, self.bn_groups)
        return Nets(query, F.normalize(torch.randn(self.out, self.queue), dim=0))

    def loss(self, nets: Nets, views: Sequence[View]) -> Output:
        view1, view2 = pair(views)
        self.check_batch(sum(held(len(view1.images))))
        h, q = nets.query(view1.images)
        with torch.no_grad():
            h_key, k = self.keys(nets, view2.images)
        loss = losses.moco(q, k, nets.queue, self.temperature)
        above = losses.outranked(q.detach(), k, nets.queue)
        logs = {f"acc{r}": 100 * (above < r).to(loss).mean() for r in (1, 5)}  # percent
        return Output(loss, [h, h_key], [q, k], logs, {"keys": k}, self.queue)

    def keys(self, nets: Nets, images: Tensor) -> tuple[Tensor, Tensor]:
        """Representations and keys; in groups, each group being drawn from the global batch."""
        if self.bn_groups == 1:
            h, k = nets.key(images)
            return h, k
        rows = held(len(images))
        own = slice(sum(rows[: rank()]), sum(rows[: rank() + 1]))
        order = from_rank_0(torch.randperm(sum(rows), device=images.device))
        back = order.argsort()[own]
        h, k = nets.key(gather(images)[order[own]])
        return gather(h)[back], gather(k)[back]

    def check_batch(self, images: int) -> None:
        if self.queue % images:
            raise ValueError(f"`queue` (={self.queue}) must be a multiple of the batch (={images} images on all ranks)")
        if images % self.bn_groups or images < 2 * self.bn_groups:
            raise ValueError(
                f"`bn_groups` (={self.bn_groups}) must divide the batch (={images} images), each 2 or more"
            )

    def couples(self) -> bool:
        return False

    def after_step(self, nets: Nets, carry: dict[str, Tensor], clock: Clock) -> None:
        keys = F.normalize(gather(carry["keys"]).to(nets.queue), dim=1)
        self.check_batch(len(keys))
        nets.queue[:, (nets.pointer + torch.arange(len(keys), device=keys.device)) % self.queue] = keys.T
        nets.pointer.add_(len(keys)).remainder_(self.queue)
        ema_(nets.key, nets.query, self.decay)

    def encoder(self, nets: Nets) -> Encoder:
        return nets.query.encoder
