"""Images from frozen representations, and other ones by editing the group axis of DUET's (arXiv:2306.16058).

A representation (n, d) of DUET is a grid, groups x bins x content, row by row (`DUET.grid`). Each group has a marginal,
the softmax over its bins of the mean over the content. `roll` and `reweight` edit one group: they give its marginal
another parameter g and leave the others alone.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from erlangen import losses
from erlangen.encoders.frozen import represent
from erlangen.solvers import standardisation
from erlangen.views import generator, mix, to_float

WIDTH = 32  # maps of the decoder's largest layer


class Decoder(nn.Module):
    """Standardised representations (n, d) to images (n, c, s, s) in [0, 1], the same network for every encoder.

    A linear map to 64 maps of a quarter of the size, then two transposed convolutions that double it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, channels: int, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.size, side = size, -(-size // 4)
        self.net = nn.Sequential(
            nn.Linear(len(mean), 2 * WIDTH * side**2),
            nn.Unflatten(1, (2 * WIDTH, side, side)),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * WIDTH, WIDTH, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(WIDTH, channels, 4, 2, 1),
            nn.Sigmoid(),
        )

    def forward(self, z: Float[Tensor, "n d"]) -> Float[Tensor, "n c s s"]:
        images: Tensor = self.net((z - self.mean) / self.std)
        return images[..., : self.size, : self.size]


def fit(
    z: Float[Tensor, "n d"],
    images: Shaped[Tensor, "n c s s"],
    steps: int = 1000,
    batch_size: int = 128,
    lr: float = 2e-3,
    seed: int = 0,
) -> Decoder:
    """The decoder whose mean squared error on these images (bytes, or floats in [0, 1]) is small: Adam, cosine to 0.

    In float32, the images drawn with replacement. The same seed gives the same bits. `ValueError` without a
    row, or for images and representations that do not fit each other.
    """
    if min(len(z), steps, batch_size) < 1:
        raise ValueError(f"a decoder needs images (={len(z)}), `steps` (={steps}) and a `batch_size` (={batch_size})")
    _check(z, images)
    z = z.float()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix(seed, "decoder"))
        decoder = Decoder(*standardisation(z), images.shape[1], images.shape[-1]).to(z.device, torch.float32)
    adam = torch.optim.Adam(decoder.parameters(), lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    drawn = torch.randint(len(z), (steps, batch_size), generator=generator(seed, "decoder", "images")).to(z.device)
    with torch.enable_grad():
        for rows in drawn:
            adam.zero_grad()
            torch.autograd.backward(F.mse_loss(decoder(z[rows]), to_float(images[rows]).float()))
            adam.step()
            schedule.step()
    return decoder.eval().requires_grad_(False)


def reconstruct(
    encoder: nn.Module,
    train: Shaped[Tensor, "n c s s"],
    test: Shaped[Tensor, "m c s s"],
    steps: int = 1000,
    seed: int = 0,
) -> tuple[Decoder, Float[Tensor, " m"]]:
    """A decoder of what the frozen encoder makes of the train images, and its squared error for each test image."""
    decoder = fit(represent(encoder, train), train, steps, seed=seed)
    return decoder, squared_errors(decoder, represent(encoder, test), test)


@torch.no_grad()
def squared_errors(
    decoder: nn.Module, z: Float[Tensor, "n d"], images: Shaped[Tensor, "n c s s"], size: int = 512
) -> Float[Tensor, " n"]:
    """Of each decoded image, the mean over channels and pixels (in [0, 1]); `ValueError` as for `fit`."""
    _check(z, images)
    errors = []
    for part, x in zip(torch.split(z, size), torch.split(images, size), strict=True):
        decoded = decoder(part.float())
        if decoded.shape != x.shape:
            raise ValueError(
                f"the `decoder` gives {tuple(decoded.shape)} for `images` {tuple(x.shape)}: fit it to such"
            )
        errors.append((decoded - to_float(x)).square().mean((1, 2, 3)))
    return torch.cat(errors)


def _check(z: Float[Tensor, "n d"], images: Shaped[Tensor, "n c s s"]) -> None:
    """`ValueError` unless there is one square image, in bytes or in [0, 1], for each finite representation."""
    if len(z) != len(images) or images.shape[2] != images.shape[3]:
        raise ValueError(f"`images` {tuple(images.shape)} must be square, one for each of {len(z)} representations `z`")
    if not bool(z.isfinite().all()):
        raise ValueError("the representations `z` are not all finite")
    if images.dtype != torch.uint8 and not bool(((images >= -0.01) & (images <= 1.01)).all()):  # resampling rounds
        raise ValueError(f"`images` ({images.dtype}) must be bytes (uint8), or numbers in [0, 1]")


def roll(z: Float[Tensor, "n d"], bins: int, shift: float, groups: int = 1, group: int = 0) -> Float[Tensor, "n d"]:
    """A cyclic group's axis rolled: row j becomes row j + `shift`, which is `shift` / `bins` of a turn more.

    Of rows (1, 2, 3, 4), rolled by 1: (4, 1, 2, 3). `ValueError` unless the shift is whole and the width divisible.
    """
    if not math.isfinite(shift) or shift != round(shift):
        raise ValueError(f"`shift` (={shift}) is a number of bins: it must be whole")
    grid = _grid(z, bins, groups, group)
    return _with(grid, group, grid[:, group].roll(round(shift), 1))


def reweight(
    z: Float[Tensor, "n d"],
    bins: int,
    old: Float[Tensor, "n 1"],
    new: Float[Tensor, "n 1"],
    target: losses.Target = "ga",
    width: float = 0.2,
    marginal: losses.Marginal = "mean",
    groups: int = 1,
    group: int = 0,
) -> Float[Tensor, "n d"]:
    """A group's rows re-weighted from the parameter `old` to `new`, for groups that are not cyclic.

    The marginal is multiplied by target(new) / target(old). It is a softmax, so that each row gets the logarithm of its
    ratio (its share of it if the `marginal` sums over the content): a marginal that is the target of `old` becomes
    that of `new`. Parameters are in [0, 1], or little beyond it (DUET's scale). `ValueError` for others, and unless the
    width is divisible.
    """
    grid = _grid(z, bins, groups, group)
    for name, g in (("old", old), ("new", new)):
        if g.shape != (len(z), 1) or not bool(((g >= -0.5) & (g <= 1.5)).all()):
            raise ValueError(
                f"`{name}` {tuple(g.shape)} must have one number in [0, 1] for each of {len(z)} rows of `z`"
            )
    ratio = losses.log_target(new, bins, target, width) - losses.log_target(old, bins, target, width)
    share = 1 if marginal == "mean" else 1 / grid.shape[-1]
    return _with(grid, group, grid[:, group] + share * ratio[:, :, None].to(grid))


def _grid(z: Tensor, bins: int, groups: int, group: int) -> Float[Tensor, "n k g c"]:
    if bins < 2 or groups < 1 or z.shape[1] % (bins * groups):
        raise ValueError(
            f"`bins` (={bins}, at least 2) times `groups` (={groups}) must divide the width (={z.shape[1]})"
        )
    if not 0 <= group < groups:
        raise ValueError(f"`group` (={group}) is the number of one of the `groups` (={groups}), from 0")
    return z.reshape(len(z), groups, bins, -1)


def _with(grid: Tensor, group: int, rows: Tensor) -> Tensor:
    """The representation, one group's rows replaced."""
    return torch.cat([grid[:, :group], rows[:, None], grid[:, group + 1 :]], 1).flatten(1)
