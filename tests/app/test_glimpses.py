"""Tiles go to the window with the job's own reports, whatever thread they come from."""

from __future__ import annotations

import threading

import numpy as np

from napari_unet.app.glimpses import Glimpses
from napari_unet.core.base.glimpse import Glimpse
from napari_unet.core.base.progress import Progress


def test_report_when_tiles_came_from_another_thread_then_they_go_once_and_in_order() -> None:
    sent: list[Progress] = []
    glimpses = Glimpses(sent.append)
    tiles = [Glimpse(n, (slice(0, 1),), np.zeros(1, np.uint8)) for n in range(3)]
    for tile in tiles[:2]:
        thread = threading.Thread(target=glimpses.add, args=(tile,))
        thread.start()
        thread.join()
    assert not sent
    glimpses.report(Progress(1, 3, "tile 1", "something else"))
    glimpses.report(Progress(2, 3, "tile 2"))
    glimpses.add(tiles[2])
    glimpses.report(Progress(3, 3, "tile 3"))
    glimpses.report(Progress(3, 3, "decoding"))
    assert [one.payload for one in sent] == ["something else", tuple(tiles[:2]), (tiles[2],), None]
    assert [one.message for one in sent] == ["tile 1", "tile 2", "tile 3", "decoding"]
