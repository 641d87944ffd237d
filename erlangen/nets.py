"""Building blocks that the methods share."""

import copy
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from erlangen.dist import local, stack_over_ranks
from erlangen.names import lookup

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))  # mean and standard deviation


class Encoder(nn.Module):
    """Images (n, c, h, w) in [0, 1] to representations (n, dim); normalisation is its first layer.

    `layers` names what `features` can return: maps (n, c, h, w) or tokens (n, t, c). `spec` says how to build the
    encoder again, so that a file of weights needs nothing else.
    """

    dim: int
    layers: tuple[str, ...] = ()
    spec: Mapping[str, str | int] = MappingProxyType({})

    def features(self, images: Float[Tensor, "n c h w"], layers: Sequence[str]) -> dict[str, Tensor]:
        """The outputs of these layers, by name; `ValueError` for a layer that does not exist. Here there are none."""
        return {name: lookup("layer", name, {}) for name in layers}


class Normalize(nn.Module):
    """(x - mean) / std per channel; the numbers belong to the encoder's `spec`, not to its weights."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(std)[:, None, None], persistent=False)

    def forward(self, images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        if images.shape[1] != len(self.mean):
            raise ValueError(f"the images have {images.shape[1]} channels, the encoder takes {len(self.mean)}")
        return (images - self.mean) / self.std


class Grey(Normalize):
    """Images of one channel as three that are alike, then normalised."""

    def forward(self, images: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n 3 h w"]:
        return super().forward(images.expand(-1, 3, -1, -1))


class Branch(nn.Module):
    """Encoder and projector as one network, the unit that moving averages copy: images to (h, z)."""

    def __init__(self, encoder: Encoder, projector: nn.Module) -> None:
        super().__init__()
        self.encoder, self.projector = encoder, projector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        h = self.encoder(images)
        return h, self.projector(h)


def mlp(
    *dims: int,
    bias: bool = False,
    norm: bool = True,
    affine: bool = True,
    last_bias: bool = True,
    last_norm: bool = False,
    last_affine: bool = True,
) -> nn.Sequential:
    """Linear-BN-ReLU blocks and a Linear last, with a BatchNorm after it if `last_norm`; one Linear for two widths.

    `bias`, `norm` (whether there is a BatchNorm) and `affine` (whether it has scale and shift) are those of the blocks,
    `last_bias` and `last_affine` those of the end. `mlp(512, 4096, 256)` is BYOL's, `mlp(512, 1024, 128,
    last_norm=True)` that of ISSL's contrastive heads. `ValueError` for a width below 1.
    """
    if min(dims) < 1:
        raise ValueError(f"the widths of a head ({', '.join(map(str, dims))}) must all be at least 1")
    layers: list[nn.Module] = []
    for a, b in zip(dims[:-2], dims[1:-1], strict=True):
        layers.append(nn.Linear(a, b, bias=bias))
        layers += [nn.BatchNorm1d(b, affine=affine)] if norm else []
        layers.append(nn.ReLU(inplace=True))
    layers.append(nn.Linear(dims[-2], dims[-1], bias=last_bias))
    return nn.Sequential(*layers, *([nn.BatchNorm1d(dims[-1], affine=last_affine)] if last_norm else []))


def differing(own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """In which entries two states do not fit, the first three; empty if they do."""
    wrong = sorted(own.keys() ^ given.keys()) or [key for key in own if own[key].shape != given[key].shape]
    return f"{', '.join(wrong[:3])}{' ...' * (len(wrong) > 3)}"


def frozen_copy(net: nn.Module) -> nn.Module:
    """Without gradient; BatchNorm still follows `train()`, as in BYOL's target."""
    return copy.deepcopy(net).requires_grad_(False)


@torch.no_grad()
def ema_(target: nn.Module, online: nn.Module, decay: float, statistics: bool = False) -> None:
    """target <- decay * target + (1 - decay) * online, for the parameters.

    BatchNorm's running statistics are the target's own (BYOL, DINO) or averaged likewise (ReLIC); its integer counter
    is always its own.
    """
    pairs: list[tuple[Tensor, Tensor]] = list(zip(target.parameters(), online.parameters(), strict=True))
    if statistics:
        buffers = zip(target.buffers(), online.buffers(), strict=True)
        pairs += [(own, other) for own, other in buffers if own.is_floating_point()]
    if pairs:
        own, others = ([local(x) for x in each] for each in zip(*pairs, strict=True))
        torch._foreach_lerp_(own, others, 1 - decay)


def cosine_decay(base: float, step: int, steps: int) -> float:
    """The target's decay before update number `step` (from 0): 1 - (1 - base)(cos(pi k/K) + 1)/2 (BYOL, sec. 3.2)."""
    return 1 - (1 - base) * (math.cos(math.pi * min(step, steps) / steps) + 1) / 2


class SyncBatchNorm(_BatchNorm):
    """BatchNorm over the batch of all ranks, on any device (torch's own refuses CPU tensors)."""

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        return self.after(self.normalise(input))

    def after(self, x: Tensor) -> Tensor:
        """timm's `BatchNormAct2d` holds what follows it."""
        for name in ("drop", "act"):
            if name in self._modules:
                x = self.get_submodule(name)(x)
        return x

    def normalise(self, input: Tensor) -> Tensor:
        if not self.training:
            return super().forward(input)
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        wide = input.to(self.running_mean.dtype)  # bfloat16 is too coarse for statistics
        variance, mean = torch.var_mean(wide, [0, *range(2, wide.ndim)], correction=0)
        count = torch.full_like(mean, wide.numel() // wide.shape[1])
        means, variances, counts = stack_over_ranks(torch.stack([mean, variance, count])).unbind(1)  # (ranks, c) each
        n = counts.sum(0)
        mean = (means * counts).sum(0) / n
        variance = ((variances + (means - mean) ** 2) * counts).sum(0) / n  # Chan et al.
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * n / (n - 1), self.momentum)
            self.get_buffer("num_batches_tracked").add_(1)
        shape = (1, -1, *[1] * (wide.ndim - 2))
        normal = (wide - mean.view(shape)) * (variance + self.eps).rsqrt().view(shape)
        if self.affine:
            normal = normal * self.weight.view(shape) + self.bias.view(shape)
        return normal.to(input.dtype)


PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, SyncBatchNorm)


def convert(net: nn.Module) -> nn.Module:
    """Every BatchNorm synchronised, in place: parameters, buffers and `requires_grad` stay the same objects."""
    for name, module in net.named_modules():
        if isinstance(module, _BatchNorm) and type(module).__name__ != "SplitBatchNorm":  # which sees to it itself
            known = type(module) in PLAIN or type(module).__name__ == "BatchNormAct2d"
            if not known or not module.track_running_stats or module.momentum is None:
                raise ValueError(
                    f"{name} ({module}) cannot run on several ranks: it must be torch's BatchNorm (or timm's "
                    "BatchNormAct2d), with `track_running_stats` and a `momentum`"
                )
            module.__class__ = SyncBatchNorm
    return net
