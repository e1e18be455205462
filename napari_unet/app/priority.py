"""Keep the window fluid while a job computes: less priority and one core less for the job's thread."""

from __future__ import annotations

import ctypes
import gc
import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)

NICENESS = 10  # of 19: still finishes on a busy machine, always gives way to the window
WINDOWS_BELOW_NORMAL = -1  # THREAD_PRIORITY_BELOW_NORMAL
MACOS_UTILITY = 0x11  # QOS_CLASS_UTILITY


def lower_priority() -> bool:
    """Lower the priority of the calling thread, and of the threads that it starts from now on.

    Returns
    -------
    bool
        False where the system refused; the job runs all the same.
    """
    try:
        if sys.platform == "win32":
            return _lower_on_windows()
        if sys.platform == "darwin":
            return _lower_on_macos()
        # On Linux the "process" of this call is a single thread; children inherit its value.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
    except (OSError, AttributeError) as error:
        logger.info("the job keeps its priority: %s", error)
        return False
    return True


def _lower_on_windows() -> bool:
    kernel = ctypes.CDLL("kernel32")
    kernel.GetCurrentThread.restype = ctypes.c_void_p
    kernel.SetThreadPriority.argtypes = (ctypes.c_void_p, ctypes.c_int)
    return bool(kernel.SetThreadPriority(kernel.GetCurrentThread(), WINDOWS_BELOW_NORMAL))


def _lower_on_macos() -> bool:
    system = ctypes.CDLL(None)
    system.pthread_set_qos_class_self_np.argtypes = (ctypes.c_uint, ctypes.c_int)
    return bool(system.pthread_set_qos_class_self_np(MACOS_UTILITY, 0) == 0)


def n_cores() -> int:
    """Give the number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def limit_torch_threads() -> int:
    """Leave one core to the window: torch uses the others.

    Returns
    -------
    int
        The number of threads that torch uses from now on in this thread.
    """
    import torch

    threads = max(1, n_cores() - 1)
    torch.set_num_threads(threads)
    return threads


def let_waiting_threads_sleep() -> None:
    """Keep torch's threads from spinning while they wait: as soon as something else needs a core, that costs most.

    Must be called before torch is loaded, by whoever loads it first; what the user has set stays.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


SELDOM = 1_000_000
"""Collections of the middle generation between two of everything: none, for as long as a job takes."""


@contextmanager
def without_full_collections() -> Iterator[None]:
    """Put off the search for garbage among all objects, which holds every thread, the window's too: 0.3 s here.

    What is made meanwhile is still looked through while it is young.
    """
    young, middle, old = gc.get_threshold()
    gc.set_threshold(young, middle, SELDOM)
    try:
        yield
    finally:
        gc.set_threshold(young, middle, old)
