"""Let other processes do the tasks of a large image: some on this machine, or those of a Dask cluster.

A task is small: it says where the work folder is and which box is meant. Each worker opens image and network once, and
all of them write into the same folder, each into chunks of its own. Tasks of a lost worker are done again by another.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from typing import Any

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.extras import need
from napari_unet.core.pipeline.stream_place import Job, Place, Task, Workers

AHEAD = 2
"""Tasks that are handed out for each thread of the workers: one is done, one waits."""

PATIENCE = "30s"
"""To find the scheduler, and at least one worker."""


@contextmanager
def local_workers(n: int) -> Iterator[Workers]:
    """Start processes on this machine, which share its processors.

    Parameters
    ----------
    n : int
        How many; each holds the network and one tile.

    Yields
    ------
    Workers

    Raises
    ------
    UserError
        When dask.distributed is not installed.
    """
    dask = _distributed()
    threads = str(max(1, (os.cpu_count() or 1) // n))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    with (
        dask.LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            dashboard_address=":0",  # any free port
            memory_limit=0,  # a tile is sized by the free memory; a worker that is stopped for it would do it again
            silence_logs=logging.CRITICAL,
            env=dict.fromkeys(names, threads),
        ) as cluster,
        dask.Client(cluster) as client,
    ):
        yield partial(on, client)


@contextmanager
def cluster_workers(address: str) -> Iterator[Workers]:
    """Use the workers of a running Dask cluster.

    Parameters
    ----------
    address : str
        Of its scheduler, such as ``tcp://node1:8786``. The workers need this package, and the image and the folder of
        the labels under the same paths as here.

    Yields
    ------
    Workers

    Raises
    ------
    UserError
        When dask.distributed is not installed, or there is no scheduler or no worker.
    """
    dask = _distributed()
    try:
        client = dask.Client(address, timeout=PATIENCE)
    except (OSError, ValueError) as error:
        raise UserError(
            f"There is no Dask scheduler at '{address}' ({error}).", "Start one with: dask scheduler"
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=PATIENCE)
        except TimeoutError as error:
            raise UserError(
                f"The Dask scheduler at '{address}' has no workers.", f"Start some with: dask worker {address}"
            ) from error
        yield partial(on, client)


def on(client: Any, job: Job) -> partial[Iterator[Any]]:
    """Work on a job with the workers of a client, see `Workers`."""
    return partial(_run, client, job)


def work_on(job: Job, task: Task) -> Any:
    """Do a task in a worker."""
    return task(_place(job))


@lru_cache(maxsize=1)
def _place(job: Job) -> Place:
    """Open a job once for all tasks that follow."""
    return Place(job)


def _run(client: Any, job: Job, tasks: Iterable[Task]) -> Iterator[Any]:
    """Give the results in order; few tasks are under way at a time, so that Cancel is answered at once."""
    ahead = AHEAD * max(1, sum(client.nthreads().values()))
    waiting: deque[Any] = deque()
    try:
        for task in tasks:
            # Not pure: the same task has to be done again after a fresh start.
            waiting.append(client.submit(work_on, job, task, pure=False))
            if len(waiting) >= ahead:
                yield _result(waiting.popleft())
        while waiting:
            yield _result(waiting.popleft())
    finally:
        if waiting and client.status == "running":  # a generator may be closed later than the client
            client.cancel(list(waiting))


def _result(future: Any) -> Any:
    try:
        return future.result()
    except _distributed().KilledWorker as error:
        raise UserError(
            "Several workers died of the same tile, most likely because their memory ran out.",
            "Give them more memory, or choose a smaller tile (--tile); what is done is kept.",
        ) from error


def _distributed() -> Any:
    return need("distributed", extra="cluster", what="Sharing the work among processes")
