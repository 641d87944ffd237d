"""What is added to the loss of any method: terms that read the parameters of its views. One file each."""

from typing import Any

from erlangen.names import discovered
from erlangen.terms.augself import AugSelf
from erlangen.terms.base import AnyTerm, Term, Value
from erlangen.terms.essl import TransformPrediction

__all__ = ["AnyTerm", "AugSelf", "Term", "TransformPrediction", "Value", "discover"]

FUNCTIONS = ("build", "loss", "couples")


def discover() -> dict[str, type[Any]]:
    """Every term of this package, by name: whatever class of a file here has a term's functions."""
    return discovered(__name__, __path__, FUNCTIONS)
