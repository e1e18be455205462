"""Count the voxels that objects of two label images share: the one pass that all scores of objects start from."""

from __future__ import annotations

from dataclasses import dataclass

import fastremap
import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError

# Above this many cells a dense table of overlaps costs more memory than sorting the voxels does.
DENSE_TABLE_CELLS = 10_000_000

Labels = NDArray[np.integer]


@dataclass(frozen=True)
class Overlap:
    """Keep the objects of two label images and the pairs that share voxels.

    Parameters
    ----------
    pred_ids, true_ids : (n_pred,), (n_true,) int64
        Labels, in the order in which they occur in the image.
    pred_sizes, true_sizes : (n_pred,), (n_true,) int64, voxels
        How large each object is.
    rows, columns : (pairs,) int64
        Places in `pred_ids` and in `true_ids` of the two objects of each pair.
    shared : (pairs,) int64, voxels
        How many they have in common; 1 and above.
    """

    pred_ids: NDArray[np.int64]
    true_ids: NDArray[np.int64]
    pred_sizes: NDArray[np.int64]
    true_sizes: NDArray[np.int64]
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    shared: NDArray[np.int64]

    @property
    def union(self) -> NDArray[np.int64]:
        """Give the voxels that either object of each pair has: (pairs,) int64."""
        union: NDArray[np.int64] = self.pred_sizes[self.rows] + self.true_sizes[self.columns] - self.shared
        return union

    @property
    def iou(self) -> NDArray[np.float64]:
        """Give the intersection over union of each pair: (pairs,) float64, above 0 and at most 1."""
        iou: NDArray[np.float64] = self.shared / self.union
        return iou


def overlap(pred: Labels, truth: Labels) -> Overlap:
    """Count the voxels that each predicted object shares with each true one.

    Parameters
    ----------
    pred, truth : integer array, any number of axes, the same shape
        Labels; 0 is background. Needs about 20 bytes for each voxel while it counts.

    Returns
    -------
    Overlap
        Only pairs that share something.

    Raises
    ------
    UserError
        When the shapes differ, or the arrays do not hold labels.
    """
    check_pair(pred, truth)
    pred_voxels, pred_ids = _number(pred)
    true_voxels, true_ids = _number(truth)
    height, width = len(pred_ids) + 1, len(true_ids) + 1
    codes = pred_voxels.astype(np.int64) * width + true_voxels
    if height * width <= DENSE_TABLE_CELLS:
        table = np.bincount(codes, minlength=height * width)
        found = np.flatnonzero(table)
        shared = table[found]
    else:
        found, shared = fastremap.unique(codes, return_counts=True)
    shared = shared.astype(np.int64)
    rows, columns = found // width, found % width
    sizes = [np.bincount(at, shared, minlength=n).astype(np.int64) for at, n in ((rows, height), (columns, width))]
    pair = (rows > 0) & (columns > 0)
    return Overlap(pred_ids, true_ids, sizes[0][1:], sizes[1][1:], rows[pair] - 1, columns[pair] - 1, shared[pair])


def check_pair(pred: NDArray[np.generic], truth: NDArray[np.generic]) -> None:
    """Refuse two arrays that cannot be compared as labels.

    Raises
    ------
    UserError
        When the shapes differ, or the values are not integers of 0 and above.
    """
    if pred.shape != truth.shape:
        raise UserError(
            f"The prediction has the shape {pred.shape} and the truth {truth.shape}.",
            "Compare labels of the same image on the same grid.",
        )
    for name, labels in (("prediction", pred), ("truth", truth)):
        if labels.dtype.kind not in "bui" or (labels.dtype.kind == "i" and labels.size and labels.min() < 0):
            raise UserError(
                f"The {name} is no label image: it holds {labels.dtype} values.",
                "Labels are integers, 0 is background.",
            )


def _number(labels: Labels) -> tuple[NDArray[np.integer], NDArray[np.int64]]:
    """Count the objects from 1 to n; give them as one row of voxels, and the label of each."""
    flat = labels.ravel()
    numbered, mapping = fastremap.renumber(flat.astype(np.uint8) if flat.dtype == bool else flat, in_place=False)
    ids = np.zeros(len(mapping) + 1, np.int64)
    for old, new in mapping.items():
        ids[int(new)] = int(old)
    return numbered, ids[1 : len(mapping) + 1 - (0 in mapping)]
