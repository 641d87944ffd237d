"""What every method with a predictor must keep to."""

import math
from typing import get_args

from erlangen.losses import Form
from erlangen.predictors.closed import Balance, Norm, Rule
from erlangen.predictors.layers import Constraint, Restart

LAYERS = {"symmetric": (1, 2), "symmetric_row_norm": (2,), "symmetric_norm": (1,), "diagonal": (1,)}
# The least and the most of a hyperparameter, by the name of its field.
RANGES: dict[str, tuple[float, float]] = {
    **dict.fromkeys(("decay", "shrink", "rho", "rank", "reg"), (0, 1)),
    **dict.fromkeys(("l2", "noise", "time", "restart_epochs", "restart_steps", "psd_steps"), (0, math.inf)),
    **dict.fromkeys(("eps", "eigenvalue"), (-math.inf, math.inf)),
    **dict.fromkeys(("projector_layers", "predictor_layers", "frequency", "first", "partitions"), (1, math.inf)),
}
POSITIVE = ("scale", "power", "rank")
CHOICES = {
    "balance": Balance,
    "constraint": Constraint,
    "form": Form,
    "norm": Norm,
    "restart": Restart,
    "rule": Rule,
}


def check(method: object, **others: tuple[float, float]) -> None:
    """`ValueError` for a hyperparameter outside its range, or for a constraint that is not for so many layers.

    `others` are ranges that differ in this method.
    """
    for name, words in CHOICES.items():
        chosen = getattr(method, name, None)
        if chosen is not None and chosen not in get_args(words):
            raise ValueError(f"`{name}` (={chosen}) must be one of {', '.join(get_args(words))}")
    for name, (low, high) in (RANGES | others).items():
        value: float | None = getattr(method, name, None)
        if value is not None and not (low <= value <= high and math.isfinite(value)):
            raise ValueError(f"`{name}` (={value}) must lie in [{low}, {high}]{' and be finite' * (high == math.inf)}")
    for name in POSITIVE:
        value = getattr(method, name, 1)
        if not 0 < value < math.inf:
            raise ValueError(f"`{name}` (={value}) must be a number above 0")
    kind, layers = getattr(method, "constraint", "none"), getattr(method, "predictor_layers", 1)
    if kind != "none" and layers not in LAYERS[kind]:
        fit = " or ".join(map(str, LAYERS[kind]))
        raise ValueError(f"`constraint` (={kind}) is for `predictor_layers` (={layers}) of {fit}: change one of them")
