"""Methods: one file each, four functions each, none imports another."""

import importlib
import pkgutil
from typing import Any

from erlangen.methods.base import Method


def discover() -> dict[str, type[Any]]:
    """Every method of this package, by name: whatever class of a file here has a method's four functions."""
    found: dict[str, type[Any]] = {}
    for info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{info.name}")
        for name, value in vars(module).items():
            if isinstance(value, type) and value.__module__ == module.__name__ and issubclass(value, Method):
                found[name] = value
    found.pop("Method", None)
    return found
