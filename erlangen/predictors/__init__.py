"""Predictors that are not only trained: computed from statistics of what they are given, kept symmetric, begun anew.

DirectPred (Tian et al. 2021, arXiv:2102.06810), its official code and KTH's reproduction; DirectCopy and DirectSet
(Wang et al. 2021, arXiv:2110.04947). A predictor is linear, y = W x, or has two layers.
"""

from erlangen.predictors.closed import (
    Balance,
    Norm,
    Rule,
    balanced,
    direct_copy,
    direct_pred,
    eigen,
    half_space,
    minimal_space,
    solve,
)
from erlangen.predictors.layers import (
    Constraint,
    Restart,
    constrained,
    due,
    glorot_,
    half_squares,
    linears,
    regulate_,
    restart_due,
    scramble_,
    weights,
    with_l2,
)
from erlangen.predictors.ranges import check
from erlangen.predictors.statistics import Average, Correlation, CrossCorrelation, Partition

__all__ = [
    "Average",
    "Balance",
    "Constraint",
    "Correlation",
    "CrossCorrelation",
    "Norm",
    "Partition",
    "Restart",
    "Rule",
    "balanced",
    "check",
    "constrained",
    "direct_copy",
    "direct_pred",
    "due",
    "eigen",
    "glorot_",
    "half_space",
    "half_squares",
    "linears",
    "minimal_space",
    "regulate_",
    "restart_due",
    "scramble_",
    "solve",
    "weights",
    "with_l2",
]
