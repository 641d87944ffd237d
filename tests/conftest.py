"""Shapes of every annotated function are checked while the tests run."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side

import jaxtyping
import pytest

jaxtyping.install_import_hook("erlangen", "typed.typed")

import torch  # noqa: E402

torch.set_num_threads(1)


@pytest.fixture
def unchecked():
    """Without the checks, as a user has it, for what the library itself must refuse."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)
