"""Running a function of images in pieces that fit the cache, on every core, compiled if asked for.

On the CPU a piece is what one thread works on from the first transformation to the last while it is in its cache; it
does not depend on the number of threads, so neither does the result. Other devices get the whole batch at once.
"""

import ctypes
import os
import shutil
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeVar

import torch
from torch import Tensor

T = TypeVar("T")
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
# of a piece in float32. Compiled it stays in the cache: 32 images of 32 px, 3 of 96 px, 1 of 224 px (RGB); else every
# operation goes through memory anyhow, and fewer calls count for more: 512, 56, 10
BYTES = {"compiled": 3 * 2**17, "eager": 3 * 2**21}
_here = threading.local()
_capture = threading.Lock()  # of one graph at a time


def capturing() -> bool:
    """Whether what is computed now becomes a graph, which will do for any values what it does for these."""
    return getattr(_here, "capturing", False) or torch.compiler.is_compiling()


def may_look(images: Tensor) -> bool:
    """Whether the values of tensors may steer the code: on the CPU, where a look waits for nothing, and in no graph."""
    return images.is_cpu and not capturing()


def settled(x: Tensor) -> Tensor:
    """The same tensor, which a compiler stores at this point instead of working it out again wherever it is read."""
    return x.as_strided(x.shape, x.stride())


def pieces(images: Tensor, how: str) -> list[slice]:
    """The slices of the batch that are worked on together, `compiled` or `eager`."""
    n = len(images)
    if not images.is_cpu or n == 0 or images.requires_grad:
        return [slice(0, n)]
    size = max(1, BYTES[how] // max(1, 4 * images[0].numel()))
    return [slice(i, i + size) for i in range(0, n, size)]


def each(work: Callable[[slice], object], parts: Sequence[slice]) -> None:
    """Calls `work` with every part, on as many threads as torch uses, each of which then uses one."""
    keep_memory()
    threads = min(torch.get_num_threads(), len(parts))

    def share(mine: Sequence[slice]) -> None:
        for part in mine:
            work(part)

    if threads <= 1:
        share(parts)
    else:  # one call for each thread: handing over every part would cost more
        for _ in _pool(torch.get_num_threads()).map(share, [parts[i::threads] for i in range(threads)]):
            pass  # an error in a thread is raised here


@lru_cache(maxsize=1)
def keep_memory() -> None:
    """Has the C library keep what is freed for the next allocation, up to 256 MiB, instead of giving it back at once.

    A piece makes and frees several arrays of its size. Mapped anew each time, with a page fault every 4 KiB, they cost
    a quarter to a third of the time. Only glibc has the setting, others are left as they are.
    """
    with suppress(AttributeError, OSError):
        adjust = ctypes.CDLL(None).mallopt
        adjust(M_TRIM_THRESHOLD, 2**28)
        adjust(M_MMAP_THRESHOLD, 2**25)


def on_one_thread(work: Callable[[], T]) -> T:
    """What `work` returns, computed where torch and its libraries use one thread.

    For many small operations: MKL's threads, called in for 256 exponentials, would wait spinning on the cores that
    `each` is about to need.
    """
    threads = torch.get_num_threads()
    return work() if threads == 1 else _pool(threads).submit(work).result()


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    os.register_at_fork(after_in_child=_pool.cache_clear)  # threads do not survive a fork
    return ThreadPoolExecutor(threads, "erlangen", initializer=_one_thread, initargs=(threads,))


def _one_thread(threads: int) -> None:
    """One thread for torch's operations in this one; what was set is kept for all others."""
    with _capture:
        torch.set_num_threads(1)
        torch.get_num_threads()  # from here on the number is this thread's own ...
        _restore(threads)  # ... and threads that begin later take the number as it was


def _restore(threads: int) -> None:
    worker = threading.Thread(target=torch.set_num_threads, args=(threads,))
    worker.start()
    worker.join()


@lru_cache(maxsize=1)
def compiler_exists() -> bool:
    """Whether torch.compile can make code for the CPU."""
    return any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "clang++"))


def compiled(function: Callable[..., Tensor], example: Sequence[Tensor]) -> Callable[..., Tensor]:
    """`function` of tensors as machine code, for arguments of the shapes and strides of `example` (some seconds).

    Without gradients. Where it cannot be compiled the function itself, with a warning that says why.
    """
    if example[0].is_cpu and not compiler_exists():
        return _as_it_is(function, "no C++ compiler was found")
    from torch._inductor import compile as build
    from torch.fx.experimental.proxy_tensor import make_fx

    # Not torch.compile: its guards, on the number of threads among others, would compile anew in the middle of a call,
    # in several threads at once. On the CPU the pieces are the parallel part: one thread each, and Python's lock given
    # back for the whole graph.
    options: dict[str, Any] = {"cpp.threads": 1, "cpp_wrapper": True} if example[0].is_cpu else {}
    with _capture, torch.no_grad():
        _here.capturing = True
        try:
            graph = make_fx(function)(*example)
        finally:
            _here.capturing = False
        for node in graph.graph.nodes:
            node.meta.clear()  # each has a stand-in tensor of its own making, which inductor does not mix
        try:
            fast: Callable[..., Tensor] = build(graph, list(example), options=options)
        except Exception as error:  # a compiler without headers, or whatever else a machine lacks
            return _as_it_is(function, str(error).strip().partition("\n")[0])
    return fast


def _as_it_is(function: Callable[..., Tensor], why: str) -> Callable[..., Tensor]:
    warnings.warn(f"views are made without compilation: {why}", stacklevel=3)
    return function
