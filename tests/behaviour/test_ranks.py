"""Two ranks are one process."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from small import METHODS, VARIANTS

from erlangen import dist
from erlangen.nets import SyncBatchNorm, convert

HERE = Path(__file__).parent


def test_two_ranks_equal_one_process():
    """Loss, gradients, parameters and buffers of every method agree to 1e-8; the ranks agree bitwise."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "two_ranks.py"]
    done = subprocess.run(command, cwd=HERE, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("worst difference") == len(METHODS) + len(VARIANTS), done.stdout


def test_synchronised_batchnorm_is_batchnorm_on_one_process():
    """Forward, gradient and running statistics equal torch's, with and without affine parameters."""
    for affine in (True, False):
        plain = torch.nn.BatchNorm2d(5, affine=affine).double()
        ours = convert(torch.nn.Sequential(torch.nn.BatchNorm2d(5, affine=affine).double()))[0]
        assert isinstance(ours, SyncBatchNorm)
        x = torch.randn(6, 5, 3, 4, dtype=torch.float64)
        xs = [x.clone().requires_grad_() for _ in range(2)]
        ys = [net(value) for net, value in zip((plain, ours), xs, strict=True)]
        for y in ys:
            torch.autograd.backward((y**3).sum())
        assert torch.allclose(ys[0], ys[1]) and torch.allclose(xs[0].grad, xs[1].grad)
        assert all(torch.allclose(a, b) for a, b in zip(plain.buffers(), ours.buffers(), strict=True))
        assert torch.allclose(plain.eval()(x), ours.eval()(x))


def test_what_a_batchnorm_carries_is_kept():
    """timm's BatchNormAct2d keeps its activation; a BatchNorm of unknown kind is refused by name."""
    from timm.layers import BatchNormAct2d

    plain = BatchNormAct2d(5, act_layer=torch.nn.SiLU)
    net = torch.nn.Sequential(copy.deepcopy(plain))
    x = torch.randn(6, 5, 3, 4)
    convert(net)
    assert torch.allclose(net(x), plain(x), atol=1e-5)
    assert torch.allclose(net.eval()(x), plain.eval()(x), atol=1e-5)

    class Odd(torch.nn.BatchNorm1d):
        pass

    with pytest.raises(ValueError, match="0 .*cannot run on several ranks"):
        convert(torch.nn.Sequential(Odd(3)))


def test_one_process_gathers_nothing():
    """Without a group the collectives are the identity."""
    x = torch.randn(3, 2)
    assert dist.world() == 1 and dist.gather(x) is x and torch.equal(dist.mean_over_ranks(x), x)
