"""Divide where there is something to divide by."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def ratio(part: ArrayLike, whole: ArrayLike, nothing: ArrayLike = 1.0) -> NDArray[np.float64]:
    """Divide element by element.

    Parameters
    ----------
    part, whole : array or number
        Broadcast together.
    nothing : array or number
        The result where `whole` is 0.

    Returns
    -------
    array, float64
        Of no axis where all are numbers.
    """
    above, below, otherwise = np.broadcast_arrays(*(np.asarray(one, np.float64) for one in (part, whole, nothing)))
    quotient: NDArray[np.float64] = np.divide(above, below, out=otherwise.copy(), where=below > 0)
    return quotient
