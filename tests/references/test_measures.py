"""Measures against numpy and on encoders whose symmetry is known beforehand."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from erlangen.data import Data, Split
from erlangen.encoders import build_encoder
from erlangen.encoders.frozen import Pixels
from erlangen.measures import along_orbits, decodability, rankme, spread
from erlangen.solvers import ridge
from erlangen.spaces import Interval
from erlangen.transforms import QuarterTurn, Rotation


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(n: int, channels: int = 1, size: int = 8, labelled: bool = True, seed: int = 0) -> Split:
    images = torch.randint(0, 256, (n, channels, size, size), dtype=torch.uint8, generator=generator(seed))
    return Split(images, torch.arange(n) % 3 if labelled else None)


def spots(n: int, own_angle: bool, seed: int, size: int = 24) -> Split:
    """One round spot of random brightness 6 px from the centre: to the right of it, or anywhere around it."""
    turn = torch.rand(n, generator=generator(seed)) * math.tau * own_angle
    place = torch.arange(size) + 0.5 - size / 2
    right, down = 6 * turn.cos()[:, None, None], -6 * turn.sin()[:, None, None]
    distance = (place[None, None, :] - right) ** 2 + (place[None, :, None] - down) ** 2
    brightness = 0.5 + 0.5 * torch.rand(n, 1, 1, generator=generator(seed + 1))
    return Split((255 * brightness * (-distance / 4).exp()).round().to(torch.uint8)[:, None])


class Sorted(nn.Module):
    """All pixels by brightness: no quarter turn changes it."""

    def forward(self, images):
        return images.flatten(1).sort(1).values


class Centroid(nn.Module):
    """Where the light is, in pixels to the right and upwards of the centre."""

    def forward(self, images):
        place = torch.arange(images.shape[-1]) + 0.5 - images.shape[-1] / 2
        light = images.sum(1) / images.sum((1, 2, 3))[:, None, None]
        return torch.stack([(light.sum(1) * place).sum(1), -(light.sum(2) * place).sum(1)], 1)


class Memory(nn.Module):
    """Knows the number of turns of the images that it has memorised, in every one of their four positions."""

    def __init__(self, images):
        super().__init__()
        self.bank = torch.cat([images.rot90(k, (-2, -1)) for k in range(4)]).flatten(1) / 255
        self.turns = torch.arange(4).repeat_interleave(len(images))

    def forward(self, images):
        distance, nearest = torch.cdist(images.flatten(1), self.bank).min(1)
        known = torch.nn.functional.one_hot(self.turns[nearest], 4).float()
        return torch.where(distance[:, None] < 1e-2, known, torch.full((4,), 0.25))


def test_rankme_is_numpy():
    """exp of the entropy of the normalised singular values: 127.49 for N(0, I), 4096 x 128."""
    z = torch.randn(4096, 128, generator=generator())
    s = np.linalg.svd(z.double().numpy(), compute_uv=False)
    p = s / s.sum() + 1e-7
    assert float(rankme(z)) == pytest.approx(math.exp(-(p * np.log(p)).sum()), rel=1e-5)
    assert float(rankme(z)) == pytest.approx(127.49, abs=0.02)


def test_rankme_by_hand():
    """One direction has rank 1, an orthogonal frame that of its size, singular values 3 and 1 exp of their entropy."""
    one = torch.randn(64, 1, generator=generator()) * torch.randn(1, 16, generator=generator(1))
    assert float(rankme(one)) == pytest.approx(1, abs=1e-3)
    assert float(rankme(torch.eye(8))) == pytest.approx(8, rel=1e-4)
    # -(3/4 ln 3/4 + 1/4 ln 1/4) = 0.562335
    assert float(rankme(torch.diag(torch.tensor([3.0, 1.0])).double())) == pytest.approx(math.exp(0.562335), rel=1e-5)
    assert float(rankme(torch.zeros(4, 4))) == pytest.approx(1, abs=1e-4)


def test_rankme_is_not_centred():
    """As published: a constant added to every row is one more direction, here the only one that is seen."""
    z = torch.randn(256, 8, generator=generator())
    assert float(rankme(z + 1e5)) < 1.1 < 7 < float(rankme(z))


def test_spread_is_one_on_the_sphere_and_zero_in_a_point():
    """1 for directions that fill the sphere, whatever their lengths; 0 for one direction of any lengths."""
    z = torch.randn(4096, 64, generator=generator())
    lengths = torch.rand(4096, 1, generator=generator(1)) + 0.1
    assert float(spread(z)) == pytest.approx(1, abs=0.02)
    assert float(spread(z * lengths)) == pytest.approx(float(spread(z)), abs=1e-5)
    assert float(spread(torch.ones(64, 64))) == pytest.approx(0, abs=1e-6)
    assert float(spread(z[:1] * lengths)) == pytest.approx(0, abs=1e-5)


def test_an_invariant_encoder_measures_as_one():
    """Sorted pixels under quarter turns: cosine 1 everywhere, nothing to decode; the pixels themselves do change."""
    data = Data("noise", noise(60), noise(40, seed=1))
    found = along_orbits(Sorted(), data, ["quarter_turn"])["quarter_turn"]
    assert found["invariance"] == pytest.approx(1, abs=1e-6)
    assert found["decodability"] == pytest.approx(0, abs=1e-6)
    assert found["accuracy"] == pytest.approx(found["unmoved"]) and found["curves"]["parameter"] == [[0], [1], [2], [3]]
    assert np.allclose(found["curves"]["cosine"], 1) and len(found["curves"]["accuracy"]) == 4
    pixels = along_orbits(Pixels(1, 8), data, ["quarter_turn"])["quarter_turn"]["curves"]["cosine"]
    assert pixels[0] == pytest.approx(1, abs=1e-6) and max(pixels[1:]) < 0.9


def test_invariance_is_the_cosine_to_the_upright_image():
    """The centroid of a spot that is turned by p has the cosine cos(p) to where it was."""
    data = Data("spots", spots(20, True, seed=0), spots(10, True, seed=2))
    found = along_orbits(Centroid(), data, ["rotation"], k=8)["rotation"]
    angles = torch.tensor(found["curves"]["parameter"])[:, 0]
    np.testing.assert_allclose(found["curves"]["cosine"], angles.cos(), atol=5e-3)
    assert found["invariance"] == pytest.approx(sum(found["curves"]["cosine"]) / 8, abs=1e-6)


def test_an_equivariant_encoder_decodes_the_angle():
    """The centroid of a spot that starts to the right tells the angle; of one that starts anywhere, it cannot."""
    for own_angle in (False, True):
        data = Data("spots", spots(40, own_angle, seed=0), spots(30, own_angle, seed=2))
        found = along_orbits(Centroid(), data, ["rotation"])["rotation"]
        assert found["decodability"] < 0.1 if own_angle else found["decodability"] > 0.99
        assert "accuracy" not in found


def test_decoding_a_memory_does_not_generalise():
    """An encoder that knows the angle of the train images by heart tells nothing about others."""
    train, test = noise(40), noise(40, seed=1)
    encoder = Memory(train.images)
    assert along_orbits(encoder, Data("noise", train, train), ["quarter_turn"])["quarter_turn"]["decodability"] > 0.99
    assert along_orbits(encoder, Data("noise", train, test), ["quarter_turn"])["quarter_turn"]["decodability"] < 0.01


def test_the_penalty_is_chosen_on_other_images():
    """Versions of one image share a random frame, so that a choice by rows instead of images would be for overfit."""
    angle = torch.arange(8) * (math.tau / 8)
    target = torch.stack([angle.cos() - 1, angle.sin()], 1)
    frames = torch.randn(2, 40, 100, generator=generator()), torch.randn(2, 30, 100, generator=generator(1))
    fit, test = (torch.einsum("ke,end->knd", target, frame) for frame in frames)
    flat, repeated = fit.flatten(0, 1), target.repeat_interleave(40, 0)
    (overfit,) = ridge(flat, repeated, [1e-6])
    assert (overfit(flat) - repeated).square().mean() < 1e-3  # by heart
    score, penalty = decodability(fit, test, target)
    assert penalty == 1.0 and score < 0.3


def test_decodability_of_half_the_target():
    """Two outputs, one that is told and one that is not: the mean of 1 and 0."""
    k, n = 12, 20
    told, lost = torch.linspace(-1, 1, k), torch.randn(k, generator=generator(5))
    lost = lost - told * (lost @ told) / (told @ told) - lost.mean()
    h = told[:, None, None].expand(k, n, 1)
    assert decodability(h, h, torch.stack([told, lost], 1))[0] == pytest.approx(0.5, abs=1e-3)


def test_orbits_leaves_the_encoder_as_it_was():
    """Modes per module, weights, running statistics and gradients are what they were before."""
    torch.manual_seed(0)
    encoder = build_encoder("small", 3, 16).train()
    encoder.conv2.eval()
    modes = [module.training for module in encoder.modules()]
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    along_orbits(encoder, Data("noise", noise(12, 3, 16), noise(12, 3, 16, seed=1)), ["rotation", "color"], k=2)
    assert [module.training for module in encoder.modules()] == modes and True in modes and False in modes
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())
    assert all(p.grad is None and p.requires_grad for p in encoder.parameters())


def test_orbits_is_repeatable_and_reads_no_global_state():
    """The same seed gives the same numbers, whatever torch's own generator is at; another seed, other images."""
    data = Data("noise", noise(50), noise(50, seed=1))
    results = []
    for state, seed in ((0, 0), (1, 0), (0, 1)):
        torch.manual_seed(state)
        results.append(along_orbits(Pixels(1, 8), data, ["rotation"], k=3, images=20, seed=seed)["rotation"])
    assert results[0] == results[1] and results[0]["curves"] != results[2]["curves"]
    assert results[0]["protocol"]["train_images"] == results[0]["protocol"]["test_images"] == 20


class Recorder(Sorted):
    """Keeps what it was shown."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def forward(self, images):
        self.seen.append({tuple(image.tolist()) for image in images.mul(255).round().flatten(1)})
        return super().forward(images)


@pytest.mark.parametrize("labelled", [True, False])
def test_data_without_a_test_split_are_halved(labelled):
    """Fitted on one half, tested on the other, no image in both, `images` in each at most; labels are optional."""
    encoder, data = Recorder(), Data("noise", noise(31, labelled=labelled))
    found = along_orbits(encoder, data, ["flip"])["flip"]
    fit, test = encoder.seen[:2]  # the upright images come first
    assert not fit & test and len(fit | test) == 31
    assert found["protocol"]["train_images"] == 16 and found["protocol"]["test_images"] == 15
    assert ("accuracy" in found) == ("accuracy" in found["curves"]) == ("unmoved" in found) == labelled
    few = along_orbits(Sorted(), data, ["flip"], images=5)["flip"]["protocol"]
    assert few["train_images"] == few["test_images"] == 5


def test_unlabelled_test_images_give_no_accuracy():
    """Labels on one side only are as good as none."""
    data = Data("noise", noise(20), noise(20, labelled=False, seed=1))
    assert "accuracy" not in along_orbits(Sorted(), data, ["flip"])["flip"]


def test_a_name_stands_for_all_its_parameters_or_for_one():
    """`color` sweeps its four, `color.hue` one; several names in one call are all there; the order is not swept."""
    data = Data("noise", noise(12, 3, labelled=False), noise(12, 3, labelled=False, seed=1))
    parts = ["color.brightness", "color.contrast", "color.saturation", "color.hue"]
    every = along_orbits(Pixels(3, 8), data, ["color"], k=4)
    assert sorted(every) == sorted(parts)
    some = along_orbits(Pixels(3, 8), data, ["color.hue", "quarter_turn"], k=4)
    assert list(some) == ["color.hue", "quarter_turn"]
    assert some["color.hue"] == every["color.hue"]


def test_a_transform_object_is_taken_as_it_is():
    """Its own name and its own range, not the defaults of the name."""
    data = Data("noise", noise(12, labelled=False), noise(12, labelled=False, seed=1))
    found = along_orbits(Pixels(1, 8), data, [QuarterTurn(name="mine")])
    assert list(found) == ["mine"] and found["mine"]["curves"]["parameter"] == [[0], [1], [2], [3]]
    (found,) = along_orbits(Pixels(1, 8), data, [Rotation(Interval(-0.5, 0.5))], k=3).values()
    assert np.allclose(found["curves"]["parameter"], [[-0.5], [0], [0.5]])


@pytest.mark.parametrize(
    ("name", "near", "exists"),
    [("rotatoin", "rotation", "quarter_turn"), ("color.hu", "color.hue", "color.contrast"), ("colr", "color", "blur")],
)
def test_an_unknown_name_lists_what_exists(name, near, exists):
    """The error names what was asked for, all that there is and the nearest."""
    data = Data("noise", noise(6, 3), noise(6, 3, seed=1))
    with pytest.raises(ValueError, match=f"'{name}'; there are: .*{exists}.*Did you mean '{near}'"):
        along_orbits(Pixels(3, 8), data, [name])
