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


@pytest.fixture(scope="session")
def compared(tmp_path_factory):
    """What the script says of two ranks against one process."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "two_ranks.py"]
    folder = str(tmp_path_factory.mktemp("ranks"))
    done = subprocess.run([*command, folder], cwd=HERE, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.supports("2 ranks")
@pytest.mark.parametrize("name", [*METHODS, *VARIANTS])
def test_two_ranks_equal_one_process(name, compared):
    """Images, losses, gradients, parameters and buffers agree to 1e-8; the ranks agree bitwise."""
    assert f"2 ranks: {name}: worst difference" in compared


@pytest.mark.parametrize("name", METHODS)
def test_an_uneven_last_batch_is_shared_out(name, compared):
    """61 images in batches of 22: every image once, and all as on one process, though the ranks hold 9 and 8."""
    assert f"uneven: {name}: worst difference" in compared


@pytest.mark.supports("FSDP2")
@pytest.mark.parametrize("name", METHODS)
def test_sharing_networks_out_changes_nothing(name, compared):
    """FSDP2 over two ranks, a transformer: losses, gradients and weights are those of one process."""
    assert f"FSDP2: {name}: worst difference" in compared


@pytest.mark.parametrize("name", METHODS)
def test_exact_accumulation_on_two_ranks(name, compared):
    """In parts and over ranks: the big batch on one process."""
    assert f"accumulated: {name}: worst difference" in compared


@pytest.mark.parametrize("ways", ["1 -> 2, FSDP2", "2 -> 1", "2, FSDP2 -> 1"])
def test_another_number_of_ranks_goes_on(ways, compared):
    """A checkpoint holds everything whole: others resume it, and end where one process ends."""
    assert f"resumed: {ways}: worst difference" in compared


@pytest.mark.parametrize("kind", ["ValueError", "OSError"])
def test_what_fails_on_rank_0_fails_on_all(kind, compared):
    """A full disk there stops the others too, with the same words, instead of leaving them waiting."""
    assert f"{kind}: on both ranks" in compared


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
