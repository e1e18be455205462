"""Instances (cells, nuclei): foreground, distance to the boundary and vector to the centre; basins of the distance.

References
----------
Normalised distance maps with a watershed: A. Archit et al.: Segment Anything for Microscopy. Nat Methods 2025,
doi:10.1038/s41592-024-02580-4. Centre vectors as an auxiliary task: P. Hirsch, D. Kainmueller: An Auxiliary Task for
Learning Nuclei Segmentation in 3D Microscopy Images. MIDL 2020.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import fastremap
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.core.targets.base import CUT, DecodeSettings, Encoded, Term
from napari_unet.core.targets.basins import split_basins
from napari_unet.core.targets.blockwise import as_unit
from napari_unet.core.targets.confidence import object_confidence, own_distance
from napari_unet.core.targets.instances_blocks import smooth_distance

SIZE_WEIGHT = (0.3, 3.0)
"""Bounds of an object's weight median size / size: small objects count as much as large ones, within reason."""


class Instances:
    """Single objects; channel 0 foreground logit, 1 boundary distance, then one vector component per axis."""

    vectors = True

    def n_outputs(self, dims: int, n_classes: int) -> int:
        """Give the number of channels: foreground, distance and the vector."""
        return 2 + dims

    def terms(self, dims: int, n_classes: int) -> tuple[Term, ...]:
        """Give the parts of the loss; distance and vector count only where the whole object is known."""
        vector = slice(2, 2 + dims)
        return (
            Term("dice_ce", slice(0, 1), slice(0, 1), 0, 1.0),
            Term("smooth_l1", slice(1, 2), slice(1, 2), 1, 3.0),
            Term("masked_mse", vector, vector, 1, 0.5),
        )

    def encode(self, labels: NDArray[Any], annotated: NDArray[np.uint8] | None, sampling: tuple[float, ...]) -> Encoded:
        """Turn labels into foreground, distance and vector.

        Parameters
        ----------
        labels : ([Z,] Y, X) int
            0 = background.
        annotated : ([Z,] Y, X) uint8 or None
            0 unknown, 1 known, 2 class known but the object is cut; None is known everywhere.
        sampling : tuple of float
            Relative voxel size per axis.

        Returns
        -------
        Encoded
            The distance is that to the nearest voxel of another label, divided by the object's own maximum; the
            vector points to the object's centre of mass, in units of that maximum, clipped at length 2.
        """
        if annotated is not None:
            labels = np.where(annotated > 0, labels, 0)  # what is drawn where nothing is known must not teach
        ids, n = fastremap.renumber(np.ascontiguousarray(labels), in_place=False)
        ids = ids.astype(np.uint32, copy=False)
        n_objects = len(n) - (0 in n)
        distance, largest = own_distance(ids, n_objects, sampling)
        radius = largest[ids]
        foreground = (ids > 0).astype(np.float32)
        target = np.stack([foreground, distance / radius, *self._vectors(ids, n_objects, radius, sampling)])
        return Encoded(target, self._weights(ids, n_objects, annotated))

    def _vectors(
        self, ids: NDArray[np.uint32], n_objects: int, radius: NDArray[np.float32], sampling: tuple[float, ...]
    ) -> NDArray[np.float32]:
        counts = np.maximum(np.bincount(ids.ravel(), minlength=n_objects + 1), 1)
        vectors = np.zeros((ids.ndim, *ids.shape), np.float32)
        for axis, size in enumerate(sampling):
            shape = [1] * ids.ndim
            shape[axis] = -1
            position = np.broadcast_to(np.arange(ids.shape[axis], dtype=np.float32).reshape(shape), ids.shape)
            centre = np.bincount(ids.ravel(), position.ravel(), minlength=n_objects + 1) / counts
            vectors[axis] = (centre.astype(np.float32)[ids] - position) * size / radius
        length = np.sqrt((vectors**2).sum(0))
        # Ends of long objects would otherwise outweigh everything else in the squared error.
        vectors *= np.where(length > 2, 2 / np.maximum(length, 1e-6), 1) * (ids > 0)
        return vectors

    def _weights(
        self, ids: NDArray[np.uint32], n_objects: int, annotated: NDArray[np.uint8] | None
    ) -> NDArray[np.float32]:
        sizes = np.bincount(ids.ravel(), minlength=n_objects + 1)[1:]
        per_object = np.ones(n_objects + 1, np.float32)
        if n_objects:
            per_object[1:] = np.clip(np.median(sizes) / np.maximum(sizes, 1), *SIZE_WEIGHT)
        weight = per_object[ids]
        if annotated is None:
            return np.stack([weight, weight])
        return np.stack([weight * (annotated > 0), weight * ((annotated > 0) & (annotated != CUT))]).astype(np.float32)

    def maps(self, logits: Tensor) -> Tensor:
        """Keep foreground probability and boundary distance, both 0..1: (2, [Z,] Y, X)."""
        return torch.cat((logits[0:1].sigmoid(), logits[1:2].clamp(0, 1)))

    def decode(self, maps: NDArray[Any], settings: DecodeSettings, sampling: tuple[float, ...]) -> NDArray[np.int32]:
        """Cut the foreground into the basins of the smoothed distance, and join those that hardly stand out.

        Parameters
        ----------
        maps : (2, [Z,] Y, X)
            From `maps`; unsigned integers hold 0 to the largest value of their type instead of 0 to 1.
        settings : DecodeSettings
            Thresholds.
        sampling : tuple of float
            Relative voxel size per axis; the smoothing is equal in length, not in voxels.

        Returns
        -------
        array, ([Z,] Y, X), int32
            Objects numbered 1..N.
        """
        maps = as_unit(maps)
        return split_basins(
            smooth_distance(maps[1], settings, sampling),
            maps[0] > settings.foreground,
            seed=settings.seed,
            prominence=settings.split,
            min_size=settings.min_size,
        )

    def confidence(self, labels: NDArray[Any], maps: NDArray[Any], sampling: tuple[float, ...]) -> NDArray[np.float32]:
        """Tell how well each object agrees with the maps: (N + 1,), 0..1; see `object_confidence`."""
        return object_confidence(labels, maps, sampling)

    def grid(self, start: DecodeSettings) -> list[DecodeSettings]:
        """Give the thresholds around the usual values."""
        return [
            replace(start, foreground=foreground, seed=seed, split=split)
            for foreground in (0.3, 0.4, 0.5, 0.6, 0.7)
            for seed in (0.25, 0.35, 0.45, 0.55)
            for split in (0.08, 0.12, 0.16, 0.2, 0.26)
        ]
