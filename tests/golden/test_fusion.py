"""Several encoders as one, against ssl-invariances (Ericsson et al. 2021)."""

import pytest
from vectors import cases, check_close

from erlangen.encoders.fused import fuse

CLAIMS = {"inv_fusion*.npz": r"\w*?(f\d+|cat|add|mean)"}


@pytest.mark.parametrize("how", ["cat", "add", "mean"])
@cases("inv_fusion*.npz", r"(\w*?)cat")
def test_fusion(case, how):
    """Any number of parts, in the order of their numbers."""
    parts = [part for _, part in sorted(case.under("f").items(), key=lambda item: int(item[0]))]
    assert len(parts) > 1
    check_close(fuse(parts, how), case[how], rtol=1e-6, atol=1e-6)
