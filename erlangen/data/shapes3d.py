"""The procedural data set `shapes3d`: solids in space whose class, object and every latent are known exactly.

A small 3DIEBench: an object is a union of two ellipsoids and two boxes, a class is a prototype of their sizes and
places, an object the prototype plus a little noise, seen once, at a random pose, light and hues. Rays meet ellipsoids
and boxes in closed formulas, so an image is one too. Nothing is downloaded.
"""

import math
from collections.abc import Mapping
from types import MappingProxyType

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from erlangen.chunks import each
from erlangen.data.base import Split
from erlangen.data.shapes import _rgb
from erlangen.spaces import SO3, Circle, Interval, Space
from erlangen.spaces.rotations import matrix
from erlangen.views import generator

SPACES: Mapping[str, Space] = MappingProxyType(
    {
        "pose": SO3(limit=math.pi / 2),  # from the object's frame to x right, y up, z towards the viewer
        "light.azimuth": Circle(),  # whence it comes, as seen: radians, counter-clockwise from the right
        "light.elevation": Interval(math.pi / 6, math.pi / 3, neutral=math.pi / 2),  # over the image; pi/2: frontal
        "foreground": Circle(period=1.0),  # hue in turns
        "background": Circle(period=1.0),
    }
)
ELLIPSOIDS, PARTS = 2, 4  # the others are boxes
NUMBERS = 6 * PARTS  # of a code: for each part its half axes and its centre in the object's frame, in half images
LARGE = (0.6, 0.42, 0.28)  # half axes of the largest part, in any order, before noise: no two alike
RADIUS = 0.95  # of the ball that holds an object: no pose leaves the image
NOISE = 0.1  # of an object about its prototype: of the logarithms of half axes; half as much of the centres
AMBIENT = 0.35  # share of the light that comes from everywhere
NOWHERE = -1e3  # the height of what a ray does not meet
CHUNK = 16  # images drawn at a time: what is computed on the way stays in the processor's cache


def render3d(
    codes: Float[Tensor, "n 24"], latents: Mapping[str, Float[Tensor, "n _"]], size: int
) -> Float[Tensor, "n 3 {size} {size}"]:
    """Images in [0, 1] of `size` x `size` pixels, on the device and in the precision of `codes`.

    `codes` hold half axes and centre (x, y, z) of each part in the object's frame, ellipsoids first. Rays are parallel,
    four for each pixel; light comes from one direction (Lambert) and from everywhere, and throws no shadows. The paint
    is the object's own, brighter along its x axis and paler against its y axis, so that every pose is another image.
    `latents` are named and measured as in `SPACES` and may lie outside of what is drawn from there; other names are
    ignored.

    Raises ValueError for a `size` below 8 and for missing latents.
    """
    if size < 8:
        raise ValueError(f"`size` (={size}) of the images must be at least 8 pixels")
    missing = [name for name in SPACES if name not in latents]
    if missing:
        raise ValueError(f"`latents` (={', '.join(latents) or 'none'}) lack {', '.join(missing)}")
    axes = matrix(latents["pose"].to(codes))  # rows: what right, up and towards the viewer are to the object
    light = (_towards_light(latents).to(codes)[:, None] @ axes)[:, 0]
    line = (torch.arange(2 * size, dtype=codes.dtype, device=codes.device) + 0.5) / size - 1
    line = line.view(size, 2).T.flatten()  # the first ray of every pixel, then the second

    def placed(half: Tensor, centre: Tensor) -> _Rays:
        right, up, near = (axes[:, None, k] / half for k in range(3))
        return right[..., None] * line - (centre / half)[..., None], -up[..., None] * line, near[..., None]

    half, centre = codes.view(-1, PARTS, 2, 3).unbind(2)
    round_, flat = (placed(half[:, part], centre[:, part]) for part in (slice(ELLIPSOIDS), slice(ELLIPSOIDS, None)))
    heights, shades = zip(_ellipsoids(round_, half[:, :ELLIPSOIDS], light), _boxes(flat, light), strict=True)
    height, nearest = torch.cat(heights, 1).max(1, keepdim=True)
    met = height > NOWHERE
    columns, rows, near = placed(torch.ones_like(half[:, :1]), torch.zeros_like(half[:, :1]))
    x, y = (_plane(columns[:, :, i], rows[:, :, i]) + near[:, :, i, None] * height for i in range(2))
    shade = AMBIENT + (1 - AMBIENT) * torch.cat(shades, 1).gather(1, nearest)
    lit = met * shade * (0.7 + 0.3 * torch.tanh(2 * x))
    pale = lit * (0.35 - 0.35 * torch.tanh(2 * y))
    lit, pale, cover = (_pixels(rays) for rays in (lit, pale, met.to(codes)))
    front, back = (_rgb(latents[name].to(codes)) for name in ("foreground", "background"))
    return lit * front + pale * (1 - front) + (1 - cover) * 0.5 * back


def _towards_light(latents: Mapping[str, Tensor]) -> Float[Tensor, "n 3"]:
    azimuth, elevation = latents["light.azimuth"], latents["light.elevation"]
    return torch.cat([elevation.cos() * azimuth.cos(), elevation.cos() * azimuth.sin(), elevation.sin()], 1)


# Of rays, in coordinates in which a part is the unit ball or cube: (n, parts, 3, 1 or rays in a line). A point is
# columns + rows + height * near, its height the distance towards the viewer.
_Rays = tuple[Tensor, Tensor, Tensor]


def _plane(columns: Tensor, rows: Tensor) -> Tensor:
    """The sum of a function of the column and one of the row, for all rays."""
    return columns[..., None, :] + rows[..., None]


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """Of the three coordinates, the third dimension; faster than a sum over it."""
    (ax, ay, az), (bx, by, bz) = a.unbind(2), b.unbind(2)
    return torch.addcmul(torch.addcmul(ax * bx, ay, by), az, bz)


def _pixels(rays: Float[Tensor, "n 1 h2 w2"]) -> Float[Tensor, "n 1 h w"]:
    """Means of four."""
    h, w = rays.shape[2] // 2, rays.shape[3] // 2
    rays = rays[:, :, :h] + rays[:, :, h:]
    return (rays[..., :w] + rays[..., w:]) / 4


def _ellipsoids(rays: _Rays, half: Tensor, light: Tensor) -> tuple[Tensor, Tensor]:
    """Height and diffuse shade: the nearer of two points on the unit ball, whose normal is that point over `half`."""
    columns, rows, near = rays
    start, steep = _plane(columns, rows), _dot(near, near)[..., None]
    middle = _plane(_dot(columns, near), _dot(rows, near))
    root = middle.square() - steep * (_dot(start, start) - 1)
    height = torch.where(root > 0, (root.clamp_min(0).sqrt() - middle) / steep, NOWHERE)
    normal = (start + near[..., None] * height[:, :, None]) / half[..., None, None]
    towards = (light[:, None] / half)[..., None]
    cosine = _plane(_dot(columns, towards), _dot(rows, towards)) + _dot(near, towards)[..., None] * height
    return height, (cosine * _dot(normal, normal).rsqrt()).clamp_min(0)


def _boxes(rays: _Rays, light: Tensor) -> tuple[Tensor, Tensor]:
    """Height and diffuse shade: down a ray the last of the upper faces, if it comes before the first of the lower."""
    columns, rows, near = rays
    side = torch.where(near < 0, -1.0, 1.0).to(near)  # that looks at the viewer
    per = side * near.abs().clamp_min(1e-6)
    middle, thick = _plane(-columns / per, -rows / per), (1 / per.abs())[..., None]
    x, y, z = (middle + thick).unbind(2)
    height = torch.minimum(torch.minimum(x, y), z)
    faces = (side[..., 0] * light[:, None]).clamp_min(0)[..., None, None].unbind(2)
    shade = torch.where(x <= height, faces[0], torch.where(y <= height, faces[1], faces[2]))
    return torch.where(height > (middle - thick).amax(2), height, NOWHERE), shade


def draw_shapes3d(
    seed: int = 0, classes: int = 10, train: int = 5000, test: int = 1000, size: int = 32
) -> tuple[Split, Split]:
    """The splits for training and testing, on the CPU: all classes in both, no object in both.

    Image i is of class i % classes. `latents` holds those of `SPACES` and `code` (n, 24), all float32.
    The same arguments give the same bits on the same machine.

    Raises ValueError for fewer than 2 classes, 1 image or 8 pixels.
    """
    if classes < 2:
        raise ValueError(f"`classes` (={classes}) must be at least 2: there is nothing to tell apart")
    for name, count in (("train", train), ("test", test)):
        if count < 1:
            raise ValueError(f"`{name}` (={count}) is a number of images: at least 1")
    half, centre = _prototypes(classes, generator(seed, "shapes3d", "classes"))
    first, second = (
        _split(half, centre, count, size, generator(seed, "shapes3d", name))
        for name, count in (("train", train), ("test", test))
    )
    return first, second


def _prototypes(n: int, g: Generator) -> tuple[Float[Tensor, "c 4 3"], Float[Tensor, "c 4 3"]]:
    """Half axes and centres: a large part, in every other class a box, and three smaller ones on its surface."""
    main = torch.arange(n) % 2 * ELLIPSOIDS
    order = torch.rand(n, 3, generator=g, dtype=torch.float32).argsort(1)
    large = torch.tensor(LARGE, dtype=torch.float32)[order] * (0.15 * _normal((n, 3), g)).exp()
    half = 0.22 * (0.4 * _normal((n, PARTS, 3), g)).exp()
    toward = _normal((n, PARTS, 3), g)
    ball = toward / toward.square().sum(2, keepdim=True).sqrt()
    cube = toward / toward.abs().amax(2, keepdim=True)
    centre = large[:, None] * torch.where((main == 0)[:, None, None], ball, cube)
    rows = torch.arange(n)
    half[rows, main], centre[rows, main] = large, 0
    return half, centre


def _split(half: Tensor, centre: Tensor, n: int, size: int, g: Generator) -> Split:
    labels = torch.arange(n) % len(half)
    codes = _objects(half[labels], centre[labels], g)
    # float32 whatever the default precision, which must not change what the data set is
    columns = torch.rand(n, sum(s.dim for s in SPACES.values()), generator=g, dtype=torch.float32)
    drawn = torch.split(columns, [space.dim for space in SPACES.values()], dim=1)
    latents = {name: space.from_unit(u) for (name, space), u in zip(SPACES.items(), drawn, strict=True)}
    images = torch.empty(n, 3, size, size, dtype=torch.uint8)

    def draw(part: slice) -> None:
        chunk = render3d(codes[part], {name: p[part] for name, p in latents.items()}, size)
        images[part] = (255 * chunk).round().to(torch.uint8)

    each(draw, [slice(i, i + CHUNK) for i in range(0, n, CHUNK)])
    return Split(images, labels, {**latents, "code": codes})


def _objects(half: Tensor, centre: Tensor, g: Generator) -> Float[Tensor, "n 24"]:
    """With noise, and as large as fits the ball in every pose."""
    half = half * (NOISE * _normal(half.shape, g)).exp()
    centre = centre + NOISE / 2 * _normal(centre.shape, g)
    centre = centre - ((centre + half).amax(1, keepdim=True) + (centre - half).amin(1, keepdim=True)) / 2
    length = half.square().sum(2).sqrt()
    length[:, :ELLIPSOIDS] = half[:, :ELLIPSOIDS].amax(2)
    reach = (centre.square().sum(2).sqrt() + length).amax(1)
    return (RADIUS / reach)[:, None] * torch.stack([half, centre], 2).flatten(1)


def _normal(shape: tuple[int, ...], g: Generator) -> Tensor:
    return torch.randn(*shape, generator=g, dtype=torch.float32)
