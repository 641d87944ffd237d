"""The distance to an equiangular tight frame against ISSL's original (`issl_misc`, arrays `etf.`)."""

import torch
from issl_heads import Given
from vectors import cases, check_close

from erlangen.methods.base import Clock, Learner, Output
from erlangen.methods.simclr import SimCLR
from erlangen.observers.etf import ETF
from erlangen.views import Batch

CLAIMS = {"issl_misc*.npz": r"hp\.[BD]|\w*etf\.(zx|za|pos_neg|running_mean_after)"}


@cases("issl_misc*.npz", r"(\w*etf\.)\w+")
def test_etf(case):
    """Batches in a row: both cosines, their sum, and the running mean after each batch."""
    zx, za, golden = case["zx"], case["za"], case["pos_neg"]
    monitor = ETF(every=1, dim=zx.shape[2])
    learner, batch = Learner(SimCLR(), Given(zx.shape[2])), Batch(zx[0][:, :, None, None], torch.arange(zx.shape[1]))
    for k, pair in enumerate(zip(zx, za, strict=True)):
        logs = monitor(Clock(k + 1, len(zx), 1), learner, Output(torch.zeros(()), list(pair), []), batch)
        values = [1 - logs["cosine_pos"], logs["cosine_neg"], logs["dist_to_etf"]]
        expected = torch.cat([golden[k], golden[k].sum()[None]])
        check_close(torch.tensor(values, dtype=torch.float64), expected, rtol=1e-9, atol=1e-11)
        check_close(monitor.running_mean, case["running_mean_after"][k], rtol=1e-9, atol=1e-11)


@cases("issl_misc*.npz", r"()etf\.\w+")
def test_sizes(case):
    """The file says how many images and dimensions there are."""
    assert case["etf.zx"].shape[1:] == case["etf.za"].shape[1:] == (case.value("hp.B"), case.value("hp.D"))
