"""ReLIC and ReLICv2 as methods: which views meet, what is learned, what is logged."""

import math
from dataclasses import replace

import pytest
import torch
from small import colours, config, encoder

from erlangen import losses
from erlangen.methods.base import Clock, Learner, Output
from erlangen.methods.relic import ReLIC
from erlangen.methods.relicv2 import ReLICv2
from erlangen.optim import SGD
from erlangen.train import train
from erlangen.transforms.presets import ReLICViews
from erlangen.views import Batch, Draws, View, generator

SMALL = {"hidden": 32, "out": 16}
BOTH = pytest.mark.parametrize("method", [ReLIC(**SMALL), ReLICv2(**SMALL)], ids=["ReLIC", "ReLICv2"])


def views(large: int = 2, small: int = 2, n: int = 12) -> list[View]:
    """Large views of 32 pixels and small ones of 13."""
    data = colours(n, 32)
    return ReLICViews(large, small).build(3, 32)(Batch(data.images, torch.arange(n)), Draws(generator(0)))


def learner(method: ReLIC | ReLICv2) -> Learner:
    """Networks whose target is not the online one."""
    torch.manual_seed(1)
    net = Learner(method, encoder()).double()
    with torch.no_grad():
        for p in net.nets.target.parameters():
            p.add_(0.1 * torch.randn_like(p))
    return net


def doubled(given: list[View]) -> list[View]:
    return [replace(view, images=view.images.double()) for view in given]


def projections(net: Learner, given: list[View]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """What both networks make of every view."""
    with torch.no_grad():
        return tuple([branch(view.images)[1] for view in given] for branch in (net.nets.online, net.nets.target))


@BOTH
@pytest.mark.parametrize("large, small", [(2, 0), (2, 3), (3, 1), (1, 2)])
def test_the_target_sees_large_views_alone(method, large, small):
    """Any number of both kinds, of their own sizes: all pass the online network once, the large ones the target too."""
    net, seen = Learner(replace(method, large=large), encoder()), {"online": [], "target": []}
    for name, sizes in seen.items():
        getattr(net.nets, name).register_forward_pre_hook(lambda _, args, sizes=sizes: sizes.append(args[0].shape[-1]))
    output = net(views(large, small))
    assert seen == {"online": [32] * large + [13] * small, "target": [32] * large}
    assert len(output.features) == len(output.embeddings) == large + small and output.loss.isfinite()


def test_the_papers_kl_turns_the_pair_round():
    """Two tables of logits for large views; a small view, which no target sees, keeps the rows and columns of one."""
    net, given = learner(ReLIC(**SMALL, alpha=0.5, kl="two_pairs")), doubled(views(2, 1))
    output = net(given)
    x, y = ([torch.nn.functional.normalize(z) for z in zs] for zs in projections(net, given))
    contrast, kl = [], []
    for i, j in ((0, 1), (0, 2), (1, 0), (1, 2)):
        p = (x[j] @ y[i].T).log_softmax(1)
        q = (x[i] @ y[j].T).log_softmax(1) if j < 2 else (x[j] @ y[i].T).log_softmax(0).T
        contrast.append(-p.diagonal().mean())
        kl.append((q.exp() * (q - p)).sum() / len(p))
    assert output.logs["kl"].item() == pytest.approx(sum(kl).item() / 4, rel=1e-9)
    assert output.loss.item() == pytest.approx((sum(contrast) + 0.5 * sum(kl)).item() / 4, rel=1e-9)


def test_a_stop_changes_the_gradient_alone():
    """The loss is the same with and without, the gradient is not."""
    given, found = doubled(views(2, 0)), []
    for stop in (False, True):
        net = learner(ReLIC(**SMALL, alpha=5.0, stop_gradient=stop))
        loss = net(given).loss
        loss.backward()
        found.append((loss.item(), net.nets.online.projector[2].weight.grad))
    assert found[0][0] == found[1][0] and not torch.allclose(found[0][1], found[1][1], rtol=1e-3)


def test_relicv2_compares_every_pair_with_one_draw(monkeypatch):
    """Large with large, itself included, and small with large, from the same few images; others at the next step."""
    net, given, seen = learner(ReLICv2(**SMALL, negatives=3)), doubled(views(2, 1)), []
    original = losses.relicv2

    def spy(x, y, negatives, *args):
        seen.append((x.detach(), y, negatives))
        return original(x, y, negatives, *args)

    monkeypatch.setattr(losses, "relicv2", spy)
    torch.manual_seed(0)
    output = net(given)
    x, y = projections(net, given)
    assert len(seen) == 3 * 2 and all(torch.equal(draw, seen[0][2]) and len(draw) == 3 for _, _, draw in seen)
    pairs = [[torch.allclose(a, u) and torch.allclose(b, v) for u in x for v in y[:2]] for a, b, _ in seen]
    assert (torch.tensor(pairs) == torch.eye(6, dtype=torch.bool)).all()
    terms = [original(a, b, seen[0][2], 0.2)[0].item() for a in x for b in y[:2]]
    assert output.loss.item() == pytest.approx(sum(terms) / 6, rel=1e-9) and output.negatives == 3
    torch.manual_seed(1)
    net(given)
    assert not torch.equal(seen[-1][2], seen[0][2])


def test_relicv2_takes_all_negatives_where_there_are_few():
    """More negatives than the batch has: all others, and the gradient stays finite."""
    net = learner(ReLICv2(**SMALL, negatives=50))
    output = net(doubled(views(2, 0, 4)))
    output.loss.backward()
    assert output.negatives == 3 and all(p.grad.isfinite().all() for p in net.parameters() if p.requires_grad)


@pytest.mark.parametrize("contrast", ["softmax", "sigmoid"])
def test_the_bias_is_learned_where_it_counts(contrast):
    """Softmax: a multiplier of 1 and a bias that stays; sigmoid: 10 and -10, both learned."""
    net = learner(ReLIC(**SMALL, contrast=contrast))
    nets, sigmoid = net.nets, contrast == "sigmoid"
    assert nets.tau.exp().item() == pytest.approx(10 if sigmoid else 1) and nets.b.item() == (-10 if sigmoid else 0)
    net(doubled(views())).loss.backward()
    assert nets.tau.grad.item() != 0 and nets.b.requires_grad == sigmoid
    assert (nets.b.grad.item() != 0) if sigmoid else (nets.b.grad is None)


def test_logs(tmp_path):
    """metrics.jsonl holds the original's quantities: those of the step, before its update."""
    from erlangen.journal import read

    seen: list[tuple[float, float]] = []
    method = ReLIC(**SMALL, alpha=0.5, contrast="sigmoid", decay=0.9, after=0)

    def record(clock: Clock, net: Learner, output: Output, batch: Batch) -> dict[str, float]:
        seen.append((net.nets.tau.exp().item(), net.nets.b.item()))
        return {}

    folder = tmp_path / "run"
    settings = replace(config(4), log_every=1)
    train(method, encoder(), ReLICViews(2, 0).build(3, 16), colours(), SGD(lr=0.01), settings, [record], folder)
    lines = read(folder / "metrics.jsonl")
    assert len(lines) == 4
    # 2 epochs of 2 steps: K = 2 (2 + 2) - 0; step 0 copies and keeps gamma_0, then step g leaves gamma(g)
    gamma = [0.9, *(1 - 0.1 * (math.cos(math.pi * step / 8) + 1) / 2 for step in (1, 2, 3))]
    before = [(10.0, -10.0), *seen[:3]]
    for line, g, (temp, b) in zip(lines, gamma, before, strict=True):
        assert line["gamma"] == pytest.approx(g) and line["alpha"] == 0.5
        assert (line["temp"], line["b"]) == pytest.approx((temp, b))
        assert line["loss"] > 0.5 * line["kl"] > 0 and 0 <= line["top1"] <= line["top5"] <= 100


def test_retrieval_is_logged_of_view_0_against_view_1():
    """How often the online network's view 0 finds its image among the target's views 1."""
    net, given = learner(ReLIC(**SMALL)), doubled(views(2, 1))
    logs = net(given).logs
    x, y = projections(net, given)
    expected = losses.retrieval(x[0], y[1])
    assert (logs["top1"].item(), logs["top5"].item()) == (expected[0].item(), expected[1].item())
    assert 0 < logs["top5"] < 100


def test_which_encoder_is_kept():
    """ReLIC's target, as in the original; ReLICv2's online network."""
    relic, v2 = learner(ReLIC(**SMALL)), learner(ReLICv2(**SMALL))
    assert relic.encoder is relic.nets.target.encoder and v2.encoder is v2.nets.online.encoder


@pytest.mark.parametrize("step, decay", [(1, 0.9), (51, 0.95), (76, 0.98535534), (100, 0.99997533)])
def test_relicv2_target_follows(step, decay):
    """It moves by 1 - decay, which half a cosine takes to 0, and its statistics are its own."""
    net = learner(ReLICv2(**SMALL, decay=0.9))
    online, target = net.nets.online.projector[0].weight, net.nets.target.projector[0].weight
    before, statistics = (online - target).detach(), net.nets.target.projector[1].running_mean.clone()
    net.nets.online.projector[1].running_mean.add_(1)
    net.after_step({}, Clock(step, 100, 10))
    assert torch.allclose(online - target, decay * before, rtol=1e-7)
    assert torch.equal(net.nets.target.projector[1].running_mean, statistics)


@pytest.mark.parametrize(
    "values, message",
    [
        ({"alpha": -1.0}, r"`alpha` \(=-1.0\)"),
        ({"alpha": math.nan}, r"`alpha` \(=nan\)"),
        ({"decay": 1.5}, r"`decay` \(=1.5\)"),
        ({"after": -1}, r"`after` \(=-1\)"),
        ({"every": 0}, r"`every` \(=0\)"),
        ({"logits": (0.0, 5.0, 0.0)}, r"`logits` \(=\(0.0, 5.0, 0.0\)\)"),
        ({"logits": (6.0, 5.0, 0.0)}, r"the first must lie in \(0, the second\]"),
        ({"logits": (1.0, 5.0, math.inf)}, "the last be finite"),
    ],
)
def test_values_that_are_refused(values, message):
    """Each is named with what it is."""
    with pytest.raises(ValueError, match=message):
        ReLIC(**values)


@pytest.mark.parametrize("name", ["contrast", "pairs", "kl"])
def test_choices_that_do_not_exist(name, unchecked):
    """The error lists those that do."""
    with pytest.raises(ValueError, match=f"no {name} 'other'; there are: "):
        ReLIC(**{name: "other"})


@pytest.mark.parametrize("name, value", [("temperature", 0.0), ("alpha", -1.0), ("decay", 2.0), ("negatives", 0)])
def test_values_that_relicv2_refuses(name, value):
    """Each is named with what it is."""
    with pytest.raises(ValueError, match=rf"`{name}` \(={value}\)"):
        ReLICv2(**{name: value})


@BOTH
def test_views_that_do_not_fit(method):
    """One view has nothing to be compared with; three large ones must be there to be seen."""
    with pytest.raises(ValueError, match="gives 1"):
        Learner(method, encoder())(views(1, 0))
    with pytest.raises(ValueError, match=r"`large` \(=3\).*gives 2"):
        Learner(replace(method, large=3), encoder())(views(2, 0))


@BOTH
def test_one_image_is_refused(method):
    """A contrast needs another image."""
    net = Learner(method, encoder()).eval()
    with pytest.raises(ValueError, match="the batch has 1, the least is 2"):
        net(views(2, 0, 1))


@BOTH
@pytest.mark.parametrize("width", [("hidden", 0), ("out", -1)])
def test_widths_that_are_none(method, width):
    """A head's width is at least 1."""
    with pytest.raises(ValueError, match="widths of a head.*at least 1"):
        replace(method, **dict([width])).build(encoder())
