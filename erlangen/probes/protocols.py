"""Protocols by name: what a number of a paper was computed with."""

import torch


def ericsson_decays(extra: int) -> list[float]:
    """The 45 weight decays of Ericsson et al. (2021, arXiv:2111.11398), for a fusion of 1 + `extra` encoders.

    Each encoder more shifts the range by two decades. Logistic regression has C = 1 / decay there, ridge alpha = 1 /
    decay.
    """
    return torch.logspace(-6 + 2 * extra, 5 + 2 * extra, 45).tolist()
