"""Where torch computes: on which device, and on how many threads.

Small networks and small solids lose more to threads that wait for each other than they win.
"""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import torch

__all__ = ["devices", "one_thread", "one_thread_each"]

_LOCK = threading.Lock()
_INSIDE: list[int] = []  # the thread count to restore, then one entry for each that is inside


def devices() -> list[str]:
    """List the devices of this machine, "cpu" first, the fastest last."""
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    return [name for name, found in there.items() if found]


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch compute on one thread here; the last one to leave restores the thread count."""
    with _LOCK:
        if not _INSIDE:
            _INSIDE.append(torch.get_num_threads())
        _INSIDE.append(1)
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _LOCK:
            _INSIDE.pop()
            if len(_INSIDE) == 1:
                torch.set_num_threads(_INSIDE.pop())


@contextmanager
def one_thread_each(workers: int) -> Iterator[ThreadPoolExecutor]:
    """Give a pool whose workers compute on one thread each; restore the thread count at the end.

    An error drops the jobs that have not begun and waits for those that have.
    """
    before = torch.get_num_threads()
    pool = ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    except BaseException:
        pool.shutdown(cancel_futures=True)
        raise
    finally:
        pool.shutdown()
        torch.set_num_threads(before)
