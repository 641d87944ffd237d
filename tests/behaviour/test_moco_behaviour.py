"""MoCo's queue, moving average and groups; the heads and weights of VICReg and Barlow Twins."""

import copy
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small import METHODS, OPTIM, POLICY, colours, config, encoder, views
from torch import nn

from erlangen import journal
from erlangen.methods.barlow import BarlowTwins
from erlangen.methods.base import Clock, Learner
from erlangen.methods.moco import MoCo
from erlangen.methods.vicreg import VICReg
from erlangen.split_norm import SplitBatchNorm
from erlangen.train import train

CLOCK = Clock(1, 10, 5)
TINY = MoCo(out=8, queue=12)


def learner(method, **values):
    torch.manual_seed(1)
    return Learner(replace(method, **values), encoder()).train()


def test_the_queue_is_a_ring():
    """Keys of unit length take the places of the oldest, past the end too; all the others stay."""
    net = learner(TINY)
    queue, place = net.nets.queue.clone(), 0
    for n in (4, 6, 6, 3, 12):  # each a divisor of 12
        keys = torch.randn(n, 8)
        net.after_step({"keys": keys}, CLOCK)
        for key in keys:
            queue[:, place % 12] = key / key.norm()
            place += 1
        assert torch.allclose(net.nets.queue, queue) and net.nets.pointer.tolist() == [place % 12]


def test_the_first_queue_is_random_and_of_unit_length():
    """Columns of length 1, drawn by torch's generator when the networks are built."""
    first, again = learner(TINY, queue=500).nets, learner(TINY, queue=500).nets
    assert first.queue.shape == (8, 500) and torch.allclose(first.queue.norm(dim=0), torch.ones(500))
    assert first.queue.mean().abs() < 0.05 and torch.equal(first.queue, again.queue)
    assert first.pointer.dtype == torch.int64 and first.pointer.tolist() == [0]


def test_the_key_network_follows():
    """It starts equal, and moves by 1 - decay; BatchNorm's statistics are its own."""
    nets = learner(TINY, decay=0.75).nets
    method = replace(TINY, decay=0.75)
    assert all(torch.equal(a, b) for a, b in zip(nets.query.parameters(), nets.key.parameters(), strict=True))
    with torch.no_grad():
        for p in nets.query.parameters():
            p.add_(1.0)
        nets.query.encoder.norm.running_mean.add_(1.0)
    method.after_step(nets, {"keys": torch.randn(4, 8)}, CLOCK)
    for q, k in zip(nets.query.parameters(), nets.key.parameters(), strict=True):
        assert torch.allclose(q - k, torch.full_like(q, 0.75), atol=1e-6)
    assert torch.equal(nets.key.encoder.norm.running_mean, nets.query.encoder.norm.running_mean - 1)


def test_the_loss_tells_the_key_from_the_queue():
    """Computed by hand from both networks' outputs, with the accuracies in percent."""
    net, (view1, view2) = learner(TINY), views(12)
    q = F.normalize(net.nets.query(view1.images)[1], dim=1)
    k = F.normalize(net.nets.key(view2.images)[1], dim=1)
    own = (q * k).sum(1, keepdim=True) / 0.2
    logits = torch.cat([own, q @ net.nets.queue / 0.2], 1)
    output = net([view1, view2])
    assert torch.allclose(output.loss, (logits.logsumexp(1) - own[:, 0]).mean(), atol=1e-5)
    for r in (1, 5):
        best = logits.topk(r).indices
        assert output.logs[f"acc{r}"].item() == pytest.approx(100 * (best == 0).any(1).float().mean().item())
    assert output.negatives == 12


def test_it_learns_what_a_fixed_queue_asks():
    """Twenty steps on one batch, the keys left as they are, halve the loss, and acc1 comes near 100."""
    net, given = learner(METHODS["MoCo"], queue=256), views(8)
    optimizer = torch.optim.Adam(net.nets.query.parameters(), 1e-2)
    outputs = []
    for _ in range(20):
        outputs.append(net(given))
        optimizer.zero_grad()
        torch.autograd.backward(outputs[-1].loss)
        optimizer.step()
    assert outputs[-1].loss < outputs[0].loss / 2 and outputs[-1].logs["acc1"] > 90


def test_logs_reach_metrics(tmp_path):
    """acc1 and acc5 of every logging step, and how many negatives there were."""
    train(METHODS["MoCo"], encoder(), POLICY.build(3, 16), colours(), OPTIM, config(2), folder=tmp_path)
    (line,) = journal.read(tmp_path / "metrics.jsonl")
    assert 0 <= line["acc1"] <= line["acc5"] <= 100
    assert line["negatives_per_step"] == METHODS["MoCo"].queue


@pytest.mark.parametrize("mlp_head, kinds", [(True, "Linear ReLU Linear"), (False, "Linear")])
def test_the_head(mlp_head, kinds):
    """As wide as the encoder inside, with biases; in v1 linear."""
    head = MoCo(out=8, queue=16, mlp_head=mlp_head).build(encoder()).query.projector
    assert [type(layer).__name__ for layer in head] == kinds.split()
    linear = [layer for layer in head if isinstance(layer, nn.Linear)]
    assert [layer.in_features for layer in linear] == [encoder().dim] * len(linear)
    assert linear[-1].out_features == 8 and all(layer.bias is not None for layer in linear)


def test_groups_are_the_gpus_of_the_original(monkeypatch):
    """Two groups: queries in order, shuffled keys, each half through a copy of the network on its own."""
    net, (view1, view2) = learner(TINY, bn_groups=2), views(12)
    alone = [copy.deepcopy(net) for _ in range(2)]
    order = torch.randperm(12, generator=torch.Generator().manual_seed(3))
    monkeypatch.setattr(torch, "randperm", lambda n, device: order)
    output = net([view1, view2])
    plain = [learner(TINY) for _ in alone]  # with torch's own BatchNorm
    halves = [(view1.images[:6], view2.images[order[:6]]), (view1.images[6:], view2.images[order[6:]])]
    q, shuffled = (
        torch.cat([branch(gpu.nets)(half[i])[1] for gpu, half in zip(plain, halves, strict=True)])
        for i, branch in enumerate((lambda nets: nets.query, lambda nets: nets.key))
    )
    k = torch.empty_like(shuffled)
    k[order] = shuffled
    assert torch.allclose(output.embeddings[0], q, atol=1e-5) and torch.allclose(output.carry["keys"], k, atol=1e-5)
    for which in ("query", "key"):
        ours = getattr(net.nets, which).encoder.norm
        theirs = [getattr(gpu.nets, which).encoder.norm for gpu in plain]
        assert isinstance(ours, SplitBatchNorm)
        for name in ("running_mean", "running_var"):
            mean = torch.stack([norm.get_buffer(name) for norm in theirs]).mean(0)
            assert torch.allclose(ours.get_buffer(name), mean, atol=1e-6)


def test_the_order_of_keys_is_drawn_anew():
    """From torch's generator: the same seed gives the same keys, another one others; in one group nothing is drawn."""
    for groups, differ in ((1, False), (3, True)):
        net, given = learner(TINY, bn_groups=groups), views(12)
        keys = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            keys.append(net(given).carry["keys"])
        assert torch.equal(keys[0], keys[1]) and torch.equal(keys[0], keys[2]) != differ


def test_in_bfloat16_the_queue_stays_exact():
    """Keys of bfloat16 networks are normalised in the precision of the queue."""
    torch.manual_seed(1)
    net = Learner(TINY, encoder(), "bf16").train()
    output = net(views(12))
    assert output.carry["keys"].dtype == torch.bfloat16 and output.loss.dtype == torch.float32
    net.after_step(output.carry, CLOCK)
    assert net.nets.queue.dtype == torch.float32
    assert torch.allclose(net.nets.queue.norm(dim=0), torch.ones(12), atol=1e-6)


def test_a_batch_that_the_queue_does_not_hold_is_refused():
    """Before anything is computed; and where micro-batches fit but the batch does not, before anything is written."""
    net = learner(TINY)
    with pytest.raises(ValueError, match=r"`queue` \(=12\) must be a multiple of the batch.* \(=8 images"):
        net(views(8))
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(ValueError, match=r"`queue` \(=12\) .* \(=24 images"):
        net.after_step({"keys": torch.randn(24, 8)}, CLOCK)
    assert all(torch.equal(x, before[name]) for name, x in net.state_dict().items())
    with pytest.raises(ValueError, match=r"`bn_groups` \(=5\) must divide the batch.* \(=12 images"):
        learner(TINY, bn_groups=5)(views(12))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MoCo(temperature=0.0), r"`temperature` \(=0.0\) above 0"),
        (lambda: MoCo(decay=1.5), r"`decay` \(=1.5\) must lie in \[0, 1\]"),
        (lambda: MoCo(queue=0), r"`queue` \(=0\) .* at least 1"),
        (lambda: MoCo(bn_groups=0), r"`bn_groups` \(=0\) must be at least 1"),
        (lambda: MoCo(out=0, queue=4).build(encoder()), r"the widths of a head \(.*, 0\)"),
        (lambda: VICReg(variance=-1.0), r"`variance` \(=-1.0\)"),
        (lambda: VICReg(similarity=float("nan")), r"`similarity` \(=nan\)"),
        (lambda: VICReg(covariance=float("inf")), r"`covariance` \(=inf\)"),
        (lambda: VICReg(hinge="men"), "no hinge 'men'; there are: mean, sum. Did you mean 'mean'"),
        (lambda: BarlowTwins(weight=-0.1), r"`weight` \(=-0.1\)"),
        (lambda: BarlowTwins(scale=0.0), r"`scale` \(=0.0\)"),
    ],
)
def test_impossible_values_are_refused(make, message, unchecked):
    """By name and value."""
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("method", [VICReg(hidden=(32, 24), out=16), BarlowTwins(hidden=(32, 24), out=16)])
def test_expanders(method):
    """Linear without bias, BatchNorm, ReLU, twice; then a Linear without bias."""
    head = method.build(encoder()).projector
    assert [type(layer).__name__ for layer in head] == ["Linear", "BatchNorm1d", "ReLU"] * 2 + ["Linear"]
    linear = [layer for layer in head if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [32, 24, 16] and all(layer.bias is None for layer in linear)


def test_vicreg_weighs_its_terms():
    """The loss is the weighted sum of what is logged; the summed hinge is twice the mean."""
    method = VICReg(3.0, 5.0, 7.0, hidden=(32,), out=16)
    logs = []
    for hinge in ("mean", "sum"):
        output = learner(method, hinge=hinge)(views())
        found = output.logs
        expected = 3 * found["invariance"] + 5 * found["variance"] + 7 * found["covariance"]
        assert torch.allclose(output.loss, expected) and all(x > 0 for x in found.values())
        logs.append(found)
    assert logs[1]["variance"] == 2 * logs[0]["variance"] and logs[1]["covariance"] == logs[0]["covariance"]


def test_barlow_twins_weighs_its_terms():
    """scale * (invariance + weight * redundancy)."""
    output = learner(BarlowTwins(weight=0.5, scale=0.1, hidden=(32,), out=16))(views())
    invariance, redundancy = output.logs["invariance"], output.logs["redundancy"]
    assert torch.allclose(output.loss, 0.1 * (invariance + 0.5 * redundancy)) and redundancy > 0
