"""The filter bank of DUET's lifted encoders against sums over frequencies, its laws, and the encoders around it."""

import cmath
import math

import numpy as np
import pytest
import torch
from torch import nn
from torch._dynamo.testing import CompileCounterWithBackend

from erlangen.encoders import build_encoder, load_encoder, save_encoder
from erlangen.encoders.lifting import MAPS, lift

COLOURS = {"mean": [0.0] * 3, "std": [1.0] * 3}


def images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def responses(down: float, right: float) -> list[complex]:
    """The 18 responses at a frequency in cycles per pixel, from the angle and the octaves below half a cycle."""
    radius = math.hypot(down, right)
    octaves = math.inf if radius == 0 else math.log2(0.5 / radius)
    fall = [math.pi / 2 * min(max(octaves - s, 0), 1) for s in range(5)]
    angle = math.atan2(-down, right)
    found: list[complex] = [math.cos(fall[0])]
    for s in range(1, 5):
        ring = math.prod(math.sin(f) for f in fall[:s]) * math.cos(fall[s])
        found += [-1j * ring * math.sqrt(0.8) * math.cos(angle - k * math.pi / 4) ** 3 for k in range(4)]
    return [*found, math.prod(math.sin(f) for f in fall)]


def frequencies(n: int) -> list[float]:
    """Of n pixels, cycles per pixel, the fastest as negative where its sign is arbitrary."""
    return [(k if k < n / 2 else k - n) / n for k in range(n)]


@pytest.mark.parametrize("height, width", [(8, 8), (6, 9)])
def test_every_map_is_a_sum_of_waves(height, width):
    """By the definition: each frequency of the image times its response, summed pixel by pixel; nothing imaginary."""
    x = images(1, 1, height, width)[0, 0].numpy()
    expected = np.zeros((MAPS, height, width), dtype=complex)
    places = [(i, j) for i in range(height) for j in range(width)]
    for down in frequencies(height):
        for right in frequencies(width):
            wave = {(i, j): cmath.exp(2j * math.pi * (down * i + right * j)) for i, j in places}
            amplitude = sum(x[i, j] * wave[i, j].conjugate() for i, j in places) / len(places)
            for m, response in enumerate(responses(down, right)):
                for i, j in places:
                    expected[m, i, j] += response * amplitude * wave[i, j]
    assert np.abs(expected.imag).max() < 1e-12
    np.testing.assert_allclose(lift(torch.tensor(x)[None, None])[0].numpy(), expected.real, rtol=0, atol=1e-12)


@pytest.mark.parametrize("height, width", [(32, 32), (36, 36), (31, 17), (7, 12)])
def test_energy_is_kept(height, width):
    """The squares of all maps of a channel add up to those of the channel: a tight frame."""
    x = images(2, 3, height, width) - 0.5
    maps = lift(x).unflatten(1, (3, MAPS))
    torch.testing.assert_close(maps.square().sum((2, 3, 4)), x.square().sum((2, 3)), rtol=1e-12, atol=0)


def test_a_grating_is_in_one_scale():
    """Stripes of 8 pixels across: scale 2 alone; sqrt(4/5) cos^3 of 0, 45, 90, 135 degrees; a cosine becomes a sine."""
    phase = 2 * math.pi * torch.arange(32, dtype=torch.float64) / 8
    maps = lift(phase.cos().expand(1, 1, 32, 32))[0].clone()
    share = math.sqrt(0.8) * torch.tensor([1, 8**-0.5, 0, -(8**-0.5)], dtype=torch.float64)
    torch.testing.assert_close(maps[5:9], share[:, None, None] * phase.sin().expand(4, 32, 32), rtol=0, atol=1e-12)
    maps[5:9] = 0
    assert float(maps.abs().max()) < 1e-12


def test_a_quarter_turn_exchanges_orientations():
    """Turned counter-clockwise, orientation k becomes k + 2, and k + 4 is k with the other sign; the rest turns."""
    x = images(2, 1, 32, 32)
    before, after = (lift(y).unflatten(1, (1, MAPS))[:, 0] for y in (x, x.rot90(1, (2, 3))))
    turned = before.rot90(1, (2, 3))
    bands = turned[:, 1:-1].unflatten(1, (4, 4))
    bands = torch.cat([-bands[:, :, 2:], bands[:, :, :2]], 2).flatten(1, 2)
    expected = torch.cat([turned[:, :1], bands, turned[:, -1:]], 1)
    torch.testing.assert_close(after, expected, rtol=0, atol=1e-12)
    assert float((after - turned).abs().max()) > 0.01


def test_any_angle_is_a_mixture():
    """The response at 30 degrees is the same mixture of the four at every frequency: steerable."""
    four = torch.linspace(0, math.pi, 5, dtype=torch.float64)[:4]
    around = torch.linspace(0, 2 * math.pi, 50, dtype=torch.float64)[:, None]
    basis, wanted = (around - four).cos() ** 3, (around - math.pi / 6).cos() ** 3
    assert float((basis @ torch.linalg.lstsq(basis, wanted).solution - wanted).abs().max()) < 1e-12
    ring = torch.tensor(
        [[responses(-0.2 * a.sin(), 0.2 * a.cos())[1:5]] for a in around[:, 0]], dtype=torch.complex128
    ).imag[:, 0]
    torch.testing.assert_close(ring / -math.sqrt(0.8) / math.cos(math.pi / 2 * (math.log2(2.5) - 1)), basis)


@pytest.fixture(scope="module")
def lifted() -> nn.Module:
    torch.manual_seed(0)
    return build_encoder("lifted_cifar10_resnet20", 3, 32, **COLOURS).eval()


def test_an_encoder_lifts_colours(lifted):
    """With three channels it is the encoder of 54 after `lift`; normalisation comes first."""
    x = images(2, 3, 16, 16, dtype=torch.float32)
    given = build_encoder("lifted_cifar10_resnet20", 54, 32, mean=[0.0] * 54, std=[1.0] * 54).eval()
    given.load_state_dict(lifted.state_dict())
    shifted = build_encoder("lifted_cifar10_resnet20", 3, 32, mean=[0.1] * 3, std=[0.5] * 3).eval()
    shifted.load_state_dict(lifted.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(given(lift(x)), lifted(x), rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(shifted(0.5 * x + 0.1), lifted(x), rtol=1e-4, atol=1e-4)
        assert float(lifted(x).std()) > 0.05


def test_one_graph_in_any_precision(unchecked, lifted):
    """Compiled there is no break, and in bfloat16 the transforms stay exact: only the convolutions round."""
    x = images(2, 3, 16, 16, dtype=torch.float32)
    counts = CompileCounterWithBackend("aot_eager")
    torch.compiler.reset()
    with torch.no_grad():
        first = torch.compile(lambda x: lifted.conv1(lift(x)), backend=counts, fullgraph=True)(x)
        torch.testing.assert_close(first, lifted.conv1(lift(x)))
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(lift(x), lift(x.clone())) and lift(x).dtype == torch.float32
            close = lifted(x)
    assert counts.frame_count == 1
    assert lift(x.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(lift(x.bfloat16()).float(), lift(x.bfloat16().float()), rtol=0.01, atol=0.01)
    torch.testing.assert_close(close.float(), lifted(x), rtol=0.1, atol=0.1)


@pytest.mark.parametrize("channels, size", [(3, (32, 32)), (1, (16, 16)), (1, (28, 28)), (3, (12, 20))])
def test_any_size(channels, size):
    """Other sizes, one channel, and images that are not square, whose last map is averaged over all of it."""
    torch.manual_seed(0)
    encoder = build_encoder("cifar10_resnet20", channels, size[1]).eval()
    x = images(2, channels, *size, dtype=torch.float32)
    with torch.no_grad():
        maps = encoder.features(x, encoder.layers)
        h = encoder(x)
    halves = [size, size, [-(-s // 2) for s in size], [-(-s // 4) for s in size]]
    assert [tuple(m.shape[1:]) for m in maps.values()] == [(128 * 2**i, *halves[i + 1]) for i in range(3)]
    assert h.shape == (2, encoder.dim) == (2, 512)
    torch.testing.assert_close(h, encoder.final_bn[1](maps["layer3"].mean((2, 3), keepdim=True)).flatten(1))


def test_first_weights():
    """Kaiming's normal law over the inputs of each convolution."""
    torch.manual_seed(0)
    encoder = build_encoder("cifar10_resnet20", 3, 32)
    for module in (encoder.layer3[0].conv2, encoder.layer3[0].shortcut[0], encoder.layer1[0].conv1):
        fan_in = module.in_channels * module.kernel_size[0] ** 2
        assert abs(float(module.weight.detach().std()) / math.sqrt(2 / fan_in) - 1) < 0.02


def test_names(tmp_path, lifted):
    """The original's name of the class is its default network; a lifted encoder is saved and found again."""
    with torch.device("meta"):
        one, other = (build_encoder(name, 3, 32).state_dict() for name in ("Cifar10_ResNet", "cifar10_resnet32"))
    assert {name: x.shape for name, x in one.items()} == {name: x.shape for name, x in other.items()}
    save_encoder(tmp_path / "encoder.safetensors", lifted)
    x = images(2, 3, 16, 16, dtype=torch.float32)
    with torch.no_grad():
        assert torch.equal(load_encoder(tmp_path / "encoder.safetensors")(x), lifted(x))


def test_what_is_refused():
    """A lifted encoder of grey images, and depths that do not exist."""
    with pytest.raises(ValueError, match=r"`channels` \(=1\) of a lifted encoder are 3, .* or 54"):
        build_encoder("lifted_cifar10_resnet32", 1, 32)
    for name in ("cifar10_resnet18", "lifted_cifar10_resnet", "cifar10_resnet20w2"):
        with pytest.raises(ValueError, match=f"no encoder '{name}'.*Did you mean"):
            build_encoder(name, 3, 32)
