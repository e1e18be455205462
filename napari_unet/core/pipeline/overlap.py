"""Read the next tiles and write the last one while the network computes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Data = TypeVar("Data")
Result = TypeVar("Result")

AHEAD = 2
"""Tiles that are read before they are needed."""


def in_turn(
    items: Iterable[Item],
    load: Callable[[Item], Data],
    work: Callable[[Item, Data], Result],
    save: Callable[[Item, Result], None],
    after: Callable[[], None],
) -> None:
    """Load, work and save one item after the other; `after` is called when one is saved."""
    for item in items:
        save(item, work(item, load(item)))
        after()


def overlapped(
    items: Iterable[Item],
    load: Callable[[Item], Data],
    work: Callable[[Item, Data], Result],
    save: Callable[[Item, Result], None],
    after: Callable[[], None],
) -> None:
    """Do the same as `in_turn` while a thread loads what comes next and another saves what was last.

    Parameters
    ----------
    items : iterable
        What is worked on, in this order.
    load, save : function
        Called in threads of their own, one item after the other.
    work, after : function
        Called in this thread.

    Notes
    -----
    What any of them raises ends the others and is raised here; no thread outlives the call. Needs the memory of
    ``AHEAD`` + 1 items on top of the one that is worked on and the one that is saved.
    """
    with ThreadPoolExecutor(1, "tile-reader") as reader, ThreadPoolExecutor(1, "tile-writer") as writer:
        saving: Future[None] | None = None
        try:
            for item, loaded in _ahead(reader, items, load):
                result = work(item, loaded.result())
                if saving is not None:
                    saving.result()
                    after()
                saving = writer.submit(save, item, result)
            if saving is not None:
                saving.result()
                after()
        finally:
            reader.shutdown(wait=False, cancel_futures=True)


def _ahead(
    reader: ThreadPoolExecutor, items: Iterable[Item], load: Callable[[Item], Data]
) -> Iterator[tuple[Item, Future[Data]]]:
    queue: deque[tuple[Item, Future[Data]]] = deque()
    for item in items:
        queue.append((item, reader.submit(load, item)))
        if len(queue) > AHEAD:
            yield queue.popleft()
    while queue:
        yield queue.popleft()
