"""TensorFlow's colour jitter against a slow implementation, pixel by pixel in float64 (KTH's study)."""

import colorsys
from dataclasses import replace as changed

import numpy as np
import pytest
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from erlangen.pipelines import augment
from erlangen.transforms.tf_jitter import TensorFlowJitter
from erlangen.views import sample

CIFAR = TensorFlowJitter(0.4, 0.4, 0.4, 0.1, probability=1.0)
STL = TensorFlowJitter(0.8, 0.8, 0.8, 0.2, additive=True, clamp=True, probability=1.0)
BOTH = pytest.mark.parametrize("jitter", [CIFAR, STL, changed(STL, clamp=False)], ids=["times", "plus", "unclipped"])


def rand(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def draw(jitter: TensorFlowJitter, n: int, seed: int) -> dict[str, torch.Tensor]:
    return sample(jitter, rand(n, 5, seed=seed))


def hsv(pixel):
    """Hue in turns, saturation, value; of a pixel without a positive value the saturation is 0. Values may exceed 1."""
    if max(pixel) <= 0:
        return 0.0, 0.0, max(pixel)
    return colorsys.rgb_to_hsv(*pixel)


def slow_pixel(pixel, saturation: float, hue: float):
    h, s, v = hsv(pixel)
    return colorsys.hsv_to_rgb((h + hue) % 1.0, min(1.0, s * saturation), v)


def slow(image: np.ndarray, p: dict[str, float], additive: bool, clamp: bool) -> np.ndarray:
    """One image (3, h, w): brightness, contrast about each channel's mean, saturation and hue in HSV."""
    out = image + p["color.brightness"] if additive else image * p["color.brightness"]
    for channel in out:
        mean = sum(float(x) for x in channel.flat) / channel.size
        channel[:] = (channel - mean) * p["color.contrast"] + mean
    for y in range(out.shape[1]):
        for x in range(out.shape[2]):
            out[:, y, x] = slow_pixel(out[:, y, x].tolist(), p["color.saturation"], p["color.hue"])
    return np.clip(out, 0, 1) if clamp else out


def examples() -> torch.Tensor:
    """Random pixels, and greys, primaries, black, white and values beyond [0, 1] (a bicubic crop overshoots)."""
    images = 1.4 * rand(12, 3, 5, 4) - 0.2
    special = [[0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0.5, 0.5, 0.5], [1.3, 1.2, -0.1]]
    images[:4, :, 0], images[:4, :, 1] = torch.tensor(special[:4]).double().T, torch.tensor(special[4:]).double().T
    return images


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_jitter_is_the_slow_one(jitter, dtype):
    """To 1e-5, also where brightness has made values above 1 or below 0."""
    images, params = examples(), draw(jitter, 12, seed=3)
    fast = jitter.apply(images.to(dtype), {name: p.to(dtype) for name, p in params.items()})
    assert fast.dtype == dtype
    for i, image in enumerate(images):
        p = {name: float(value[i]) for name, value in params.items()}
        expected = slow(image.numpy().copy(), p, jitter.additive, jitter.clamp)
        assert np.abs(fast[i].double().numpy() - expected).max() < 1e-5
    bright = images.amax((1, 2, 3)) * params["color.brightness"][:, 0]
    assert jitter.additive or (bright > 1).any()  # they were there


def test_jitter_by_hand():
    """Twice the brightness of (.4, .2, .3), 2.5 times the saturation: .5 becomes 1, the hue stays; no clip."""
    pixel = torch.tensor([0.8, 0.4, 0.6]).view(1, 3, 1, 1)
    names = ("brightness", "contrast", "saturation", "hue")
    params = {f"color.{n}": torch.tensor([[v]]) for n, v in zip(names, (2.0, 1.0, 2.5, 0.0), strict=True)}
    out = TensorFlowJitter().apply(pixel, params).flatten()  # value 1.6; saturation min(1, 1.25); middle halfway
    assert out.tolist() == pytest.approx([1.6, 0.0, 0.8], abs=1e-6)


@BOTH
def test_the_identity_changes_nothing(jitter):
    """With identity parameters images come back, whatever their values; also where others are changed."""
    images = examples()
    identity = {name: space.identity.double().expand(12, -1) for name, space in jitter.spaces.items()}
    assert torch.allclose(jitter.apply(images, identity), images, rtol=0, atol=1e-6)
    params = draw(jitter, 12, seed=1)
    half = {name: torch.where(torch.arange(12)[:, None] < 6, identity[name], p) for name, p in params.items()}
    out = jitter.apply(images, half)
    assert torch.allclose(out[:6], images[:6], rtol=0, atol=1e-6)
    assert torch.equal(out[6:], jitter.apply(images, params)[6:])


@BOTH
def test_jitter_is_captured_as_a_graph(jitter):
    """Nothing looks at values: what is captured for some parameters is right for others."""
    images, one, other = examples(), draw(jitter, 12, seed=1), draw(changed(jitter, probability=0.5), 12, seed=2)
    graph = make_fx(lambda x, p: jitter.apply(x, p))(images, one)
    assert torch.equal(graph(images, other), jitter.apply(images, other))


def test_jitter_draws_all_or_nothing():
    """Applied with probability .8, all four together; factors and shifts in their ranges."""
    view = augment(torch.full((2000, 3, 1, 1), 0.5), [TensorFlowJitter(0.8, 0.8, 0.8, 0.2, additive=True)])
    p = torch.cat(list(view.params.values()), 1)
    skipped = (p == torch.tensor([0.0, 1.0, 1.0, 0.0])).all(1)
    assert 0.17 < skipped.double().mean() < 0.23
    low, high = p[~skipped].amin(0), p[~skipped].amax(0)
    assert low.tolist() == pytest.approx([-0.8, 0.2, 0.2, -0.2], abs=0.01)
    assert high.tolist() == pytest.approx([0.8, 1.8, 1.8, 0.2], abs=0.01)
    times = TensorFlowJitter().spaces["color.brightness"]
    assert (times.low, times.high, float(times.identity)) == (0.6, 1.4, 1.0)


def test_one_channel_has_brightness_and_contrast():
    """A grey image is changed as each channel of a colour image is before saturation."""
    images, params = examples(), draw(CIFAR, 12, seed=4)
    plain = {**params, "color.saturation": torch.ones(12, 1).double(), "color.hue": torch.zeros(12, 1).double()}
    assert torch.equal(CIFAR.apply(images[:, :1], params), CIFAR.apply(images, plain)[:, :1])


@pytest.mark.parametrize("values", [{"brightness": -1.0}, {"hue": 0.6}, {"probability": 1.5}])
def test_impossible_strengths_are_refused(values):
    """By name and value."""
    ((name, value),) = values.items()
    with pytest.raises(ValueError, match=rf"`{name}` \(={value}\)"):
        TensorFlowJitter(**values)
