"""Losses: pure functions of tensors. No state, no randomness, no gathering across ranks, no autocast."""

from erlangen.losses.assignment import dino, dissl, entropy, marginal
from erlangen.losses.augself import binary, bounded_error
from erlangen.losses.cissl import cissl
from erlangen.losses.contrastive import info_nce, nt_xent
from erlangen.losses.covariance import barlow_twins, sie, vicreg
from erlangen.losses.distillation import Form, crosswise, negative_cosine, regression, squared_distance
from erlangen.losses.equivariance import Marginal, Target, decoded, jensen_shannon, log_marginal, log_target
from erlangen.losses.gram import gram
from erlangen.losses.neighbours import found
from erlangen.losses.queue import moco, outranked, queue_logits
from erlangen.losses.relic import relic, relicv2, retrieval
from erlangen.losses.supervised import classification, squared_error

__all__ = [
    "Form",
    "Marginal",
    "Target",
    "barlow_twins",
    "binary",
    "bounded_error",
    "cissl",
    "classification",
    "crosswise",
    "decoded",
    "dino",
    "dissl",
    "entropy",
    "found",
    "gram",
    "info_nce",
    "jensen_shannon",
    "log_marginal",
    "log_target",
    "marginal",
    "moco",
    "negative_cosine",
    "nt_xent",
    "outranked",
    "queue_logits",
    "regression",
    "relic",
    "relicv2",
    "retrieval",
    "sie",
    "squared_distance",
    "squared_error",
    "vicreg",
]
