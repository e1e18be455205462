"""How far voxels of a mask are from what is outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


def depth_of(mask: NDArray[np.bool_], sampling: Sequence[float]) -> NDArray[np.float32]:
    """Give how far each voxel is from what is outside; beyond the array is outside as well.

    Parameters
    ----------
    mask : bool array, n-D
        What is inside.
    sampling : sequence of float
        Length of a voxel along each axis.

    Returns
    -------
    float32 array, n-D
        In the unit of `sampling`; 0 outside.
    """
    import edt  # the dock opens without it

    solid = np.ascontiguousarray(mask)
    depth: NDArray[np.float32] = edt.edt(solid, anisotropy=tuple(sampling), black_border=True, parallel=1)
    return depth
