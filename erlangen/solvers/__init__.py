"""Classifiers and regressions on tensors, solved to the end, below probes and measures."""

from erlangen.solvers.calibrated import Calibrated, calibrated
from erlangen.solvers.classify import (
    accuracy,
    classifier,
    cross_validated,
    folds_of,
    logistic_path,
    logistic_regression,
    mean_per_class,
)
from erlangen.solvers.hinge import support_vectors
from erlangen.solvers.kernel import Kernel, kernel_ridge
from erlangen.solvers.linear import PENALTIES, Linear, held_out, ridge, ridge_of_versions, standardisation
from erlangen.solvers.neighbours import check_neighbours, knn_accuracy, knn_predict, knn_votes, nearest
from erlangen.solvers.perceptron import perceptron
from erlangen.solvers.scores import r2, r2_scores

__all__ = [
    "PENALTIES",
    "Calibrated",
    "Kernel",
    "Linear",
    "accuracy",
    "calibrated",
    "check_neighbours",
    "classifier",
    "cross_validated",
    "folds_of",
    "held_out",
    "kernel_ridge",
    "knn_accuracy",
    "knn_predict",
    "knn_votes",
    "logistic_path",
    "logistic_regression",
    "mean_per_class",
    "nearest",
    "perceptron",
    "r2",
    "r2_scores",
    "ridge",
    "ridge_of_versions",
    "standardisation",
    "support_vectors",
]
