"""The rotations of space, SO(3), as unit quaternions (x, y, z, w): q and -q are one rotation.

A rotation of angle a about the unit axis n is (n sin(a/2), cos(a/2)). `multiply(p, q)` turns by q first, then by p, as
the product of their matrices does. Axes are x to the right, y up, z towards the viewer.
"""

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from erlangen.spaces.base import check_grid, finite

Quaternions = Float[Tensor, "*n 4"]
TOLERANCE = 1e-3  # within which the length of a quaternion must be 1
PLASTIC = 1.32471795724474602596  # root of x^3 = x + 1: its powers are badly approximated by fractions, together


@dataclass(frozen=True)
class SO3:
    """Rotations, drawn uniformly (Haar), or by Euler angles x, y, z each uniform in [-`limit`, `limit`].

    The angles turn about the fixed axes, x first (scipy's "xyz"; 3DIEBench has `limit` pi/2). What leads from p to q is
    q p^-1 in the fixed frame (`convention` "left") or p^-1 q in the object's ("right": SIE, 3DIEBench). The `target` is
    the quaternion minus the neutral one, or the first two columns of the matrix minus those of the unit matrix ("six"),
    which knows no sign. A `canonical` space draws and returns quaternions with w >= 0 only; raw ones change their sign
    somewhere on every full turn. Of the 4 uniform numbers of a draw the last is not used.
    """

    limit: float | None = None
    convention: Literal["left", "right"] = "left"
    target: Literal["quaternion", "six"] = "quaternion"
    canonical: bool = False
    dim: ClassVar[int] = 4

    def __post_init__(self) -> None:
        if self.limit is not None and not 0 < self.limit <= math.pi:
            raise ValueError(
                f"`limit` (={self.limit}) of the angles must lie in (0, pi]; None draws from all rotations"
            )
        for name, value, known in (
            ("convention", self.convention, ("left", "right")),
            ("target", self.target, ("quaternion", "six")),
        ):
            if value not in known:
                raise ValueError(f"`{name}` (={value}) is one of: {', '.join(known)}")

    @property
    def identity(self) -> Float[Tensor, " 4"]:
        return torch.tensor([0.0, 0.0, 0.0, 1.0])

    def from_unit(self, u: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        """Shoemake's map of the cube to the sphere, or Euler angles that are linear in u."""
        if self.limit is not None:
            return self._signed(from_euler(self.limit * (2 * u[:, :3] - 1)))
        near, far = (1 - u[:, 0]).sqrt(), u[:, 0].sqrt()
        a, b = math.tau * u[:, 1], math.tau * u[:, 2]
        return self._signed(torch.stack([near * a.sin(), near * a.cos(), far * b.sin(), far * b.cos()], -1))

    def grid(self, k: int) -> Float[Tensor, "{k} 4"]:
        """The draws of `k` points that fill the cube evenly (a Kronecker lattice): the grids of two `k` share none."""
        check_grid(k)
        i = torch.arange(k, dtype=torch.float64)
        u = torch.stack([(i + 0.5) / k, (i / PLASTIC) % 1, (i / PLASTIC**2) % 1, 0 * i], -1)
        return self.from_unit(u).to(torch.get_default_dtype())

    def unit(self, p: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        """Each number of the quaternion from [-1, 1] to [0, 1]."""
        return ((p + 1) / 2).clamp(0, 1)

    def embed(self, p: Float[Tensor, "n 4"]) -> Float[Tensor, "n e"]:
        if self.target == "six":
            return (matrix(p) - torch.eye(3).to(p))[:, :, :2].transpose(1, 2).flatten(1)
        return self._signed(p) - self.identity.to(p)

    def relative(self, p: Float[Tensor, "n 4"], q: Float[Tensor, "n 4"]) -> Float[Tensor, "n e"]:
        turned = multiply(q, inverse(p)) if self.convention == "left" else multiply(inverse(p), q)
        length = torch.linalg.vector_norm(turned, dim=-1, keepdim=True)
        return self.embed(turned / length)  # of p and p the neutral one, without rounding

    def valid(self, p: Float[Tensor, "n 4"]) -> Bool[Tensor, " n"]:
        return finite(p) & ((p.square().sum(1).sqrt() - 1).abs() < TOLERANCE)

    def _signed(self, p: Float[Tensor, "n 4"]) -> Float[Tensor, "n 4"]:
        return torch.where(p[:, 3:] < 0, -p, p) if self.canonical else p


def multiply(p: Quaternions, q: Quaternions) -> Quaternions:
    """The rotation q, then p: Hamilton's product."""
    px, py, pz, pw = p.unbind(-1)
    qx, qy, qz, qw = q.unbind(-1)
    x = (pw * qx + px * qw) + (py * qz - pz * qy)
    y = (pw * qy + py * qw) + (pz * qx - px * qz)
    z = (pw * qz + pz * qw) + (px * qy - py * qx)
    w = pw * qw - px * qx - py * qy - pz * qz
    return torch.stack([x, y, z, w], -1)


def inverse(p: Quaternions) -> Quaternions:
    """The rotation back; of unit quaternions, so that nothing is divided."""
    return p * torch.tensor([-1.0, -1.0, -1.0, 1.0]).to(p)


def matrix(p: Quaternions) -> Float[Tensor, "*n 3 3"]:
    """Of which the columns are where the rotation takes the axes; `matrix(p) @ v` turns the column v."""
    x, y, z, w = p.unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)], -1),
        torch.stack([2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)], -1),
        torch.stack([2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def from_euler(angles: Float[Tensor, "*n 3"], degrees: bool = False) -> Quaternions:
    """Turns about the fixed axes x, y and z, in this order, in radians unless `degrees`."""
    half = (angles.deg2rad() if degrees else angles) / 2
    cx, cy, cz = half.cos().unbind(-1)
    sx, sy, sz = half.sin().unbind(-1)
    x = sx * cy * cz - cx * sy * sz
    y = cx * sy * cz + sx * cy * sz
    z = cx * cy * sz - sx * sy * cz
    w = cx * cy * cz + sx * sy * sz
    return torch.stack([x, y, z, w], -1)


def geodesic(p: Quaternions, q: Quaternions) -> Float[Tensor, "*n"]:
    """The angle of the rotation that leads from p to q, in radians, from 0 to pi; q and -q are one."""
    turned = multiply(q, inverse(p))
    return 2 * torch.atan2(torch.linalg.vector_norm(turned[..., :3], dim=-1), turned[..., 3].abs())
