"""What a term is: its hyperparameters, and two functions."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from erlangen.nets import Encoder
from erlangen.views import View

N = TypeVar("N", bound=nn.Module)


class Value(NamedTuple):
    """A term's loss over this rank's images, or over all where it gathers; and what is logged, detached."""

    loss: Float[Tensor, ""]
    logs: dict[str, Float[Tensor, ""]]


@runtime_checkable
class Term(Protocol[N]):
    """A frozen dataclass of hyperparameters; it reads what the encoder returned and never runs it.

    One that leaves out the first views has a field `first`, the number of those that it leaves out.
    """

    def build(self, encoder: Encoder) -> N:
        """The networks of the term, without the encoder."""
        ...

    def loss(self, nets: N, views: Sequence[View], features: Sequence[Tensor]) -> Value:
        """Arithmetic on the features (n, dim), one for each view; writes nothing in `nets`."""
        ...

    def couples(self) -> bool:
        """Whether the loss of an image depends on the others of its batch, BatchNorm aside."""
        ...


AnyTerm = Term[Any]
