"""Methods: one file each, a few functions each, none imports another."""

import importlib
import pkgutil
from typing import Any

FUNCTIONS = ("build", "loss", "couples", "after_step", "encoder")


def discover() -> dict[str, type[Any]]:
    """Every method of this package, by name: whatever class of a file here has a method's functions."""
    found: dict[str, type[Any]] = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name != "base":
            module = importlib.import_module(f"{__name__}.{info.name}")
            for name, value in vars(module).items():
                own = isinstance(value, type) and value.__module__ == module.__name__
                if own and all(callable(getattr(value, function, None)) for function in FUNCTIONS):
                    found[name] = value
    return found
