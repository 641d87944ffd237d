"""Stochastic gradient descent whose every tensor has a rate in proportion to its own norm (You et al. 2017).

Both are torch.optim.SGD with the gradients rescaled in place before its step, so their state is SGD's: momentum. The
rate multiplies the momentum, as in BYOL's code and torch; where it is constant that is the same as inside it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT


class LARS(torch.optim.SGD):
    """The rule of SimCLR and BYOL: g + decay p, times trust |p| / |g + decay p|, or times 1 where a norm is 0.

    Tensors with fewer than two dimensions (biases, norms) get neither decay nor adaptation.
    """

    def __init__(
        self, params: ParamsT, lr: float, momentum: float = 0.9, weight_decay: float = 1e-6, trust: float = 1e-3
    ) -> None:
        super().__init__(params, lr, momentum, weight_decay=weight_decay)
        self.defaults["trust"] = trust

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = _evaluated(closure)
        for group in self.param_groups:
            params, grads = _moving([p for p in group["params"] if p.ndim >= 2])
            if params:
                torch._foreach_add_(grads, params, alpha=group["weight_decay"])
                weights, updates = _norms(params), _norms(grads)
                ratio = self.defaults["trust"] * weights / updates
                ratio = torch.where((weights > 0) & (updates > 0), ratio, 1.0)
                torch._foreach_mul_(grads, list(ratio.unbind()))
        with _without_decay(self.param_groups):
            super().step()
        return loss


class LARC(torch.optim.SGD):
    """NVIDIA apex's rule: g + decay p, times trust |p| / (|g| + decay |p| + eps), for every tensor.

    Where |p| or |g| is 0 the gradient stays as it is, without decay. With `clip` the factor f becomes min(f / lr, 1):
    then f is the rate of the tensor, and lr the most that it can be.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float,
        momentum: float = 0.9,
        weight_decay: float = 1e-6,
        trust: float = 1e-3,
        clip: bool = False,
        eps: float = 1e-8,
    ) -> None:
        super().__init__(params, lr, momentum, weight_decay=weight_decay)
        self.defaults |= {"trust": trust, "clip": clip, "eps": eps}

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        loss = _evaluated(closure)
        for group in self.param_groups:
            params, grads = _moving(group["params"])
            if params:
                decay = group["weight_decay"]
                weights, slopes = _norms(params), _norms(grads)
                factor = self.defaults["trust"] * weights / (slopes + decay * weights + self.defaults["eps"])
                if self.defaults["clip"]:
                    factor = (factor / group["lr"]).clamp(max=1.0)
                adapted = (weights > 0) & (slopes > 0)
                torch._foreach_mul_(grads, list(torch.where(adapted, factor, 1.0).unbind()))
                decays = torch.where(adapted, decay * factor, 0.0)
                torch._foreach_addcmul_(grads, params, list(decays.unbind()))
        with _without_decay(self.param_groups):
            super().step()
        return loss


def _evaluated(closure: Callable[[], float] | None) -> float | None:
    """What the closure returns; the gradients that it leaves are those that are rescaled."""
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def _moving(params: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """The tensors that have a gradient, and the gradients."""
    moving = [(p, p.grad) for p in params if p.grad is not None]
    return [p for p, _ in moving], [grad for _, grad in moving]


def _norms(tensors: list[Tensor]) -> Tensor:
    return torch.stack(torch._foreach_norm(tensors))


@contextmanager
def _without_decay(groups: list[dict[str, Any]]) -> Iterator[None]:
    """SGD must not decay again what was decayed before it was rescaled, nor what is exempt."""
    decays = [group["weight_decay"] for group in groups]
    for group in groups:
        group["weight_decay"] = 0.0
    try:
        yield
    finally:
        for group, decay in zip(groups, decays, strict=True):
            group["weight_decay"] = decay
