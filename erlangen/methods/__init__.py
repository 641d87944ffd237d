"""Methods: one file each, a few functions each, none imports another."""

from typing import Any

from erlangen.names import discovered

FUNCTIONS = ("build", "loss", "couples", "after_step", "encoder")


def discover() -> dict[str, type[Any]]:
    """Every method of this package, by name: whatever class of a file here has a method's functions."""
    return discovered(__name__, __path__, FUNCTIONS)
