"""SplitBatchNorm against torch's BatchNorm on each group alone."""

import copy

import pytest
import torch
from torch import nn

from erlangen.nets import convert
from erlangen.split_norm import SplitBatchNorm, split_


def normal(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def layer(kind, groups: int, affine: bool = True) -> tuple[nn.Module, nn.Module]:
    """The layer as torch has it, and in groups."""
    plain = kind(3, momentum=0.3, affine=affine).double()
    if affine:
        with torch.no_grad():
            plain.weight.copy_(normal(3, seed=1))
            plain.bias.copy_(normal(3, seed=2))
    net = nn.Sequential(copy.deepcopy(plain))
    split_(net, groups)
    return plain, net[0]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("kind, size", [(nn.BatchNorm1d, ()), (nn.BatchNorm2d, (2, 5)), (nn.BatchNorm3d, (2, 1, 2))])
def test_each_group_is_a_batch(kind, size, affine, groups):
    """Output, gradients, and the mean of the groups' running statistics, twice in a row."""
    plain, split = layer(kind, groups, affine)
    alone = [copy.deepcopy(plain) for _ in range(groups)]
    for seed in (0, 1):
        x = (3 + 2 * normal(8, 3, *size, seed=seed)).requires_grad_()
        y = split(x)
        expected = torch.cat([norm(part) for norm, part in zip(alone, x.chunk(groups), strict=True)])
        assert torch.allclose(y, expected, rtol=1e-12, atol=1e-12)
        (found,), (slope,) = (torch.autograd.grad((out**3).sum(), x, retain_graph=True) for out in (y, expected))
        assert torch.allclose(found, slope, rtol=1e-9, atol=1e-9)
        if affine:
            torch.autograd.backward((y**2).sum() + (expected**2).sum())
            for name in ("weight", "bias"):
                theirs = sum(getattr(norm, name).grad for norm in alone)
                assert torch.allclose(getattr(split, name).grad, theirs, rtol=1e-9)
        for name in ("running_mean", "running_var"):
            mean = torch.stack([norm.get_buffer(name) for norm in alone]).mean(0)
            assert torch.allclose(split.get_buffer(name), mean, rtol=1e-12)
            for norm in alone:  # so that the next step begins where ours does
                norm.get_buffer(name).copy_(mean)
        assert split.num_batches_tracked == seed + 1


def test_evaluated_it_is_a_batchnorm():
    """With the running statistics, whatever the batch size; nothing is written."""
    plain, split = layer(nn.BatchNorm2d, 2)
    split(normal(4, 3, 2, 2))
    plain.load_state_dict(split.state_dict())
    before = {name: x.clone() for name, x in split.state_dict().items()}
    x = normal(3, 3, 2, 2, seed=1)
    assert torch.equal(split.eval()(x), plain.eval()(x))
    assert all(torch.equal(x, before[name]) for name, x in split.state_dict().items())


def test_conversion_keeps_what_there_is():
    """The same parameters and buffers, also on several ranks, where the synchronised kind leaves it alone."""
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Sequential(nn.BatchNorm2d(4)))
    before = [*net.parameters(), *net.buffers()]
    split_(net, 2)
    assert convert(net) is net and [type(net[1]), type(net[2][0])] == [SplitBatchNorm] * 2
    assert all(a is b for a, b in zip(before, [*net.parameters(), *net.buffers()], strict=True))
    assert copy.deepcopy(net)[1].groups == 2


def test_timms_batchnorm_keeps_its_activation():
    """In training and evaluation."""
    from timm.layers import BatchNormAct2d

    plain = BatchNormAct2d(5, act_layer=nn.SiLU)
    net = nn.Sequential(copy.deepcopy(plain))
    split_(net, 1)
    x = normal(6, 5, 3, 4).float()
    assert torch.allclose(net(x), plain(x), atol=1e-6)
    assert torch.allclose(net.eval()(x), plain.eval()(x), atol=1e-6)


@pytest.mark.parametrize(
    "norm, word",
    [
        (nn.SyncBatchNorm(3), "SyncBatchNorm"),
        (nn.BatchNorm1d(3, track_running_stats=False), "track_running_stats"),
        (nn.BatchNorm1d(3, momentum=None), "momentum"),
    ],
)
def test_other_kinds_are_refused(norm, word):
    """By the name of the layer."""
    with pytest.raises(ValueError, match=f"1 .*{word}.* cannot be split into `groups` .=2."):
        split_(nn.Sequential(nn.Identity(), norm), 2)


def test_a_batch_that_does_not_divide_is_refused():
    """With both numbers."""
    _, split = layer(nn.BatchNorm1d, 4)
    with pytest.raises(ValueError, match=r"`groups` \(=4\).* the 6 images of a rank"):
        split(normal(6, 3))
