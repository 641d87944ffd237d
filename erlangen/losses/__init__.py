"""Losses: pure functions of tensors. No state, no randomness, no gathering across ranks, no autocast."""

from erlangen.losses.assignment import dino, dissl, entropy, marginal
from erlangen.losses.cissl import cissl
from erlangen.losses.contrastive import nt_xent
from erlangen.losses.covariance import barlow_twins, vicreg
from erlangen.losses.distillation import Form, crosswise, negative_cosine, regression, squared_distance
from erlangen.losses.equivariance import jensen_shannon, log_target
from erlangen.losses.queue import moco, outranked, queue_logits
from erlangen.losses.relic import relic, relicv2, retrieval

__all__ = [
    "Form",
    "barlow_twins",
    "cissl",
    "crosswise",
    "dino",
    "dissl",
    "entropy",
    "jensen_shannon",
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
    "squared_distance",
    "vicreg",
]
