"""Shapes of every annotated function are checked while the tests run."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side

from jaxtyping import install_import_hook

install_import_hook("erlangen", "typed.typed")

import torch  # noqa: E402

torch.set_num_threads(1)
