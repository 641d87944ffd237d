"""What is done to the layers of a predictor between gradient steps: constraints, decay, new beginnings."""

from collections.abc import Sequence
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from erlangen.dist import assign_, from_rank_0, whole

M = TypeVar("M", bound=nn.Module)
Constraint = Literal["none", "symmetric", "symmetric_row_norm", "symmetric_norm", "diagonal"]
Restart = Literal["all", "first", "last"]


def linears(net: nn.Module) -> list[nn.Linear]:
    return [module for module in net.modules() if isinstance(module, nn.Linear)]


def weights(net: nn.Module) -> list[Tensor]:
    """Those of its linear layers, whole on every rank; called by all ranks."""
    return [whole(layer.weight.detach()) for layer in linears(net)]


def constrained(w: Sequence[Float[Tensor, "_ _"]], kind: Constraint) -> list[Float[Tensor, "_ _"]]:
    """The weights of one layer, or of two (h, d) and (d, h), nearest to, or scaled to, what they must be.

    symmetric: (W + W') / 2, of two layers W1 = (W1 + W2') / 2 = W2'; row_norm: moreover rows of W1 of length 1; norm:
    moreover the largest eigenvalue is 1, unless it is within .01 of 0. W = ((1, 4), (0, 1)): ((1, 2), (2, 1)).
    """
    if kind == "none":
        return list(w)
    if kind == "diagonal":
        return [w[0].diagonal().diag()]
    half = (w[0] + w[-1].mT) / 2
    if kind == "symmetric_row_norm":
        half = F.normalize(half, dim=1)  # a row of zeros stays
    if kind == "symmetric_norm":
        top = torch.linalg.eigvalsh(half.double()).amax()
        half = torch.where(top.abs() > 1e-2, half / top, half).to(half)
    return [half] if len(w) == 1 else [half, half.mT]


@torch.no_grad()
def regulate_(predictor: nn.Module, kind: Constraint, shrink: float = 0.0) -> None:
    """After a step: the constraint; then the weights of linear layers lose a fraction `shrink`. Biases stay."""
    if kind != "none" or shrink:
        for layer, w in zip(linears(predictor), constrained(weights(predictor), kind), strict=True):
            assign_(layer.weight, (1 - shrink) * w)


def due(step: int, frequency: int, first: int) -> bool:
    """Whether a predictor is set after `step` steps: after the `first`, and after every `frequency` more."""
    return step >= first and (step - first) % frequency == 0


def restart_due(step: int, per_epoch: int, epochs: int, steps: int) -> bool:
    """Whether after `step` steps a predictor begins anew: every so many steps, or before every epochs-th epoch.

    Epochs are counted from 1, as in the official code: 3 means before the epochs 3, 6, ...; 0 means never.
    """
    epoch, rest = divmod(step, per_epoch)
    return bool(steps and step % steps == 0) or bool(epochs and not rest and (epoch + 1) % epochs == 0)


@torch.no_grad()
def glorot_(net: M, layers: Restart = "all") -> M:
    """Linear layers with new weights, uniform as Glorot has it, and biases of 0, in place; the same on all ranks."""
    found = linears(net)
    for layer in found if layers == "all" else found[:1] if layers == "first" else found[1:]:
        new = torch.empty(layer.weight.shape, device=layer.weight.device, dtype=layer.weight.dtype)
        assign_(layer.weight, from_rank_0(nn.init.xavier_uniform_(new)))
        if layer.bias is not None:
            layer.bias.zero_()
    return net


@torch.no_grad()
def scramble_(net: nn.Module) -> None:
    """Other random weights of the same kind, in place: the entries of each parameter in another order."""
    for p in net.parameters():
        p.copy_(p.flatten()[torch.randperm(p.numel(), device=p.device)].view_as(p))


def half_squares(net: nn.Module) -> Float[Tensor, ""]:
    """Half the sum of squares of what trains, biases of layers aside: times .0004 KTH's L2 term, for its log.

    The scale and the shift of a norm count. Its gradient is what an optimiser adds as `weight_decay`, with `decayed`
    weights. A layer of weights (1, 2) and bias 7: 2.5.
    """
    kept = [
        p.detach()
        for module in net.modules()
        for name, p in module.named_parameters(recurse=False)
        if p.requires_grad and not (name == "bias" and module.get_parameter("weight").ndim > 1)
    ]
    return 0.5 * torch.stack([whole(p.square().sum()) for p in kept]).sum()


def with_l2(loss: Float[Tensor, ""], net: nn.Module, l2: float) -> dict[str, Float[Tensor, ""]]:
    """What KTH's study prints as its loss, for the log as `loss_l2`: with l2 / 2 of the squares; nothing without l2."""
    return {"loss_l2": loss.detach() + l2 * half_squares(net)} if l2 else {}
