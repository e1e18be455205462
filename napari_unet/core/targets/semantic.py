"""Classes (tissues, tumours): every voxel belongs to one of K named classes or to the background."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.core.targets.base import DecodeSettings, Encoded, Term
from napari_unet.core.targets.blockwise import as_unit
from napari_unet.core.targets.semantic_blocks import FACES, choose_classes


class Semantic:
    """K classes and the background; one logit each."""

    vectors = False

    def n_outputs(self, dims: int, n_classes: int) -> int:
        """Give the number of channels: the background and the classes."""
        return n_classes + 1

    def terms(self, dims: int, n_classes: int) -> tuple[Term, ...]:
        """Give the parts of the loss: cross entropy and Dice."""
        return (Term("dice_ce", slice(0, n_classes + 1), slice(0, 1), 0, 1.0),)

    def encode(self, labels: NDArray[Any], annotated: NDArray[np.uint8] | None, sampling: tuple[float, ...]) -> Encoded:
        """Turn class labels ([Z,] Y, X) into one channel of class numbers; the weight is 0 where nothing is known."""
        known = np.ones(labels.shape, np.float32) if annotated is None else (annotated > 0).astype(np.float32)
        if annotated is not None:
            labels = np.where(annotated > 0, labels, 0)  # a 255 for "unknown" is no class
        return Encoded(labels[np.newaxis].astype(np.float32), np.stack([known, known]))

    def maps(self, logits: Tensor) -> Tensor:
        """Turn logits into probabilities, background first: (K + 1, [Z,] Y, X)."""
        return logits.softmax(0)

    def decode(self, maps: NDArray[Any], settings: DecodeSettings, sampling: tuple[float, ...]) -> NDArray[np.int32]:
        """Give every voxel its likeliest class, background where all classes together stay below the threshold.

        Returns
        -------
        array, ([Z,] Y, X), int32
            0 background, 1..K; connected parts below the minimum size are removed.
        """
        labels = choose_classes(as_unit(maps), settings)
        if settings.min_size > 1:
            parts = cc3d.connected_components(labels, connectivity=FACES[labels.ndim])
            small = np.bincount(parts.ravel()) < settings.min_size
            labels[small[parts]] = 0
        return labels

    def confidence(self, labels: NDArray[Any], maps: NDArray[Any], sampling: tuple[float, ...]) -> NDArray[np.float32]:
        """Give nothing: there are no objects."""
        return np.zeros(0, np.float32)

    def grid(self, start: DecodeSettings) -> list[DecodeSettings]:
        """Give the foreground thresholds to try."""
        return [replace(start, foreground=value) for value in (0.3, 0.4, 0.5, 0.6, 0.7)]
