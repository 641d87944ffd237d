"""FSDP2: parameters, gradients and the optimiser's state shared out among the ranks, for networks that fill a GPU."""

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.utils._pytree import tree_map_only

from erlangen.nets import Branch, Encoder

State = dict[str, Any]


def sharded(learner: nn.Module) -> nn.Module:
    """In place: every network of the learner's `nets`, and within an encoder every block of a transformer.

    Copies such as moving averages have been made before, from whole parameters.
    """
    # nothing here writes into what a network returns, of which FSDP2 warns
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")
    for net in networks(learner.get_submodule("nets")):
        for block in blocks(net):
            fully_shard(block)
        fully_shard(net)
    fully_shard(learner)
    return learner


def networks(nets: nn.Module) -> Iterator[nn.Module]:
    """What is called as one: encoders, projectors, predictors; what only holds such (a branch, the networks of a method
    inside another, a list) is as many as it holds."""
    for child in nets.children():
        if isinstance(child, Branch) or type(child).forward is nn.Module.forward:
            yield from networks(child)
        elif next(child.parameters(), None) is not None:
            yield child


def blocks(net: nn.Module) -> Iterator[nn.Module]:
    """The blocks of a transformer, as timm calls them."""
    if isinstance(net, Encoder):
        for name, module in net.named_modules():
            if name.rpartition(".")[2] == "blocks" and isinstance(module, nn.Sequential | nn.ModuleList):
                yield from module


def whole(state: State) -> State:
    """A state in which nothing is shared out; called by all ranks."""
    collected: State = tree_map_only(DTensor, lambda t: t.full_tensor().cpu(), state)  # one after the other
    return collected


def like(state: State, own: State) -> State:
    """A whole state shared out as `own` is."""
    return {
        name: distribute_tensor(t, own[name].device_mesh, own[name].placements) if isinstance(own[name], DTensor) else t
        for name, t in state.items()
    }


def optimizer_like(state: State, optimizer: torch.optim.Optimizer) -> State:
    """A whole state of an optimiser shared out as its parameters are."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]

    def placed(t: Any, p: Tensor) -> Any:
        if isinstance(p, DTensor) and isinstance(t, Tensor) and t.shape == p.shape:
            return distribute_tensor(t.to(p.device), p.device_mesh, p.placements)
        return t

    slots = {i: {name: placed(t, parameters[i]) for name, t in slot.items()} for i, slot in state["state"].items()}
    return {**state, "state": slots}
