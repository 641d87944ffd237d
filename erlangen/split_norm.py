"""BatchNorm that normalises each of several groups of the batch for itself, as if each were on a device of its own."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from erlangen.dist import stack_over_ranks, world


class SplitBatchNorm(_BatchNorm):
    """Each of `groups` equal parts of the global batch, in its order, has statistics of its own.

    On one device it is MoCo's substitute for several; with as many ranks as groups, ordinary BatchNorm on each. Running
    statistics follow the mean over all groups, so that they are the same on every rank.
    """

    groups: int

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        x = self.normalise(input) if self.training else super().forward(input)
        for name in ("drop", "act"):  # what follows in timm's `BatchNormAct2d`
            if name in self._modules:
                x = self.get_submodule(name)(x)
        return x

    def normalise(self, input: Tensor) -> Tensor:
        here = self.groups // world()
        if self.groups % world() or len(input) % here:
            raise ValueError(
                f"BatchNorm in `groups` (={self.groups}): they must be a multiple of the ranks (={world()}), and the "
                f"{len(input)} images of a rank one of its {here} groups; choose another number or batch size"
            )
        assert self.running_mean is not None and self.running_var is not None and self.momentum is not None
        normal, statistics = [], []
        for part in input.chunk(here):
            own = torch.zeros_like(self.running_mean), torch.zeros_like(self.running_var)
            normal.append(F.batch_norm(part, *own, self.weight, self.bias, True, 1.0, self.eps))  # which it writes
            statistics.append(torch.stack(own))
        with torch.no_grad():
            mean, variance = stack_over_ranks(torch.stack(statistics)).mean((0, 1))
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance, self.momentum)
            self.get_buffer("num_batches_tracked").add_(1)
        return torch.cat(normal)


PLAIN = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def split_(net: nn.Module, groups: int) -> None:
    """Every BatchNorm in `groups`, in place: parameters and buffers stay the same objects.

    `ValueError` for a BatchNorm of another kind than torch's or timm's `BatchNormAct2d`.
    """
    for name, module in net.named_modules():
        if isinstance(module, _BatchNorm):
            known = type(module) in PLAIN or type(module).__name__ == "BatchNormAct2d"
            if not known or not module.track_running_stats or module.momentum is None:
                raise ValueError(
                    f"{name} ({module}) cannot be split into `groups` (={groups}): it must be torch's BatchNorm (or "
                    "timm's BatchNormAct2d), with `track_running_stats` and a `momentum`"
                )
            module.__class__ = SplitBatchNorm
            assert isinstance(module, SplitBatchNorm)
            module.groups = groups
