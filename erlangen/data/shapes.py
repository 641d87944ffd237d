"""The procedural data set `shapes`: star-shaped figures whose class, object and every latent are known exactly.

A class is a prototype of the outline; an object is the prototype plus a little noise, seen once, at random latents.
So the class is what an invariant representation keeps and the latents are what an equivariant one can tell.
Nothing is downloaded; an image is a closed formula of its code and its latents.
"""

from collections.abc import Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from erlangen.data.base import Split
from erlangen.spaces import Circle, Factor, Interval, Space
from erlangen.views import generator

SPACES: Mapping[str, Space] = MappingProxyType(
    {
        "pose": Circle(),  # radians, counter-clockwise as seen, about the figure's own origin
        "scale": Factor(0.35, 0.55),  # mean radius, in half images
        "x": Interval(-0.2, 0.2),  # of the figure's origin, in half images from the centre to the right
        "y": Interval(-0.2, 0.2),  # likewise, downwards
        "foreground": Circle(period=1.0),  # hue in turns
        "background": Circle(period=1.0),
    }
)
UPRIGHT: Mapping[str, float] = MappingProxyType({"pose": 0.0, "foreground": 0.08, "background": 0.6})
"""Latents of figures that stand upright and have one colour, so that it shows what is done to them."""
HARMONICS = 5  # of the outline; a code holds cosine and sine parts, in this order: (a_1 cos, a_1 sin, a_2 cos, ...)
SPREAD = tuple(
    0.2 / k**0.8 for k in range(1, HARMONICS + 1) for _ in range(2)
)  # of the prototypes: the outline is smooth
NOISE = 0.25  # of an object about its prototype, in units of the spread
THINNEST = 0.15  # least radius of an outline, in units of the scale: a figure covers its own origin
SOFTNESS = 0.7  # of the edge, in pixels: it takes 3 to go from 10 % to 90 %
CHUNK = 64  # images drawn at a time: what is computed on the way stays in the processor's cache


def render(
    codes: Float[Tensor, "n 10"], latents: Mapping[str, Float[Tensor, "n _"]], size: int, symmetric: bool = False
) -> Float[Tensor, "n 3 {size} {size}"]:
    """Images in [0, 1] of `size` x `size` pixels, on the device and in the precision of `codes`.

    `codes` (a_1 cos phi_1, a_1 sin phi_1, a_2 cos phi_2, ...) give the radius of the outline in the direction `angle`
    of the figure's own frame, 1 + sum_k a_k cos(k angle + phi_k), in units of the scale. `latents` (n, 1) are named
    and measured as in `SPACES` and may lie outside of what is drawn from there; other names are ignored. The figure is
    shaded along its own x axis, so that every pose is another image; a `symmetric` one is not shaded.

    Raises ValueError for a `size` below 8 and for missing latents.
    """
    if size < 8:
        raise ValueError(f"`size` (={size}) of the images must be at least 8 pixels")
    missing = [name for name in SPACES if name not in latents]
    if missing:
        raise ValueError(f"`latents` (={', '.join(latents) or 'none'}) lack {', '.join(missing)}")
    pose, scale, x, y = (latents[name][:, :, None].to(codes) for name in ("pose", "scale", "x", "y"))

    centres = (torch.arange(size, dtype=codes.dtype, device=codes.device) + 0.5) * (2 / size) - 1
    right, up = (centres - x) / scale, (y - centres[:, None]) / scale  # (n, 1, w), (n, h, 1); rows point down
    cos, sin = pose.cos(), pose.sin()
    along, across = cos * right + sin * up, cos * up - sin * right  # (n, h, w) in the figure's own frame
    distance = torch.hypot(along, across)

    # a_k cos(k angle + phi_k) is the real part of a_k e^{i phi_k} z^k: a polynomial, no angle is computed
    z = torch.complex(along, across) / distance.clamp_min(torch.finfo(codes.dtype).tiny)
    waves = torch.zeros_like(z)
    for coefficient in torch.complex(codes[:, ::2], codes[:, 1::2]).unbind(1)[::-1]:
        waves = (waves + coefficient[:, None, None]) * z
    radius = (1 + waves.real).clamp_min(THINNEST)

    mask = torch.sigmoid((radius - distance) * scale * (size / 2 / SOFTNESS))[:, None]
    shade = 1.0 if symmetric else 0.75 + 0.25 * torch.tanh(2 * along)[:, None]
    foreground, background = (_rgb(latents[name].to(codes)) for name in ("foreground", "background"))
    return mask * shade * foreground + (1 - mask) * 0.5 * background


def draw_shapes(
    seed: int = 0,
    classes: int = 10,
    train: int = 5000,
    test: int = 1000,
    size: int = 32,
    symmetric: bool = False,
    fixed: Mapping[str, float] = MappingProxyType({}),
) -> tuple[Split, Split]:
    """The splits for training and testing, on the CPU: all classes in both, no object in both.

    Latents that are `fixed` (`UPRIGHT`) have this value everywhere, the others are drawn as they are without.

    Image i is of class i % classes. `latents` holds those of `SPACES` (n, 1) and `code` (n, 10), all float32.
    The same arguments give the same bits on the same machine.

    Raises ValueError for fewer than 2 classes, 1 image or 8 pixels.
    """
    if classes < 2:
        raise ValueError(f"`classes` (={classes}) must be at least 2: there is nothing to tell apart")
    for name, count in (("train", train), ("test", test)):
        if count < 1:
            raise ValueError(f"`{name}` (={count}) is a number of images: at least 1")
    if unknown := [name for name in fixed if name not in SPACES]:
        raise ValueError(f"`fixed` (={', '.join(unknown)}) are no latents of shapes; there are: {', '.join(SPACES)}")
    prototypes = _normal(classes, generator(seed, "shapes", "classes"))
    first, second = (
        _split(prototypes, count, size, symmetric, fixed, generator(seed, "shapes", name))
        for name, count in (("train", train), ("test", test))
    )
    return first, second


def _split(
    prototypes: Float[Tensor, "c 10"], n: int, size: int, symmetric: bool, fixed: Mapping[str, float], g: Generator
) -> Split:
    labels = torch.arange(n) % len(prototypes)
    codes = prototypes[labels] + NOISE * _normal(n, g)
    # float32 whatever the default precision, which must not change what the data set is
    columns = torch.rand(n, sum(s.dim for s in SPACES.values()), generator=g, dtype=torch.float32)
    drawn = torch.split(columns, [space.dim for space in SPACES.values()], dim=1)
    latents = {name: space.from_unit(u) for (name, space), u in zip(SPACES.items(), drawn, strict=True)}
    latents |= {name: torch.full_like(latents[name], value) for name, value in fixed.items()}
    images = torch.empty(n, 3, size, size, dtype=torch.uint8)
    for i in range(0, n, CHUNK):
        part = slice(i, i + CHUNK)
        chunk = render(codes[part], {name: p[part] for name, p in latents.items()}, size, symmetric)
        images[part] = (255 * chunk).round().to(torch.uint8)
    return Split(images, labels, {**latents, "code": codes})


def _normal(n: int, g: Generator) -> Float[Tensor, "n 10"]:
    """Codes about the circle, whose law does not change when the figure is turned."""
    return torch.randn(n, 2 * HARMONICS, generator=g, dtype=torch.float32) * torch.tensor(SPREAD, dtype=torch.float32)


def _rgb(hue: Float[Tensor, "n 1"]) -> Float[Tensor, "n 3 1 1"]:
    """The fully saturated colour of a hue in turns."""
    k = (6 * hue + torch.tensor([5.0, 3.0, 1.0]).to(hue)) % 6
    return (1 - torch.minimum(k, 4 - k).clamp(0, 1))[:, :, None, None]
