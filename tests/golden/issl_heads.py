"""ISSL's heads: what its tensors are called there and here; an encoder that gives what it is given."""

import re
from typing import Any

import torch
from torch import Tensor, nn
from vectors import Case, check_close

from erlangen.nets import Encoder
from erlangen.views import View

END = r"(?:0\.)?(?:post_block\.)?"  # what may stand before the name of a last layer
Names = dict[str, dict[str, str]]  # of each head: the original's names of its tensors -> ours
LEAVES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class Given(Encoder):
    """The representation is the image: (n, d, 1, 1) to (n, d)."""

    layers, spec = (), {}

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class Twice(Given):
    """An image holds what the student's head sees and, after it, what the teacher's sees."""

    def __init__(self, student: int, teacher: int) -> None:
        super().__init__(student + teacher)
        self.parts = (student, teacher)


class Part(nn.Module):
    """What one of the heads sees of a representation."""

    def __init__(self, parts: tuple[int, int], which: int) -> None:
        super().__init__()
        self.parts, self.which = parts, which

    def forward(self, h: Tensor) -> Tensor:
        return h.split(self.parts, 1)[self.which]


def views(z: Tensor) -> list[View]:
    """Rows of both views, one view after the other, as images."""
    return [View(half[:, :, None, None], {}, {}, torch.arange(len(half))) for half in z.chunk(2)]


def hidden_layers(weights: dict[str, Tensor]) -> dict[str, str]:
    """Linear and BatchNorm of hidden layers -> their number among all of (Linear, BatchNorm, activation).

    `pre_block` is the first hidden layer, `hidden_block` has the others.
    """
    modules = {name.rpartition(".")[0] for name in weights}
    blocks = [m for m in modules if re.search(r"(pre|hidden)_block\.\d+$", m)]
    blocks.sort(key=lambda m: ("hidden_block" in m, int(m.rpartition(".")[2])))
    return {name: str(i + i // 2) for i, name in enumerate(blocks)}


def renamed(weights: dict[str, Tensor]) -> dict[str, str]:
    """The original's names of a head's tensors -> ours, an nn.Sequential of Linear, BatchNorm and ReLU.

    `bottleneck`, `normalizer` and `linear` come last; contrastive heads are wrapped: `0.` is all of that, `1` a
    BatchNorm after it.
    """
    ours = hidden_layers(weights)
    modules = {name.rpartition(".")[0] for name in weights}
    last = [m for tail in ("bottleneck", "normalizer", "linear", "1") for m in modules if re.fullmatch(END + tail, m)]
    ours |= {name: str(len(ours) * 3 // 2 + i) for i, name in enumerate(last)}
    return {f"{theirs}.{leaf}": f"{index}.{leaf}" for theirs, index in ours.items() for leaf in LEAVES}


def widths(weights: dict[str, Tensor]) -> tuple[tuple[int, ...], int | None, int]:
    """Of a head: hidden layers, bottleneck if there is one, output."""
    hidden = [weights[f"{name}.weight"] for name in hidden_layers(weights)]
    rank = [len(w) for name, w in weights.items() if name.endswith("bottleneck.weight")]
    out = [len(w) for name, w in weights.items() if re.search(r"linear\.weight(_v)?$", name)]
    return tuple(len(w) for w in hidden if w.ndim == 2), next(iter(rank), None), out[0]


def fill(head: nn.Module, weights: dict[str, Tensor], case: Case) -> dict[str, str]:
    """The case's weights in our head; the names, theirs -> ours. All of them must find a place."""
    names = renamed(weights)
    assert set(weights) <= set(names), f"{case}: unknown {set(weights) - set(names)}"
    head.load_state_dict({names[name]: w for name, w in weights.items()})
    return names


def inputs(case: Case) -> list[Tensor]:
    """What the heads see: one representation, or one for each."""
    return [case[name].requires_grad_() for name in (("z", "z_tgt") if case.holds("z_tgt") else ("z",))]


def run(case: Case, built: tuple[Any, Any, Names], dtype: torch.dtype = torch.float64) -> tuple[Any, list[Tensor]]:
    """What the method gives for the case's inputs, and these."""
    method, nets, _ = built
    given = inputs(case)
    return method.loss(nets.to(dtype), views(torch.cat([x.to(dtype) for x in given], 1))), given


def check_gradients(case: Case, built: tuple[Any, Any, Names]) -> None:
    """Loss, gradients with respect to what each head sees, and norms of the parameters' gradients, in float64."""
    _, nets, names = built
    output, given = run(case, built)
    output.loss.backward()
    check_close(output.loss, case["loss"], rtol=1e-9, atol=0)
    for name, x in zip(("z", "z_tgt"), given, strict=False):
        check_close(x.grad, case[f"grad_{name}"], rtol=1e-9, atol=1e-11)
    for head, of in names.items():
        for name, norm in case.under(f"gradnorm.{head}.").items():
            check_close(nets.get_submodule(head).get_parameter(of[name]).grad.norm(), norm, rtol=1e-9, atol=1e-11)


def check_logs(case: Case, built: tuple[Any, Any, Names]) -> None:
    """What the original monitors, under the same names, and nothing else."""
    logs, golden = run(case, built)[0].logs, case.under("log.")
    assert logs.keys() == golden.keys()
    for name, value in golden.items():
        check_close(logs[name], value, rtol=1e-9, atol=1e-11)


def check_statistics(case: Case, built: tuple[Any, Any, Names]) -> None:
    """BatchNorm's running statistics after both heads have seen the batch once; a head without BatchNorm has none."""
    _, nets, names = built
    run(case, built)
    for head, of in names.items():
        for name, value in case.under(f"after.{head}.").items() if case.holds(f"after.{head}.") else ():
            check_close(nets.get_submodule(head).get_buffer(of[name]), value, rtol=1e-9, atol=1e-11)
