"""What no loss can take, said by name."""

import math

from torch import Tensor


def check_positive(**values: float) -> None:
    """`ValueError` for what is not a number above 0, a temperature say."""
    for name, value in values.items():
        if not 0 < value < math.inf:
            raise ValueError(f"`{name}` (={value}) must be above 0, and finite")


def check_weight(**weights: float) -> None:
    """`ValueError` for what is not a number, 0 or more."""
    for name, value in weights.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"`{name}` (={value}) must be a number, 0 or more")


def check_same(images: int = 1, views: int = 1, /, **tensors: Tensor) -> None:
    """`ValueError` unless all are tables of one shape, of at least so many images, a row for each of their views."""
    shapes = {name: tuple(x.shape) for name, x in tensors.items()}
    if len(set(shapes.values())) > 1 or any(len(shape) != 2 for shape in shapes.values()):
        listed = ", ".join(f"`{name}` {shape}" for name, shape in shapes.items())
        raise ValueError(f"{listed} must be of one shape (images, dimensions): row i of all is of the same image")
    given = next(iter(shapes.values()))[0] // views
    if given < images:
        raise ValueError(f"this loss needs other images: the batch has {given}, the least is {images}")
