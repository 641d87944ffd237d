"""What each method writes into `metrics.jsonl`: the originals' monitors, under the originals' names."""

import math
from dataclasses import replace

import pytest
from small import METHODS, OPTIM, POLICY, colours, config, encoder, policy

from erlangen.journal import read
from erlangen.observers import ETF
from erlangen.train import train

CONTRAST = {"hat_H_m", "I_q_zm", "n_negatives", "temperature"}
LOGS = {
    "SimCLR": CONTRAST,
    "CISSL": CONTRAST,
    "DISSL": {"H_M", "H_Mlz", "KL_invariance", "KL_distillation", "CE_distill_aug"},
    "DINO": {"CE_distill_aug", "H_Mlz"},
    "ReLIC": {"kl", "gamma", "alpha", "temp", "b", "top1", "top5"},
    "MoCo": {"acc1", "acc5"},
    "BYOL": {"loss_l2"},
    "DUET": {"nce_loss", "group_loss", "group_0_loss", "group_0_error", "jsd", "ntxent_total_top1", "ntxent_ABAA_top5"},
    "ESSL": {"nce_loss", "essl_loss", "essl_top1", "essl_top5"},
}


@pytest.mark.parametrize("name", LOGS)
def test_the_monitors_of_the_originals_are_logged(name, tmp_path):
    """Every line holds them, and they are numbers."""
    method = replace(METHODS[name], l2=4e-4) if name == "BYOL" else METHODS[name]
    train(method, encoder(), policy(method), colours(), OPTIM, config(4), [], tmp_path)
    lines = read(tmp_path / "metrics.jsonl")
    assert len(lines) == 2
    for line in lines:
        assert LOGS[name] | {"loss"} <= line.keys()
        assert all(math.isfinite(line[key]) for key in LOGS[name])


def test_the_distance_to_an_equiangular_tight_frame_is_logged(tmp_path):
    """Its three numbers, and the third is what the first two make it."""
    watch = ETF(2, 256)
    train(METHODS["CISSL"], encoder(), POLICY.build(3, 16), colours(), OPTIM, config(4), [watch], tmp_path)
    for line in read(tmp_path / "metrics.jsonl"):
        assert line["dist_to_etf"] == pytest.approx(1 - line["cosine_pos"] + line["cosine_neg"])
