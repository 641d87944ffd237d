"""Editing the group axis against loops and closed forms, and decoders whose answer is known."""

import math

import pytest
import torch

from erlangen import losses
from erlangen.encoders import build_encoder
from erlangen.probes import decode

GROUPS = [(8, 1, 0), (4, 2, 1), (3, 3, 0)]


def representation(n: int = 5, d: int = 72) -> torch.Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def marginals(z: torch.Tensor, bins: int, groups: int) -> torch.Tensor:
    return losses.log_marginal(z.view(len(z), groups, bins, -1)).exp()


@pytest.mark.parametrize("bins, groups, group", GROUPS)
def test_rolling_is_a_cyclic_group(bins, groups, group):
    """Rolling by G does nothing, by k and then -k neither, by a and then b is by a + b; other groups stay."""
    z = representation()

    def roll(x, shift):
        return decode.roll(x, bins, shift, groups, group)

    assert torch.equal(roll(z, bins), z) and torch.equal(roll(z, 0), z)
    assert torch.equal(roll(roll(z, 2), -2), z) and torch.equal(roll(roll(z, 1), 2), roll(z, 3))
    assert not torch.equal(roll(z, 1), z)
    assert torch.equal(roll(z, 1.0), roll(z, 1))


@pytest.mark.parametrize("bins, groups, group", GROUPS)
def test_rolling_moves_rows(bins, groups, group):
    """Against a loop over single numbers: bin j of the group becomes bin j + shift, with all its content."""
    z = representation()
    content = z.shape[1] // bins // groups
    moved = decode.roll(z, bins, 2, groups, group)
    for k in range(groups):
        for j in range(bins):
            for c in range(content):
                there = (j + 2) % bins if k == group else j
                old, new = ((k * bins + x) * content + c for x in (j, there))
                assert torch.equal(moved[:, new], z[:, old])


def test_the_worked_roll():
    """Rows (1, 2, 3, 4) rolled by 1 are (4, 1, 2, 3)."""
    assert decode.roll(torch.tensor([[1.0, 2.0, 3.0, 4.0]]), 4, 1).tolist() == [[4.0, 1.0, 2.0, 3.0]]


@pytest.mark.parametrize("bins, groups, group", GROUPS)
@pytest.mark.parametrize("target, width", [("ga", 0.2), ("vm", 3.0)])
def test_reweighting_multiplies_the_marginal(bins, groups, group, target, width):
    """The marginal after it is the one before, times target(new) / target(old), normalised; other groups stay."""
    z, g = representation(), torch.Generator().manual_seed(1)
    old, new = (torch.rand(len(z), 1, generator=g, dtype=torch.float64) for _ in range(2))
    edited = decode.reweight(z, bins, old, new, target, width, groups=groups, group=group)
    before, after = marginals(z, bins, groups), marginals(edited, bins, groups)
    ratio = (losses.log_target(new, bins, target, width) - losses.log_target(old, bins, target, width)).exp()
    for i in range(len(z)):
        for k in range(groups):
            expected = [float(before[i, k, j] * (ratio[i, j] if k == group else 1)) for j in range(bins)]
            for j in range(bins):
                assert math.isclose(float(after[i, k, j]), expected[j] / sum(expected), rel_tol=1e-9)


@pytest.mark.parametrize("marginal", ["mean", "sum"])
def test_reweighting_leads_from_target_to_target(marginal):
    """A marginal that is the target of `old` becomes that of `new`; to the same parameter nothing changes."""
    old, new = torch.tensor([[0.1], [0.7]]).double(), torch.tensor([[0.9], [0.3]]).double()
    wanted, start = (losses.log_target(x, 8, "ga", 0.2) for x in (new, old))
    z = (start if marginal == "mean" else start / 9)[:, :, None].expand(-1, -1, 9).flatten(1)
    edited = decode.reweight(z, 8, old, new, marginal=marginal)
    found = losses.log_marginal(edited.view(2, 8, 9), marginal)
    torch.testing.assert_close(found, wanted, rtol=1e-10, atol=1e-10)
    assert torch.equal(decode.reweight(z, 8, old, old, marginal=marginal), z)


def test_an_equivariant_representation_turns_exactly():
    """A ring of 8 pixels, one in each row of z, times a content code: rolling z rolls what is decoded."""
    g = torch.Generator().manual_seed(2)
    rings, code = torch.rand(6, 8, generator=g, dtype=torch.float64), torch.rand(9, generator=g, dtype=torch.float64)
    z = (rings[:, :, None] * code).flatten(1)
    for k in range(-8, 9):
        decoded = decode.roll(z, 8, k).view(6, 8, 9) @ code / code.square().sum()
        torch.testing.assert_close(decoded, rings.roll(k, 1), rtol=1e-12, atol=1e-12)


def test_errors_are_means_over_pixels():
    """Image by image, by a loop over the pixels, whatever the chunks; bytes are fractions of 255."""
    images = torch.randint(256, (7, 2, 4, 4), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    z = torch.rand(7, 32, generator=torch.Generator().manual_seed(1))

    class Folded(torch.nn.Module):
        def forward(self, x):
            return x.view(-1, 2, 4, 4)

    found = decode.squared_errors(Folded(), z, images, size=3)
    for i in range(7):
        flat = images[i].flatten().tolist()
        slow = sum((float(a) - b / 255) ** 2 for a, b in zip(z[i], flat, strict=True)) / 32
        assert math.isclose(float(found[i]), slow, rel_tol=1e-5)


@pytest.fixture(scope="module")
def bars():
    """Images of 10 px with one bright bar, which two numbers tell."""
    place = torch.rand(256, generator=torch.Generator().manual_seed(0)) * 8
    x = torch.arange(10)
    images = (-((x - place[:, None]) ** 2) / 4).exp()[:, None, None].expand(-1, -1, 10, -1).contiguous()
    return torch.stack([(place * 0.7).sin(), (place * 0.7).cos()], 1), images


def test_a_decoder_learns_and_is_its_seeds(bars):
    """On other images its error is a tenth of the mean image's; the seed decides every bit, torch's own does not."""
    z, images = bars
    torch.manual_seed(5)
    first = decode.fit(z[:192], images[:192], steps=150, batch_size=32, lr=0.01)
    after = torch.rand(1)
    torch.manual_seed(6)
    again = decode.fit(z[:192], images[:192], steps=150, batch_size=32, lr=0.01)
    start, other = (decode.fit(z[:192], images[:192], steps=1, lr=0.0, seed=seed) for seed in (0, 1))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(next(start.parameters()), next(other.parameters()))
    torch.manual_seed(5)
    assert torch.equal(after, torch.rand(1))
    decoded = first(z[192:])
    assert decoded.shape == images[192:].shape and 0 <= float(decoded.min()) <= float(decoded.max()) <= 1
    error = decode.squared_errors(first, z[192:], images[192:]).mean()
    mean_image = (images[192:] - images[:192].mean(0)).square().mean()
    assert float(error) < 0.1 * float(mean_image)
    assert not first.training and not any(p.requires_grad for p in first.parameters())


def test_the_encoder_stays_as_it_is(bars):
    """It is run in eval mode and given back as it was: mode, weights and BatchNorm statistics, bitwise."""
    torch.manual_seed(0)
    encoder = build_encoder("small", 1, 10)
    before = {name: x.clone() for name, x in encoder.state_dict().items()}
    _, images = bars
    encoder.train()
    modes = []
    encoder.register_forward_pre_hook(lambda module, _: modes.append(module.training))
    decoder, errors = decode.reconstruct(encoder, images[:192], images[192:], steps=5)
    assert modes and not any(modes) and encoder.training
    assert all(torch.equal(x, before[name]) for name, x in encoder.state_dict().items())
    assert all(p.grad is None for p in encoder.parameters())
    again = decode.squared_errors(decoder, encoder.eval()(images[192:]).detach(), images[192:])
    torch.testing.assert_close(errors, again)


def test_bad_input():
    """Each is refused by name."""
    z = representation()
    for edit in (
        lambda **k: decode.roll(z, shift=1, **k),
        lambda **k: decode.reweight(z, old=torch.zeros(5, 1), new=torch.zeros(5, 1), **k),
    ):
        for bins, groups in ((7, 1), (8, 5), (1, 1), (8, 0)):
            with pytest.raises(ValueError, match=rf"`bins` \(={bins}.*`groups` \(={groups}\) must divide.*\(=72\)"):
                edit(bins=bins, groups=groups)
        with pytest.raises(ValueError, match=r"`group` \(=2\)"):
            edit(bins=4, groups=2, group=2)
    for shift in (0.5, math.nan, math.inf):
        with pytest.raises(ValueError, match=rf"`shift` \(={shift}\)"):
            decode.roll(z, 8, shift)
    for values in ({"steps": 0}, {"batch_size": 0}):
        with pytest.raises(ValueError, match=f"`{next(iter(values))}`"):
            decode.fit(z.float(), torch.zeros(5, 1, 8, 8), **values)
    with pytest.raises(ValueError, match=r"images \(=0\)"):
        decode.fit(z[:0].float(), torch.zeros(0, 1, 8, 8))


@pytest.mark.parametrize(
    "g", [torch.full((5, 1), 7.0), torch.full((5, 1), math.nan), torch.zeros(4, 1), torch.zeros(5, 2)]
)
def test_parameters_far_off_are_refused(g, unchecked):
    """One in [0, 1] for each row, or little beyond it, where DUET's scale is."""
    z, good = representation(), torch.full((5, 1), -0.1)
    assert decode.reweight(z, 8, good, good + 1.2).isfinite().all()
    for name, values in (("old", (g, good)), ("new", (good, g))):
        with pytest.raises(ValueError, match=rf"`{name}` .* one number in \[0, 1\] for each of 5 rows"):
            decode.reweight(z, 8, *values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(6, 1, 8, 8)}, r"`images` \(6, 1, 8, 8\) must be square, one for each of 5"),
        ({"images": torch.zeros(4, 1, 8, 8)}, r"`images` \(4, 1, 8, 8\) must be square, one for each of 5"),
        ({"images": torch.zeros(5, 1, 8, 12)}, r"`images` \(5, 1, 8, 12\) must be square"),
        ({"images": torch.zeros(5, 1, 1, 8)}, r"`images` \(5, 1, 1, 8\) must be square"),
        ({"images": torch.full((5, 1, 8, 8), 100.0)}, r"`images` \(torch.float32\) must be bytes"),
        ({"images": torch.full((5, 1, 8, 8), math.nan)}, r"`images` \(torch.float32\) must be bytes"),
        ({"z": torch.full((5, 72), math.nan)}, "`z` are not all finite"),
    ],
)
def test_images_and_representations_must_fit(change, message, unchecked):
    """As many of the one as of the other, square images of known scale, numbers that are some."""
    good = {"z": representation().float(), "images": torch.zeros(5, 1, 8, 8)}
    decoder = decode.fit(**good, steps=1)
    for call in (lambda **k: decode.fit(**k, steps=1), lambda **k: decode.squared_errors(decoder, **k)):
        call(**good)
        with pytest.raises(ValueError, match=message):
            call(**good | change)


def test_errors_are_of_images_like_the_decoded():
    """Images of another size or in colour are refused, not spread."""
    z = representation().float()
    decoder = decode.fit(z, torch.zeros(5, 1, 8, 8), steps=1)
    for shape in ((5, 3, 8, 8), (5, 1, 1, 1)):
        with pytest.raises(ValueError, match=r"the `decoder` gives \(5, 1, 8, 8\) for `images` \(5, "):
            decode.squared_errors(decoder, z, torch.zeros(shape))
