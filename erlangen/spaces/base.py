"""What every space can do."""

from typing import Protocol, runtime_checkable

from jaxtyping import Bool, Float
from torch import Tensor


@runtime_checkable
class Space(Protocol):
    """What every space can do. `identity` may lie outside of what is drawn (a blur of sigma 0)."""

    @property
    def dim(self) -> int: ...
    @property
    def identity(self) -> Float[Tensor, " dim"]: ...
    def from_unit(self, u: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """Uniform numbers in [0, 1) to parameters: how training draws."""
        ...

    def grid(self, k: int) -> Float[Tensor, "k dim"]:
        """`k` parameters that cover the space: what a measure sweeps."""
        ...

    def unit(self, p: Float[Tensor, "n dim"]) -> Float[Tensor, "n dim"]:
        """Parameters to [0, 1]; those outside of the range that is drawn may leave it."""
        ...

    def embed(self, p: Float[Tensor, "n dim"]) -> Float[Tensor, "n e"]:
        """The parameter as a regression target without jumps; the identity is the zero vector."""
        ...

    def relative(self, p: Float[Tensor, "n dim"], q: Float[Tensor, "n dim"]) -> Float[Tensor, "n e"]:
        """What leads from p to q, embedded."""
        ...

    def valid(self, p: Float[Tensor, "n dim"]) -> Bool[Tensor, " n"]:
        """Which rows mean anything at all, drawn or not: finite, and within what the parameter can be."""
        ...

    def __hash__(self) -> int: ...  # a frozen dataclass has one


def finite(p: Tensor) -> Bool[Tensor, " n"]:
    return p.isfinite().all(1)


def check_grid(k: int) -> None:
    if k < 1:
        raise ValueError(f"a grid needs `k` (={k}) of at least 1")
