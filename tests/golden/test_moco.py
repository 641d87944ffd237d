"""MoCo v2 against ssl-invariances' original (`inv_moco_core`, `inv_moco_step`, `inv_moco_schedule`)."""

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from vectors import Case, cases, check_close, load

from erlangen.losses import queue_logits
from erlangen.methods.base import Clock
from erlangen.methods.moco import MoCo, Nets
from erlangen.nets import Encoder, ema_
from erlangen.optim import SGD, Constant
from erlangen.views import View

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
EXACT = {"rtol": 0, "atol": 0}
CLAIMS = {
    "inv_moco_core*.npz": r"T|(queue|ptr)_before|(([qk]|grad_q)_raw|logits|labels|loss|queue_after|ptr_after)_\d+",
    "inv_moco_step*.npz": r"T|m|lr|sgd_momentum|weight_decay|queue_before|[qk]\d+\..+"
    r"|(im_[qk]|logits|loss|queue_after|ptr_after)_\d+",
    "inv_moco_schedule*.npz": "acc_logits|acc[15]|shuffle_(x|shuffled|unshuffle_idx|restored)",
}


class Given(Encoder):
    """The representation is the image: (n, d, 1, 1) to (n, d); it remembers what it saw."""

    layers, spec = (), {}

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim, self.seen = dim, []
        self.unused = nn.Parameter(torch.zeros(1))  # a moving average is one of something

    def forward(self, images: Tensor) -> Tensor:
        self.seen.append(images.flatten(1))
        return self.seen[-1]


class Tiny(Encoder):
    """The original's test network without its head."""

    layers, spec = (), {}

    def __init__(self, width: int, dim: int) -> None:
        super().__init__()
        self.dim, self.conv, self.bn = dim, nn.Linear(width, dim), nn.BatchNorm1d(dim)

    def forward(self, images: Tensor) -> Tensor:
        return self.bn(self.conv(images.flatten(1))).relu()


def view(x: Tensor) -> View:
    return View(x[:, :, None, None], {}, {}, torch.arange(len(x)))


def calls(case: Case) -> range:
    """The original's consecutive calls of which the file holds anything."""
    found = [re.fullmatch(r"(?:\w+_)?(?:raw|im_q|loss|logits|after)_(\d+)", name) for name in load(case.file)]
    return range(1 + max(int(m[1]) for m in found if m))


def start(nets: Nets, case: Case, pointer: int) -> None:
    """In the place of the drawn queue, the case's."""
    nets.double()
    assert nets.queue.shape == case["queue_before"].shape
    nets.queue.copy_(case["queue_before"])
    nets.pointer.fill_(pointer)


def identity(case: Case) -> tuple[MoCo, Nets]:
    """Encoders and heads are the identity."""
    dim, keys = case["queue_before"].shape
    method = MoCo(out=dim, queue=keys, temperature=case.value("T"))
    nets = method.build(Given(dim))
    nets.query.projector = nets.key.projector = nn.Identity()
    start(nets, case, int(case.value("ptr_before")))
    return method, nets


@cases("inv_moco_core*.npz")
def test_core(case):
    """Logits, labels, loss, gradient, queue and pointer of consecutive calls, past the queue's end too."""
    method, nets = identity(case)
    for s in calls(case):
        q, k = case[f"q_raw_{s}"].double().requires_grad_(), case[f"k_raw_{s}"].double()
        logits = queue_logits(q, k, nets.queue, method.temperature)
        output = method.loss(nets, [view(q), view(k)])
        output.loss.backward()
        check_close(logits, case[f"logits_{s}"], **CLOSE)
        check_close(output.loss, case[f"loss_{s}"], **CLOSE)
        check_close(F.cross_entropy(logits, case[f"labels_{s}"]), output.loss, rtol=1e-12, atol=0)
        check_close(q.grad, case[f"grad_q_raw_{s}"], **CLOSE)
        method.after_step(nets, output.carry, Clock(s + 1, len(calls(case)), 1))
        check_close(nets.queue, case[f"queue_after_{s}"], **CLOSE)
        check_close(nets.pointer, case[f"ptr_after_{s}"].reshape(1), **EXACT)


def weights(case: Case, which: str) -> dict[str, Tensor]:
    """The case's tensors of a branch under our names."""
    found = {}
    for name, x in case.under(f"{which}.").items():
        part, _, rest = name.partition(".")
        ours = f"encoder.{name}" if part in ("conv", "bn") else f"projector.{rest if '.' in rest else f'0.{rest}'}"
        found[ours] = x.double() if x.is_floating_point() else x
    return found


def check_branch(branch: nn.Module, case: Case, which: str) -> None:
    state, golden = branch.state_dict(), weights(case, which)
    assert state.keys() == golden.keys()
    for name, x in golden.items():
        check_close(state[name], x, **CLOSE)


@cases("inv_moco_step*.npz")
def test_steps(case):
    """Whole steps: head, moving average, BatchNorm, SGD over everything, queue.

    The original moves the key at the start of a step, before SGD moves the query; ours does at the end of the step, so
    that the very first move, which the original makes of networks that are equal, is made here by hand.
    """
    (width, dim), (out, keys) = case["q0.conv.weight"].T.shape, case["queue_before"].shape
    mlp_head, decay = case.holds("q0.fc.0.weight"), case.value("m")
    method = MoCo(out=out, queue=keys, decay=decay, temperature=case.value("T"), mlp_head=mlp_head)
    nets = method.build(Tiny(width, dim))
    start(nets, case, 0)
    nets.query.load_state_dict(weights(case, "q0"))
    nets.key.load_state_dict(weights(case, "k0"))
    ema_(nets.key, nets.query, decay)
    momentum, weight_decay = case.value("sgd_momentum"), case.value("weight_decay")
    optimizer = SGD(case.value("lr"), momentum, weight_decay=weight_decay, schedule=Constant()).build(nets)
    for s in calls(case):
        pair = [view(case[f"im_{x}_{s}"].double()) for x in "qk"]
        before = nets.queue.clone()
        output = method.loss(nets, pair)
        check_close(output.loss, case[f"loss_{s}"], **CLOSE)
        check_close(queue_logits(*output.embeddings, before, method.temperature), case[f"logits_{s}"], **CLOSE)
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        check_branch(nets.query, case, f"q{s + 1}")
        check_branch(nets.key, case, f"k{s + 1}")
        method.after_step(nets, output.carry, Clock(s + 1, len(calls(case)), 1))
        check_close(nets.queue, case[f"queue_after_{s}"], **CLOSE)
        check_close(nets.pointer, case[f"ptr_after_{s}"].reshape(1), **EXACT)


@cases("inv_moco_schedule*.npz", r"()acc\w+")
def test_accuracies(case):
    """How often the own key is the first, and among the first five: of unit vectors whose cosines are the logits."""
    logits = case["acc_logits"].double()
    cosines = 0.9 * logits / logits.abs().max()  # of the same order
    n = len(cosines)
    q = torch.eye(n, n + 1, dtype=torch.float64)  # so that column j of a matrix has the cosines of its rows
    k = q * cosines[:, :1]
    k[:, -1] = (1 - cosines[:, 0] ** 2).sqrt()
    queue = F.pad(cosines[:, 1:], (0, 0, 0, 1))
    check_close(queue_logits(q, k, queue, 1.0), cosines, rtol=1e-12, atol=1e-12)
    method = MoCo(out=n + 1, queue=n * (-(-queue.shape[1] // n)))
    nets = method.build(Given(n + 1)).double()
    nets.query.projector = nets.key.projector = nn.Identity()
    nets.queue = queue
    logs = method.loss(nets, [view(q), view(k)]).logs
    assert logs.keys() == {"acc1", "acc5"}
    for name, value in logs.items():
        check_close(value.reshape(1), case[name], **CLOSE)


@cases("inv_moco_schedule*.npz", r"()shuffle_\w+")
def test_shuffle(case, monkeypatch):
    """Key images reach their encoder in the drawn order, and the keys come back in the order of the images.

    All of it twice, one after the other: groups of two for BatchNorm, however many images there are.
    """
    x, shuffled, restored = (case[f"shuffle_{name}"].repeat(2, 1) for name in ("x", "shuffled", "restored"))
    order = case["shuffle_unshuffle_idx"].argsort()
    order = torch.cat([order, order + len(order)])
    monkeypatch.setattr(torch, "randperm", lambda n, device: order)
    method = MoCo(out=x.shape[1], queue=len(x), bn_groups=len(x) // 2)
    nets = method.build(Given(x.shape[1]))
    nets.query.projector = nets.key.projector = nn.Identity()
    output = method.loss(nets, [view(x), view(x)])
    check_close(nets.query.encoder.seen[0], x, **EXACT)
    check_close(nets.key.encoder.seen[0], shuffled, **EXACT)
    for keys in (output.carry["keys"], output.embeddings[1], output.features[1]):
        check_close(keys, restored, **EXACT)
