"""Equivariance that is known beforehand: pixels, Fourier coefficients, and encoders that ignore or scramble."""

import math

import pytest
import torch
from scipy.linalg import orthogonal_procrustes
from torch import nn

from erlangen.encoders import build_encoder
from erlangen.encoders.frozen import Pixels
from erlangen.measures.actions import check_action, cyclic, elements
from erlangen.measures.fitted import OUTPUT, of_layers, operators, procrustes, steerable
from erlangen.measures.lie import derivative, directions, lie
from erlangen.transforms import QuarterTurn
from erlangen.transforms.sweeps import SYNTHETIC


def photos(n: int, size: int = 8, seed: int = 0) -> torch.Tensor:
    """Smooth bytes."""
    noise = torch.randn(n, 3, size, size, generator=torch.Generator().manual_seed(seed))
    return (127 + 150 * nn.functional.avg_pool2d(noise, 3, 1, 1)).clamp(0, 255).to(torch.uint8)


class Grey(nn.Module):
    """64 numbers that quarter turns and flips permute."""

    def forward(self, images):
        return images.mean(1).flatten(1)


class Fourier(nn.Module):
    """Along each row, real and imaginary parts of low frequencies: a shift turns each pair."""

    def forward(self, images):
        found = torch.fft.rfft(images.mean(1).mean(1), dim=1)[:, 1:4]
        return torch.cat([found.real, found.imag], 1)


class Scrambled(nn.Module):
    """A code that knows nothing of the image."""

    def forward(self, images):
        seeds = (images.double().flatten(1) @ torch.arange(1, 1 + images[0].numel()).double()).sin() * 1e4
        return torch.stack([(seeds * k).sin() for k in range(1, 9)], 1).float()


@pytest.mark.parametrize("name", ["quarter_turn", "h_flip", "v_flip", "invert"])
def test_pixels_are_equivariant(name):
    """Ridge and Procrustes explain everything of images that they have not seen; the operators are a group."""
    found = steerable(Grey(), photos(400), photos(100, seed=1), elements(name, 8))[OUTPUT]
    for kind in ("ridge", "procrustes"):
        assert found[kind]["explained"] > 0.999 and found[kind]["error"] < 1e-3
        for law in ("composition", "inverse", "identity", "order"):
            if law in found[kind]:
                assert found[kind][law] < 1e-3, law
    assert found["cka"] == pytest.approx(1, abs=1e-4) and found["cosine"] < 0.995


@pytest.mark.parametrize("name", ["quarter_turn", "h_flip"])
def test_operators_compose_where_only_moved_images_are(name):
    """Images that are black but for a quarter: an operator must know what to do with the others."""
    dark = photos(600)
    dark[:, :, 4:] = 0
    dark[:, :, :, 4:] = 0
    found = steerable(Grey(), dark[:400], dark[400:], elements(name, 8))[OUTPUT]
    for kind in ("ridge", "procrustes"):
        assert found[kind]["explained"] > 0.999
        assert max(found[kind][law] for law in ("composition", "inverse", "order")) < 1e-3


def test_procrustes_is_least_squares():
    """The rotation is scipy's, about the means."""
    a, b = (torch.randn(50, 4, generator=torch.Generator().manual_seed(s)).double() for s in (0, 1))
    middle, turn, other = procrustes(a, b)
    expected, _ = orthogonal_procrustes((a - a.mean(0)).numpy(), (b - b.mean(0)).numpy())
    torch.testing.assert_close(turn, torch.from_numpy(expected))
    torch.testing.assert_close(middle, a.mean(0))
    torch.testing.assert_close(other, b.mean(0))


def test_fourier_coefficients_turn_under_a_cyclic_shift():
    """Phases move, lengths stay: explained by rotations, which compose, undo and repeat as shifts do."""

    class Roll:
        """The images pushed round to the right by whole pixels."""

        name, probability = "roll", 1.0
        spaces = QuarterTurn().spaces

        def apply(self, images, params):
            steps = params["roll"][:, 0].long().tolist()
            return torch.stack([image.roll(step, -1) for image, step in zip(images, steps, strict=True)])

    among = cyclic(Roll(), "roll", torch.arange(8.0)[:, None])
    found = steerable(Fourier(), photos(300), photos(100, seed=1), among, kinds=("procrustes",))[OUTPUT]["procrustes"]
    assert found["explained"] > 0.9999 and max(found[law] for law in ("composition", "inverse", "order")) < 1e-4


def test_an_invariant_encoder_has_nothing_to_explain():
    """It does not move: nothing is explained, and the laws hold all the same."""

    class Mean(nn.Module):
        def forward(self, images):
            return torch.cat([images.mean((2, 3)), images.square().mean((2, 3))], 1)

    found = steerable(Mean(), photos(100), photos(50, seed=1), elements("quarter_turn", 8))[OUTPUT]
    assert found["cosine"] == pytest.approx(1) and found["cka"] == pytest.approx(1)
    assert found["ridge"]["explained"] == pytest.approx(0, abs=1e-3) and found["ridge"]["composition"] < 1e-6
    assert found["ridge"]["control"] > 0.99


def test_a_scrambled_code_is_not_equivariant():
    """No better than to guess the mean: half the squared distance of two images."""
    found = steerable(Scrambled(), photos(400), photos(200, seed=1), elements("quarter_turn", 8))[OUTPUT]
    assert found["ridge"]["error"] == pytest.approx(0.5, abs=0.05) and found["ridge"]["explained"] < 0.55
    assert abs(found["cka"]) < 0.05 and abs(found["cosine"]) < 0.15


def test_a_group_that_does_not_compose_is_told():
    """Operators that predict the moved images but turn twice as far when repeated."""
    y = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))

    def turned(angle, x):
        c, s = math.cos(angle), math.sin(angle)
        return x @ torch.tensor([[c, s], [-s, c]])

    among = elements("quarter_turn", 8)
    good = check_action(lambda i, x: turned(math.pi / 2 * i, x), y, among)
    bad = check_action(lambda i, x: turned(math.pi / 2 * i * (1.2 if i == 1 else 1), x), y, among)
    assert all(float(value) < 1e-10 for value in good.values()) and set(good) == set(bad)
    assert all(float(bad[law]) > 0.01 for law in ("composition", "inverse", "order")) and float(bad["identity"]) == 0
    shrunk = check_action(lambda i, x: 0 * x, torch.tensor([[1.0, 0.0], [-1.0, 0.0]]), among)
    assert float(shrunk["identity"]) == pytest.approx(1 / 4)


@pytest.mark.parametrize("name", ["rotation", "hue", "translation", "scale", "brightness", "h_flip", "quarter_turn"])
def test_elements_are_what_the_table_says(name):
    """On parameters: first j then i is `after[i, j]`; the identity is the transform's own."""
    among = elements(name, 16, 6)
    (parameter, space) = next(iter(among.transform.spaces.items()))
    p = among.params[parameter]
    torch.testing.assert_close(p[among.identity], space.identity.to(p))
    period = {"rotation": math.tau, "hue": 1.0, "h_flip": 2.0, "quarter_turn": 4.0}.get(name)
    for i in range(len(among)):
        for j in range(len(among)):
            k = int(among.after[i, j])
            both = p[i] * p[j] if name in ("scale", "brightness") else p[i] + p[j]
            gap = both - p[k] if k >= 0 else both
            if period:
                gap = (gap + period / 2) % period - period / 2
            assert k < 0 or bool((gap.abs() < 1e-5).all())
    assert bool((among.after >= 0).any())


def test_what_is_no_group_is_refused(unchecked):
    """A blur has no inverse, and a circle of one element no turn."""
    with pytest.raises(ValueError, match="group of transformations"):
        elements("blur", 16)
    with pytest.raises(ValueError, match=r"`k` \(=1\) of a circle"):
        elements("rotation", 16, 1)
    with pytest.raises(ValueError, match="too few: 8 at least"):
        steerable(Grey(), photos(5), photos(50), elements("h_flip", 8))
    with pytest.raises(ValueError, match="operator"):
        operators(torch.randn(2, 9, 3).double(), elements("h_flip", 8), "lasso")


def test_layers_are_looked_into():
    """Maps as 4 x 4 means, the output as it is; early maps turn with the image more than the pooled output."""
    torch.manual_seed(0)
    encoder = build_encoder("small", 3, 16).eval()
    images = photos(20, 16)
    found = of_layers(encoder, images, ("conv1", "conv4", OUTPUT))
    assert [x.shape for x in found.values()] == [(20, 16 * 16), (20, 256 * 16), (20, 256)]
    torch.testing.assert_close(found[OUTPUT], encoder(images / 255).detach())
    maps = encoder.features(images / 255, ["conv1"])["conv1"].detach()
    torch.testing.assert_close(found["conv1"], nn.functional.adaptive_avg_pool2d(maps, 4).flatten(1))
    with pytest.raises(ValueError, match="layer"):
        of_layers(encoder, images, ("conv9",))
    with pytest.raises(ValueError, match="no layers to look into"):
        of_layers(Grey(), images, ("conv1",))
    training = build_encoder("small", 3, 16).train()
    of_layers(training, images, ("conv1",))
    assert all(module.training for module in training.modules())


@pytest.mark.parametrize("name", ["rotation", "translation", "scale", "shear", "hue", "contrast"])
def test_derivatives_are_differences_of_small_steps(name):
    """With a hundredth of the step, in float64, where the transform is smooth enough."""
    images = photos(6, 16).double() / 255
    for direction in directions(name, 16).values():
        p = direction.ahead[next(iter(direction.ahead))]
        assert set(direction.ahead) == set(SYNTHETIC[name](16).spaces) and p.ndim == 1
        found = derivative(Pixels(3, 16), images, direction)
        ahead, behind = (
            direction.transform.apply(images, {k: v.double().expand(6, -1) for k, v in side.items()}).flatten(1)
            for side in (direction.ahead, direction.behind)
        )
        torch.testing.assert_close(found, (ahead - behind) / (2 * direction.step), atol=1e-4, rtol=1e-4)
        assert float(found.abs().max()) > 0.01
    with pytest.raises(ValueError, match="transform that can begin"):
        directions("h_flip", 16)


def test_lie_derivatives_of_known_encoders():
    """The mean of the pixels is still; Fourier coefficients of a shifted wave turn by 2 pi f, as a generator says."""

    class Mean(nn.Module):
        def forward(self, images):
            return images.mean((2, 3))

    grey = torch.linspace(0, 1, 40)[:, None, None, None].expand(40, 3, 16, 16)
    (up,) = directions("rotation", 16).values()
    inner = grey * 0
    inner[:, :, 5:11, 5:11] = grey[:, :, 5:11, 5:11]
    assert lie(Mean(), inner[::2], inner[1::2], up)["speed"] < 0.05

    class Wave(nn.Module):
        """cos and sin of the place of the light."""

        def forward(self, images):
            place = (torch.arange(images.shape[-1]) + 0.5) / images.shape[-1]
            light = images.mean(1).sum(1)
            x = (light * place).sum(1) / light.sum(1)
            return torch.stack([(math.tau * x).cos(), (math.tau * x).sin()], 1)

    places = torch.arange(16) + 0.5
    centres = 4 + 8 * torch.rand(80, generator=torch.Generator().manual_seed(0))
    blobs = (-((places[None, :] - centres[:, None]) ** 2) / 2).exp()[:, None, None].expand(80, 3, 16, 16).contiguous()
    found = lie(Wave(), blobs[:40], blobs[40:], directions("translation", 16)["translation.x"])
    assert found["explained"] > 0.99
    points = torch.stack([(math.tau * centres / 16).cos(), (math.tau * centres / 16).sin()], 1)[40:]
    assert found["speed"] == pytest.approx(math.tau / (2 * float(points.var(0).sum())) ** 0.5, rel=0.02)
