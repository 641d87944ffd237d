"""Images from frozen representations, and other ones by editing the group axis of DUET's (arXiv:2306.16058).

A representation (n, d) of DUET is a grid, groups x bins x content, row by row (`DUET.grid`). Each group has a marginal,
the softmax over its bins of the mean over the content. `roll` and `reweight` edit one group: they give its marginal
another parameter g and leave the others alone.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor, nn

from erlangen import losses
from erlangen.encoders.frozen import represent
from erlangen.solvers import standardisation
from erlangen.views import generator, mix, to_float


class Decoder(nn.Module):
    """Standardised representations (n, d) to images (n, c, s, s) in [0, 1], the same network for every encoder.

    A linear map to 2 `width` maps of a quarter of the size, then two transposed convolutions that double it.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Tensor, std: Tensor, channels: int, size: int, width: int = 32) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("std", std)
        self.size, side = size, -(-size // 4)
        self.net = nn.Sequential(
            nn.Linear(len(mean), 2 * width * side**2),
            nn.Unflatten(1, (2 * width, side, side)),
            nn.ReLU(),
            nn.ConvTranspose2d(2 * width, width, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(width, channels, 4, 2, 1),
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
    width: int = 32,
    seed: int = 0,
) -> Decoder:
    """The decoder whose mean squared error on these images (bytes, or floats in [0, 1]) is small: Adam, cosine to 0.

    In float32, the images drawn with replacement. The same seed gives the same bits. `ValueError` without a row.
    """
    if min(len(z), steps, batch_size) < 1:
        raise ValueError(f"a decoder needs images (={len(z)}), `steps` (={steps}) and a `batch_size` (={batch_size})")
    z = z.float()
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(mix(seed, "decoder"))
        decoder = Decoder(*standardisation(z), images.shape[1], images.shape[-1], width).to(z.device, torch.float32)
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
    """Of each decoded image, the mean over channels and pixels (in [0, 1])."""
    parts = zip(torch.split(z, size), torch.split(images, size), strict=True)
    return torch.cat([(decoder(part.float()) - to_float(x)).square().mean((1, 2, 3)) for part, x in parts])


def roll(z: Float[Tensor, "n d"], bins: int, shift: float, groups: int = 1, group: int = 0) -> Float[Tensor, "n d"]:
    """A cyclic group's axis rolled: row j becomes row j + `shift`, which is `shift` / `bins` of a turn more.

    Of rows (1, 2, 3, 4), rolled by 1: (4, 1, 2, 3). `ValueError` unless the shift is whole and the width divisible.
    """
    if shift != round(shift):
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
    """A group's rows re-weighted from the parameter `old` to `new` (in [0, 1]), for groups that are not cyclic.

    The marginal is multiplied by target(new) / target(old). It is a softmax, so that each row gets the logarithm of its
    ratio (its share of it if the `marginal` sums over the content): a marginal that is the target of `old` becomes
    that of `new`. `ValueError` unless the width is divisible.
    """
    grid = _grid(z, bins, groups, group)
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
