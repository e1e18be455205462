"""Which one of several processes this is, as torchrun tells each of them; known without torch."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class World:
    """The processes that train one model together.

    Parameters
    ----------
    rank : int
        Number of this process, from 0. Only the first one writes and speaks.
    size : int
        Number of processes on all machines.
    local_rank : int
        Number of this process on its machine: that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def is_first(self) -> bool:
        """Tell whether this process writes and speaks."""
        return self.rank == 0


def world_around(environment: Mapping[str, str] = os.environ) -> World:
    """Read what torchrun has set; a world of one process where it has not."""
    # Other launchers set some of these names too: without an address there is nobody to talk to.
    if not environment.get("MASTER_ADDR"):
        return World()
    rank, size, local = (environment.get(name, "") for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    if not (rank.isdecimal() and size.isdecimal()) or int(size) < 2:
        return World()
    return World(int(rank), int(size), int(local) if local.isdecimal() else 0)
