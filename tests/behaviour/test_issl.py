"""CISSL, DISSL, DINO and their monitors in training: what is logged, what moves when, what is refused."""

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from small import OPTIM, POLICY, colours, config, encoder, shrink

from erlangen.methods.base import Clock, Learner, Output
from erlangen.methods.cissl import CISSL
from erlangen.methods.dino import DINO
from erlangen.methods.dissl import DISSL
from erlangen.methods.simclr import SimCLR
from erlangen.observers.etf import ETF
from erlangen.recipes.issl import ISSL_DINO, RECIPES
from erlangen.train import train
from erlangen.transforms.presets import SimCLRViews
from erlangen.views import Batch, Draws, View, generator

SMALL = {"DISSL": shrink(DISSL()), "DINO": shrink(DINO()), "ISSL's DINO": shrink(ISSL_DINO)}
methods = pytest.mark.parametrize("name", SMALL)


def views(local: int = 0, n: int = 16, seed: int = 0) -> list[View]:
    """Two views, and small crops besides."""
    data = colours(n)
    return SimCLRViews(local=local).build(3, 16)(Batch(data.images, torch.arange(n)), Draws(generator(seed)))


def learner(method) -> Learner:
    torch.manual_seed(1)
    return Learner(method, encoder())


@methods
def test_crops(name):
    """The student sees all crops, the teacher the large ones; crops of one size go through an encoder together."""
    net = learner(SMALL[name])
    seen: dict[str, list[int]] = {}
    for key, module in net.nets.named_modules():
        if key.endswith(("encoder", "projector", "predictor")):
            module.register_forward_hook(lambda m, inputs, out, key=key: seen.setdefault(key, []).append(len(out)))
    output = net(views(local=3))
    student, head, teacher = (
        ("encoder", "predictor", "projector")
        if name == "DISSL"
        else ("student.encoder", "student.projector", "teacher.projector")
    )
    assert seen[student] == [32, 48] and seen[head] == [80] and seen[teacher] == [32]
    assert name == "DISSL" or seen["teacher.encoder"] == [32]
    assert len(output.features) == len(output.embeddings) == 5


@pytest.mark.parametrize("together, seen", [(True, [32]), (False, [16, 16])])
def test_views_go_through_cissls_nets_together_or_one_by_one(together, seen):
    """What the encoder and both heads are given, two views of 16 images, and so what BatchNorm's statistics are of."""
    net, found = learner(replace(shrink(CISSL()), one_batch=together)), []
    for module in (net.nets.encoder, net.nets.projector, net.nets.predictor):
        module.register_forward_hook(lambda m, inputs, out: found.append(len(out)))
    net(views())
    assert sorted(found) == sorted(3 * seen)


@methods
def test_too_few_views_are_named(name):
    """One view, or fewer than the teacher is to see, gets a message with both numbers."""
    with pytest.raises(ValueError, match=r"`large` \(=2\).*gives 1"):
        learner(SMALL[name])(views()[:1])
    with pytest.raises(ValueError, match=r"`large` \(=3\).*gives 2"):
        learner(replace(SMALL[name], large=3))(views())


@pytest.mark.parametrize("method", [CISSL(), DISSL(maximality=0.0, determinism=0.0)], ids=lambda m: type(m).__name__)
def test_teachers_learn_from_their_students(method):
    """Nothing is detached: what compares student and teacher alone moves the teacher's head too."""
    net = learner(shrink(method))
    torch.autograd.backward(net(views()).loss)
    assert all(p.grad.abs().sum() > 0 for p in net.nets.projector.parameters())


def test_the_marginal_of_all_ranks_or_of_each(monkeypatch):
    """`global` takes the entropy of the mean over ranks (here all in one class), `device` that of its own images."""
    monkeypatch.setattr("erlangen.methods.dissl.mean_over_ranks", lambda x: F.one_hot(x.argmax(), len(x)).to(x))
    whole, own = (learner(replace(SMALL["DISSL"], marginal=m))(views()).logs["H_M"] for m in ("global", "device"))
    assert whole < 1e-5 and own > 1


def test_the_teachers_temperature_is_half_the_students_unless_given():
    """None is half of `temperature`, whatever that is."""
    method, given = replace(SMALL["DISSL"], temperature=0.6), views()
    unset, half, same = (learner(replace(method, assign_temperature=t))(given).loss for t in (None, 0.3, 0.6))
    assert torch.equal(unset, half) and not torch.isclose(unset, same)


def test_the_teacher_warms_up():
    """Step k of W has the weight (k + 2) / W, 1 from the last but one on; it follows from the clock alone."""
    method = replace(shrink(DISSL()), warmup=5)
    net, given = learner(method), views()
    plain = learner(shrink(DISSL()))(given)
    for step, ramp in enumerate((2 / 5, 3 / 5, 4 / 5, 1.0, 1.0, 1.0)):
        if step:
            net.after_step({}, Clock(step, 100, 10))
        assert net.nets.ramp.item() == pytest.approx(ramp)
    net.after_step({}, Clock(1, 100, 10))  # back again: no counter
    d = plain.logs["CE_distill_aug"]
    n = plain.logs["KL_invariance"] + plain.logs["H_Mlz"]
    expected = 0.6 * d - method.maximality * plain.logs["H_M"] + method.determinism * n / 0.6
    assert net(given).loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_dinos_last_layer_is_frozen_in_the_first_epoch():
    """With the recipe's optimiser: the prototypes stay bitwise for an epoch, then move; all else moves at once."""
    optim = replace(OPTIM, groups=RECIPES["dino-issl"].optim.groups)
    kept: list[dict[str, torch.Tensor]] = []

    def record(clock, net, output, batch):
        kept.append({k: p.detach().clone() for k, p in net.nets.student.named_parameters()})
        return {}

    train(SMALL["ISSL's DINO"], encoder(), POLICY.build(3, 16), colours(), optim, config(4), [record])
    first = learner(SMALL["ISSL's DINO"]).nets.student.state_dict()
    assert kept[0].keys() <= first.keys()
    last = "projector.prototypes.weight_v"
    one, two, three, _ = kept  # an epoch has two steps
    assert torch.equal(one[last], two[last]) and not torch.equal(two[last], three[last])
    assert not torch.equal(one["projector.bottleneck.weight"], two["projector.bottleneck.weight"])


def test_dino_trains_for_fewer_epochs_than_its_warm_up():
    """Two epochs of a warm-up of 50: the teacher's temperature has taken one step of 49."""
    net = train(SMALL["ISSL's DINO"], encoder(), POLICY.build(3, 16), colours(), OPTIM, config(2))
    assert net.nets.temperature.item() == pytest.approx(0.04 + 0.03 / 49)


def test_dinos_teacher_begins_as_the_student_or_with_a_head_of_its_own():
    """Published: a copy of all. ISSL: a copy of the encoder, another head."""
    for name, same in (("DINO", True), ("ISSL's DINO", False)):
        nets = learner(SMALL[name]).nets
        for part, equal in (("encoder", True), ("projector", same)):
            pairs = zip(*(b.get_submodule(part).parameters() for b in (nets.student, nets.teacher)), strict=True)
            assert all(torch.equal(a, b) for a, b in pairs if a.ndim > 1) == equal


def test_dinos_evaluated_encoder():
    """The teacher's as published, the student's in ISSL."""
    published, issl = learner(SMALL["DINO"]), learner(SMALL["ISSL's DINO"])
    assert published.encoder is published.nets.teacher.encoder and issl.encoder is issl.nets.student.encoder


def test_dinos_center_moves_once_from_both_views_or_twice():
    """After a step by the mean of both teachers' logits; in ISSL by view 2's, then by view 1's, and between the two."""
    for name in ("DINO", "ISSL's DINO"):
        net = learner(SMALL[name])
        carry = net(views()).carry
        one, two = carry["teachers"].unbind(1)
        net.after_step(carry, Clock(1, 10, 5))
        twice = 0.9 * 0.1 * two.mean(0) + 0.1 * one.mean(0)
        expected = 0.1 * torch.cat([one, two]).mean(0) if name == "DINO" else twice
        assert torch.allclose(net.nets.center.value, expected, atol=1e-6)
        assert net.method.couples() == (name != "DINO")


def test_dino_learns_what_a_fixed_teacher_says():
    """With a teacher and a center that stay, the loss falls."""
    losses: list[float] = []

    def record(clock, net, output, batch):
        losses.append(float(output.loss.detach()))
        return {}

    method = replace(SMALL["DINO"], decay=1.0, center_momentum=1.0, temperature=1.0, teacher_temperature=0.1)
    train(method, encoder(), POLICY.build(3, 16), colours(), OPTIM, config(10), [record])
    assert sum(losses[-3:]) < sum(losses[:3])


def monitored(monitor: ETF, features: list[torch.Tensor], step: int = 1, steps: int = 10):
    batch = Batch(torch.zeros(len(features[0]), 3, 16, 16), torch.arange(len(features[0])))
    return monitor(Clock(step, steps, 5), learner(shrink(SimCLR())), Output(torch.zeros(()), features, []), batch)


def test_etf_is_the_table_of_cosines():
    """The means of the diagonal and of the rest of a table that the monitor never makes."""
    x, y = torch.randn(2, 7, 5, dtype=torch.float64)
    monitor = ETF(1, 5)
    monitor.running_mean.normal_()
    c = monitor.running_mean.clone()
    u = F.normalize(x - (x.mean(0) + c) / 2, dim=1)
    c = 0.9 * c + 0.1 * x.mean(0)
    table = u @ F.normalize(y - (y.mean(0) + c) / 2, dim=1).T
    logs = monitored(monitor, [x, y])
    assert logs["cosine_pos"] == pytest.approx(table.diagonal().mean().item())
    assert logs["cosine_neg"] == pytest.approx(table[~torch.eye(7, dtype=torch.bool)].mean().item())
    assert torch.allclose(monitor.running_mean, 0.9 * c + 0.1 * y.mean(0))


def test_etf_of_two_opposite_images():
    """One image at +1, one at -1, alike in both views: cosines 1 and -1, the least that the distance can be."""
    z = torch.tensor([[1.0], [-1.0]])
    assert monitored(ETF(1, 1), [z, z]) == {"cosine_pos": 1.0, "cosine_neg": -1.0, "dist_to_etf": -1.0}


def test_etf_speaks_when_it_is_due_and_always_moves():
    """Every third step and at the end; its running mean, in its state, moves at every step."""
    monitor, z = ETF(3, 2), torch.ones(2, 2)
    spoke = []
    for step in range(1, 8):
        before = monitor.state_dict()["running_mean"].clone()
        spoke += [step] if monitored(monitor, [z, z], step, steps=7) else []
        assert not torch.equal(before, monitor.state_dict()["running_mean"])
    assert spoke == [3, 6, 7]


def test_etf_needs_two_views():
    """A method of a single view is told to leave it out."""
    with pytest.raises(ValueError, match="`etf` compares two views, the method has 1"):
        monitored(ETF(1, 2), [torch.ones(2, 2)])


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: CISSL(temperature=0.0), r"`temperature` \(=0.0\)"),
        (lambda: CISSL(temperature=math.inf), r"`temperature` \(=inf\)"),
        (lambda: CISSL(student="mpl"), "no student 'mpl'.*mlp"),
        (lambda: CISSL(init="isl"), "no init 'isl'.*issl"),
        (lambda: SimCLR(init="isl"), "no init 'isl'.*issl"),
        (lambda: DISSL(temperature=0.0), r"`temperature` \(=0.0\)"),
        (lambda: DISSL(assign_temperature=0.0), r"`assign_temperature` \(=0.0\)"),
        (lambda: DISSL(temperature=math.inf), r"`temperature` \(=inf\)"),
        (lambda: DISSL(maximality=float("nan")), r"`maximality` \(=nan\)"),
        (lambda: DISSL(classes=1), r"`classes` \(=1\).*2 or more"),
        (lambda: DISSL(large=1), r"`large` \(=1\).*2 or more"),
        (lambda: DISSL(warmup=-1), r"`warmup` \(=-1\)"),
        (lambda: DISSL(marginal="local"), "no marginal 'local'.*global, device"),
        (lambda: DISSL(shortcut="middle").build(encoder()), "no shortcut 'middle'"),
        (lambda: DISSL(shortcut="after", bottleneck=None).build(encoder()), r"`shortcut` \(=after\)"),
        (lambda: DINO(temperature=-1.0), r"`temperature` \(=-1.0\)"),
        (lambda: DINO(final_temperature=0.0), r"`final_temperature` \(=0.0\)"),
        (lambda: DINO(decay=1.5), r"`decay` \(=1.5\)"),
        (lambda: DINO(temperature=math.inf), r"`temperature` \(=inf\)"),
        (lambda: DINO(center_momentum=5.0), r"`center_momentum` \(=5.0\) must lie in \[0, 1\]"),
        (lambda: DINO(warmup_epochs=-3), r"`warmup_epochs` \(=-3\)"),
        (lambda: DINO(ticks=0), r"`ticks` \(=0\)"),
        (lambda: DINO(large=-1), r"`large` \(=-1\)"),
        (lambda: DINO(sphere="hiden"), "no sphere 'hiden'.*hidden"),
        (lambda: DINO(centering="never"), "no centering 'never'"),
        (lambda: DINO(evaluated="both"), "no evaluated 'both'"),
    ],
)
def test_values_that_cannot_be_are_named(build, message, unchecked):
    """A wrong value is refused where it is given, by name, with what is allowed."""
    with pytest.raises(ValueError, match=message):
        build()
