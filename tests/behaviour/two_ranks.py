"""What two ranks compute against one process, in float64; run by test_ranks.py under torchrun.

Prints a line `CLAIM: METHOD: worst difference` for each that holds; the exit status says whether all do.
"""

import os
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from small import METHODS, OPTIM, VARIANTS, colours, config, encoder, policy, transformer
from torch import Tensor

from erlangen.dist import gather, on_rank_0, rank
from erlangen.engine import process_group
from erlangen.optim import AdamW
from erlangen.train import train

ALL = {**METHODS, **VARIANTS}
FOLDERS = Path(sys.argv[1])
UNEVEN = {"drop_last": False, "batch_size": 22}  # 61 images: 22, 22 and 17, of which 9 and 8 on two ranks
Trace = dict[str, Tensor]


def whole(x: Tensor) -> Tensor:
    return x.full_tensor() if hasattr(x, "full_tensor") else x


def trace(
    name: str, n: int = 64, net: Any = None, folder: Path | None = None, steps: int = 4, stop: int = 0, **values: Any
) -> Trace:
    """Every loss and gradient and which images were seen, every parameter and buffer after all steps."""
    seen: Trace = {}

    def record(clock: Any, learner: Any, output: Any, batch: Any) -> dict[str, float]:
        if clock.step == stop:
            raise InterruptedError
        seen[f"loss {clock.step}"] = output.loss.detach()
        seen[f"images {clock.step}"] = gather(batch.index)
        seen[f"features {clock.step}"] = gather(output.features[0].detach())
        for key, p in learner.named_parameters():
            if p.grad is not None:
                seen[f"gradient {clock.step} {key}"] = whole(p.grad).clone()
        return {}

    optim = AdamW(lr=1e-3) if net else OPTIM
    settings = replace(config(steps), **{"save_every": 2, **values})
    data, views = colours(n), policy(ALL[name])
    learner = train(ALL[name], net or encoder(), views, data, optim, settings, [record], folder)
    return {**seen, **{f"state {key}": whole(t) for key, t in learner.state_dict().items()}}


def compare(claim: str, name: str, one: Trace, two: Trace) -> None:
    """All tensors agree to 1e-8, and those of the two ranks bitwise."""
    assert one.keys() == two.keys(), one.keys() ^ two.keys()
    worst = max(float((one[key].double() - two[key].double()).abs().max()) for key in one)
    ranks = gather(torch.cat([two[key].flatten().double() for key in two])[None])
    holds = worst < 1e-8 and bool((ranks == ranks[0]).all())
    if rank() == 0:
        print(f"{claim}: {name}: worst difference {worst:.1e}" if holds else f"FAILS {claim}: {name}: {worst:.1e}")
    failed.extend([] if holds else [f"{claim}: {name}"])


def fail(kind: type[Exception]) -> None:
    raise kind("disk full")


def half(name: str, folder: Path, **values: Any) -> None:
    """The first half of a run, which others go on with."""
    try:
        trace(name, folder=folder, stop=3, **values)
    except InterruptedError:
        pass


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    failed: list[str] = []
    first = os.environ["RANK"] == "0"
    # No process group yet: each process does half of what one alone computes, for both to read.
    for name in list(ALL)[int(os.environ["RANK"]) :: 2]:
        traces = {"": trace(name, steps=2)}
        if name in METHODS:
            traces |= {"uneven": trace(name, 61, epochs=1, **UNEVEN)}
            traces |= {"vit": trace(name, net=transformer(), steps=2)}
        torch.save(traces, FOLDERS / f"{name}.pt")
    whole_run = trace("BYOL", net=transformer())
    if first:
        half("BYOL", FOLDERS / "one", net=transformer())
    with process_group("cpu"):
        alone = {name: torch.load(FOLDERS / f"{name}.pt") for name in ALL}
        for name in ALL:
            compare("2 ranks", name, alone[name][""], trace(name, steps=2))
        for name in METHODS:
            two = trace(name, 61, epochs=1, **UNEVEN)
            compare("uneven", name, alone[name]["uneven"], two)
            seen = torch.cat([two[f"images {i}"] for i in (1, 2, 3)])
            assert sorted(seen.tolist()) == list(range(61)), "an image was dropped or duplicated"
            compare("FSDP2", name, alone[name]["vit"], trace(name, net=transformer(), steps=2, shard=True))
            exact = {"accumulate": 2, "accumulation": "exact"}
            compare("accumulated", name, alone[name]["vit"], trace(name, net=transformer(), steps=2, **exact))
        for kind in (ValueError, OSError):
            try:
                on_rank_0(partial(fail, kind))
            except kind as error:
                told = gather(torch.tensor([float(len(str(error)))]))
                if first:
                    print(f"{kind.__name__}: on both ranks" if told.tolist() == [9.0, 9.0] else "FAILS")
        ends = {key: t for key, t in whole_run.items() if key.startswith("state")}
        for how in ({}, {"shard": True}):
            half("BYOL", FOLDERS / f"two{len(how)}", net=transformer(), **how)
        two = trace("BYOL", net=transformer(), folder=FOLDERS / "one", shard=True)
        compare("resumed", "1 -> 2, FSDP2", ends, {key: t for key, t in two.items() if key.startswith("state")})
    for how in (0, 1):
        if first:
            one = trace("BYOL", net=transformer(), folder=FOLDERS / f"two{how}")
            compare("resumed", f"2{', FSDP2' * how} -> 1", ends, {key: one[key] for key in ends})
    sys.exit(f"differ: {failed}" if failed else 0)
