"""Every method compiled against the same method as it is; run by test_engine.py, without the checks of shapes.

Prints a line `compile: METHOD: ...` for each that holds; the exit status says whether all do.
"""

import sys
from typing import Any

import torch
from small import METHODS, OPTIM, POLICY, built, colours, config, encoder, views
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from erlangen.methods.base import Learner
from erlangen.train import train


def learner(method: Any) -> Learner[Any]:
    return built(method).train()


def difference(a: Learner[Any], b: Learner[Any]) -> float:
    """The largest, over all gradients, of the difference to the size of the gradient."""
    pairs = zip(a.named_parameters(), b.named_parameters(), strict=True)
    grads = [(p.grad, q.grad) for (_, p), (_, q) in pairs if p.requires_grad]
    scale = max(float(g.abs().max()) for g, _ in grads)
    return max(float((g - h).abs().max()) for g, h in grads) / scale


def graphs(name: str, method: Any) -> bool:
    """One graph without a break, for a second batch too, and the same gradients."""
    torch.compiler.reset()
    plain, net = learner(method), learner(method)
    counts = CompileCounterWithBackend("aot_eager")
    nn.Module.compile(net, backend=counts, fullgraph=True)
    for each in (plain, net):
        for seed in (0, 1):
            torch.manual_seed(seed)  # of what a method draws
            torch.autograd.backward(each(views(seed=seed, method=method)).loss)
    worst = difference(plain, net)
    print(f"compile: {name}: {counts.frame_count} graph, worst difference {worst:.0e}")
    return counts.frame_count == 1 and worst < 1e-4


def losses(**values: Any) -> list[float]:
    seen: list[float] = []

    def record(clock: Any, net: Any, output: Any, batch: Any) -> dict[str, float]:
        seen.append(float(output.loss.detach()))
        return {}

    train(METHODS["SimCLR"], encoder(), POLICY.build(3, 16), colours(), OPTIM, config(4, **values), [record])
    return seen


if __name__ == "__main__":
    torch.set_num_threads(1)
    failed = [name for name, method in METHODS.items() if not graphs(name, method)]
    torch.compiler.reset()
    plain, compiled = losses(), losses(compile=True)
    worst = max(abs(a - b) for a, b in zip(plain, compiled, strict=True))
    print(f"machine code: {len(compiled)} steps, worst difference of a loss {worst:.0e}")
    sys.exit(f"differ: {failed}" if failed or worst > 1e-3 or len(compiled) != 4 else 0)
