"""What holds for every method, whichever files `erlangen/methods` holds."""

import warnings
from dataclasses import replace

import pytest
import torch
from small import FALLING, METHODS, OPTIM, built, colours, config, encoder, policy, views

from erlangen.methods.base import Learner
from erlangen.observers import CollapseMonitor, CollapseWarning
from erlangen.train import train

STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def run(name: str, steps: int = 4, observers=()):
    return train(METHODS[name], encoder(), policy(METHODS[name]), colours(), OPTIM, config(steps), observers)


def learner(name: str) -> Learner:
    return built(METHODS[name])


@pytest.mark.parametrize("name", METHODS)
def test_gradient_reaches_all_that_trains_and_nothing_else(name):
    """Every trainable parameter gets a gradient that is not zero, every other gets none."""
    net = learner(name)
    torch.autograd.backward(net(views(method=METHODS[name])).loss)
    for key, p in net.named_parameters():
        reached = p.grad is not None and bool(p.grad.abs().sum() > 0)
        assert reached == p.requires_grad, key


@pytest.mark.parametrize("name", METHODS)
def test_loss_writes_nothing(name):
    """A forward changes no parameter and no buffer, BatchNorm's running statistics excepted."""
    net = learner(name)
    before = {key: t.clone() for key, t in net.state_dict().items()}
    net(views(method=METHODS[name]))
    changed = [key for key, t in net.state_dict().items() if not torch.equal(t, before[key])]
    assert all(key.endswith(STATISTICS) for key in changed), changed


@pytest.mark.parametrize("name", METHODS)
def test_training_is_deterministic_and_the_seed_matters(name):
    """Two runs agree bitwise whatever the state of torch's generator; another first image order does not."""
    first = run(name).state_dict()
    torch.rand(7)
    second = run(name).state_dict()
    assert all(torch.equal(first[key], second[key]) for key in first)
    other = train(METHODS[name], encoder(), policy(METHODS[name]), colours(), OPTIM, config(4, seed=1)).state_dict()
    assert any(not torch.equal(first[key], other[key]) for key in first)


@pytest.mark.parametrize("name", METHODS)
def test_a_healthy_run(name):
    """30 steps pass without a word about collapse; the last ten losses lie below the first ten where they should."""
    losses: list[float] = []

    def record(clock, net, output, batch):
        losses.append(float(output.loss.detach()))
        return {}

    monitor = CollapseMonitor(10)
    with warnings.catch_warnings():
        warnings.simplefilter("error", CollapseWarning)
        run(name, 30, [record, monitor])
    assert not monitor.warned
    assert name not in FALLING or sum(losses[-10:]) < sum(losses[:10])


@pytest.mark.parametrize("name", METHODS)
def test_output_holds_what_the_contract_says(name):
    """Features and embeddings per view, no gradient in logs and carry; the encoder is one of the networks."""
    net = learner(name)
    given = views(method=METHODS[name])
    output = net(given)
    assert len(output.features) == len(given) and all(h.shape == (16, net.encoder.dim) for h in output.features)
    assert 2 <= len(output.embeddings) <= len(given)  # a term's further views have none
    assert not any(x.requires_grad for x in [*output.logs.values(), *output.carry.values()])
    assert any(module is net.encoder for module in net.nets.modules())


@pytest.mark.parametrize("name", METHODS)
def test_a_wrong_number_of_views_is_refused(name):
    """One view less than a method takes, or one more where it takes so many, get a message that names both numbers."""
    net, given = learner(name), views(method=METHODS[name])
    with pytest.raises(ValueError, match="views.*gives 1" if len(given) == 2 else f"views.*gives {len(given) - 1}"):
        net(given[:-1])
    if not hasattr(METHODS[name], "large"):
        with pytest.raises(ValueError, match=f"views.*gives {len(given) + 1}"):
            net([*given, *given[:1]])


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if hasattr(method, "large")])
def test_large_views_are_of_one_size(name):
    """A small crop among the views that the teacher sees is refused, with all sizes."""
    first, second = views()
    small = replace(second, images=second.images[:, :, :8, :8])
    with pytest.raises(ValueError, match=r"`large` \(=2\) views must be of one size; .* 16, 8, 16 px"):
        learner(name)([first, small, second])


def test_bn_groups_hold_at_least_two_images():
    """MoCo names the groups that are too many for the batch."""
    net = Learner(replace(METHODS["MoCo"], bn_groups=16), encoder())
    with pytest.raises(ValueError, match=r"`bn_groups` \(=16\) must divide the batch \(=16 images\), each 2 or more"):
        net(views())


def test_duet_refuses_a_width_that_its_bins_do_not_divide():
    """DUET's message names the bins and the encoder's width."""
    from erlangen.methods.duet import DUET

    with pytest.raises(ValueError, match=r"`bins` \(=7\).*width"):
        DUET(bins=7).build(encoder())


def test_duet_names_the_parameters_that_the_views_have():
    """A group that is no parameter of the views gets the list of those that are."""
    net = Learner(replace(METHODS["DUET"], group=("scale",)), encoder())
    with pytest.raises(ValueError, match="no parameter 'scale'.*rotation"):
        net(views())


def test_byol_target_follows_the_schedule():
    """After the first step the target has moved by 1 - decay towards the online network."""
    net = learner("BYOL")
    online, target = net.nets.online.projector[0].weight, net.nets.target.projector[0].weight
    with torch.no_grad():
        online.add_(1.0)
    from erlangen.methods.base import Clock

    net.after_step({}, Clock(1, 100, 10))
    assert torch.allclose(online - target, torch.full_like(target, METHODS["BYOL"].decay), atol=1e-5)


def test_byol_compares_predictions_with_the_target():
    """The loss is that of the predictor's outputs against the target network's, crosswise, computed by hand."""
    net = learner("BYOL")
    with torch.no_grad():
        for p in net.nets.target.parameters():
            p.add_(0.1 * torch.randn_like(p))  # so that target and online differ
    view1, view2 = views()
    unit = torch.nn.functional.normalize
    expected = torch.zeros(())
    for a, b in ((view1, view2), (view2, view1)):
        p = unit(net.nets.predictor(net.nets.online(a.images)[1]))
        t = unit(net.nets.target(b.images)[1])
        expected = expected + (p - t).square().sum(1).mean()
    assert torch.allclose(net([view1, view2]).loss, expected, atol=1e-5)
