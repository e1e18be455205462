"""Deep supervision: the coarser levels of a network are taught as well, each at its own size.

References
----------
C.-Y. Lee, S. Xie, P. Gallagher, Z. Zhang, Z. Tu: Deeply-Supervised Nets. AISTATS 2015, arXiv:1409.5185.
F. Isensee et al.: nnU-Net. Nat Methods 2021, doi:10.1038/s41592-020-01008-z (weights that halve with each level).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from torch import Tensor

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from napari_unet.core.pipeline.sampler import Batch

Loss = Callable[[Tensor, "Batch"], Tensor]


def deep_loss(loss: Loss, outputs: Sequence[Tensor], batch: Batch) -> Tensor:
    """Add the losses of all levels, each half as much as that of the next finer one.

    Parameters
    ----------
    loss : callable
        ``loss(logits, batch)``, as made by ``criterion``.
    outputs : sequence of (N, K, [Z,] Y, X) Tensor
        Finest first; the sizes of the others go whole times into the finest one's.
    batch : Batch
        At full size.

    Returns
    -------
    Tensor, scalar
        With one output, exactly its loss.

    Raises
    ------
    UserError
        When the size of an output does not go into the finest one's.
    """
    weights = [0.5**level for level in range(len(outputs))]
    total = outputs[0].new_zeros(())
    for weight, logits in zip(weights, outputs, strict=True):
        total = total + weight / sum(weights) * loss(logits, coarser(batch, outputs[0], logits))
    return total


def coarser(batch: Batch, finest: Tensor, logits: Tensor) -> Batch:
    """Take every n-th voxel of target and weight, so that they fit a coarser output.

    Parameters
    ----------
    batch : Batch
        At full size.
    finest, logits : (N, K, [Z,] Y, X) Tensor
        The full-size output, and the one that `batch` is to fit.
    """
    target, weight = batch.target, batch.weight
    for axis in range(2, logits.ndim):
        full, size = finest.shape[axis], logits.shape[axis]
        if full % size:
            raise UserError(
                f"An output of {size} voxels does not go whole times into {full}.",
                "This network cannot be trained with deep supervision: switch it off.",
            )
        step = full // size
        if step > 1:
            # What an unpadded network does not see goes first. Then the voxel in the middle of each coarse one.
            target, weight = (_every(_middle(one, axis, full), axis, step) for one in (target, weight))
    return replace(batch, target=target, weight=weight)


def _middle(tensor: Tensor, axis: int, size: int) -> Tensor:
    return tensor.narrow(axis, (tensor.shape[axis] - size) // 2, size)


def _every(tensor: Tensor, axis: int, step: int) -> Tensor:
    box = [slice(None)] * tensor.ndim
    box[axis] = slice(step // 2, None, step)
    return tensor[tuple(box)]
