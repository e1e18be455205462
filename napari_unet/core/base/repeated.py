"""One channel given to a network of several: work it once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def repeat(volume: NDArray[Any], n_channels: int) -> NDArray[Any]:
    """Repeat the only channel of (1, [Z,] Y, X): a view, (C, [Z,] Y, X), not to be written into."""
    return np.broadcast_to(volume, (n_channels, *volume.shape[1:]))


def is_repeated(volume: NDArray[Any]) -> bool:
    """Tell whether (C, [Z,] Y, X) is a view that shows one channel several times."""
    return volume.shape[0] > 1 and volume.strides[0] == 0
