"""Losses: pure functions of tensors. No state, no randomness, no gathering across ranks, no autocast."""

from erlangen.losses.contrastive import nt_xent
from erlangen.losses.distillation import regression
from erlangen.losses.equivariance import jensen_shannon, log_target

__all__ = ["jensen_shannon", "log_target", "nt_xent", "regression"]
