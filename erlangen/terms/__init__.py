"""What is added to the loss of any method: terms that read the parameters of its views. One file each."""

import importlib
import pkgutil
from typing import Any

from erlangen.terms.augself import AugSelf
from erlangen.terms.base import AnyTerm, Term, Value
from erlangen.terms.essl import TransformPrediction

__all__ = ["AnyTerm", "AugSelf", "Term", "TransformPrediction", "Value", "discover"]

FUNCTIONS = ("build", "loss", "couples")


def discover() -> dict[str, type[Any]]:
    """Every term of this package, by name: whatever class of a file here has a term's functions."""
    found: dict[str, type[Any]] = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name != "base":
            module = importlib.import_module(f"{__name__}.{info.name}")
            for name, value in vars(module).items():
                own = isinstance(value, type) and value.__module__ == module.__name__
                if own and all(callable(getattr(value, function, None)) for function in FUNCTIONS):
                    found[name] = value
    return found
