"""What the contrastive losses cost in memory and time, with their backward: in blocks, plain, and lightly's.

Every figure is that of a child process: the peak of its memory less what it held before the loss, on the CPU, and the
median time of three passes. 128 dimensions, float32. The plain form and lightly's NTXentLoss are measured at 4,096
images, for at 16,384 their tables would fill the machine: one of NT-Xent's is 4 GiB there, and the backward holds
several. MoCo's table has 65,537 columns. Targets: below 1.5 GB extra at 16,384 images; at 4,096 less memory than the
plain form, in at most twice its time. Needs the extra `[bench]`.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import publish, row, seconds

DIM, QUEUE, SMALL, LARGE = 128, 65536, 4096, 16384
LIMIT = 1.5  # GB
REPEATS = 3
Loss = Callable[[Tensor, Tensor], Tensor]


def nt_xent_plain(z1: Tensor, z2: Tensor) -> Tensor:
    z = F.normalize(torch.cat([z1, z2]))
    logits = (z @ z.T / 0.1).fill_diagonal_(float("-inf"))
    return F.cross_entropy(logits, torch.arange(len(z)).roll(len(z1)))


def nt_xent_lightly(z1: Tensor, z2: Tensor) -> Tensor:
    from lightly.loss import NTXentLoss

    loss: Tensor = NTXentLoss(temperature=0.1)(z1, z2)
    return loss


def relic_plain(z1: Tensor, z2: Tensor) -> Tensor:
    logits = F.normalize(z1) @ F.normalize(z2).T * 5
    p, q = logits.log_softmax(1), logits.T.log_softmax(1)
    return F.cross_entropy(logits, torch.arange(len(z1))) + F.kl_div(p, q, reduction="batchmean", log_target=True)


def moco_plain(z1: Tensor, z2: Tensor) -> Tensor:
    q, k, queue = F.normalize(z1), F.normalize(z2).detach(), F.normalize(torch.randn(DIM, QUEUE), dim=0)
    logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue], 1) / 0.2
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long))


def ours(name: str) -> Loss:
    from erlangen import losses

    def relic(z1: Tensor, z2: Tensor) -> Tensor:
        return losses.relic(z1, z2, torch.tensor([5.0]).log(), torch.zeros(1))[0]

    def moco(z1: Tensor, z2: Tensor) -> Tensor:
        return losses.moco(z1, z2, F.normalize(torch.randn(DIM, QUEUE), dim=0), 0.2)

    known: dict[str, Loss] = {"nt_xent": lambda a, b: losses.nt_xent(a, b, 0.1), "relic": relic, "moco": moco}
    return known[name]


PEERS: dict[str, Loss] = {
    "nt_xent": nt_xent_plain,
    "relic": relic_plain,
    "moco": moco_plain,
    "lightly": nt_xent_lightly,
}


def child(which: str, name: str, images: int) -> None:
    """Prints the peak in GB above what was held before, and the median seconds of REPEATS passes."""
    loss = ours(name) if which == "ours" else PEERS[name]
    torch.manual_seed(0)
    z = [torch.randn(images, DIM, requires_grad=True) for _ in range(2)]

    def step(n: int) -> None:
        torch.autograd.backward(loss(z[0][:n], z[1][:n]))

    step(8)  # what the first call of anything allocates
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = [seconds(lambda: step(images)) for _ in range(REPEATS)]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([peak * 1024 / 1e9, median(times)]))


def measured(which: str, name: str, images: int) -> tuple[float, float]:
    command = [sys.executable, "-m", "benchmarks.losses", "child", which, name, str(images)]
    peak, time = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return peak, time


def main() -> None:
    rows: list[dict[str, Any]] = []
    for name in ("nt_xent", "relic", "moco"):
        peak, time = measured("ours", name, SMALL)
        for label, peer in [(f"{name}, plain", name), *([("NTXentLoss", "lightly")] if name == "nt_xent" else [])]:
            theirs = measured("peer", peer, SMALL)
            case = f"{name}, {SMALL:,} images"
            rows.append(row(f"{case}, memory", label, peak, theirs[0], "GB at the peak", theirs[0] / peak, 1.0))
            rows.append(row(f"{case}, time", label, time, theirs[1], "seconds", theirs[1] / time, 0.5))
        peak, time = measured("ours", name, LARGE)
        case = f"{name}, {LARGE:,} images, memory ({time:.1f} s)"
        rows.append(row(case, "the limit", peak, LIMIT, "GB at the peak", LIMIT / peak, 1.0))
    publish("losses", rows, ["lightly"])


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        child(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    else:
        main()
