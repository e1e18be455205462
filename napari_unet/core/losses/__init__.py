"""The losses: one file each, one line in ``core.base.catalogue``.

All take (logits, target, weight) and give a scalar; a weight of 0 means that nothing is known about a voxel, and such a
voxel changes neither the loss nor its gradient.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
