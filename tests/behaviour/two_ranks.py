"""Every method on two ranks against one process, in float64; run by test_ranks.py under torchrun."""

import sys
from typing import Any

import torch
from small import METHODS, OPTIM, POLICY, VARIANTS, colours, config, encoder
from torch import Tensor

from erlangen.dist import gather, rank
from erlangen.engine import process_group
from erlangen.train import train


def trace(name: str) -> dict[str, Tensor]:
    """Every loss and gradient of three steps (four run), every parameter and buffer after them."""
    seen: dict[str, Tensor] = {}

    def record(clock: Any, learner: Any, output: Any, batch: Any) -> dict[str, float]:
        seen[f"loss {clock.step}"] = output.loss.detach()
        for key, p in learner.named_parameters():
            if p.grad is not None:
                seen[f"gradient {clock.step} {key}"] = p.grad.clone()
        return {}

    learner = train(
        {**METHODS, **VARIANTS}[name], encoder(), POLICY.build(3, 16), colours(), OPTIM, config(4), [record]
    )
    return {**seen, **learner.state_dict()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    failed = []
    alone = {name: trace(name) for name in (*METHODS, *VARIANTS)}  # no process group yet
    with process_group():
        for name, one in alone.items():
            two = trace(name)
            assert one.keys() == two.keys()
            worst = max(float((one[key] - two[key]).abs().max()) for key in one)
            ranks = gather(torch.cat([two[key].flatten().double() for key in two])[None])
            if rank() == 0:
                print(f"{name}: {len(one)} tensors, worst difference {worst:.1e}")
                if worst > 1e-8 or not bool((ranks == ranks[0]).all()):
                    failed.append(name)
    sys.exit(f"differ: {failed}" if failed else 0)
