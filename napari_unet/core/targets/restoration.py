"""Images themselves: what a network learns in a pre-training, before anything is annotated.

References
----------
Z. Zhou et al.: Models Genesis. MICCAI 2019, doi:10.1007/978-3-030-32251-9_42. K. He et al.: Masked Autoencoders Are
Scalable Vision Learners. CVPR 2022, doi:10.1109/CVPR52688.2022.01553.
"""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.core.base.errors import UserError
from napari_unet.core.targets.base import DecodeSettings, Encoded, Term


class Restoration:
    """The channels of an image; the classes of its models are named after them.

    Notes
    -----
    While it learns, the network gives its error where the image was hidden from it (see ``core.pipeline.pretrain``), so
    what it is compared with is 0 everywhere.
    """

    vectors = False

    def n_outputs(self, dims: int, n_classes: int) -> int:
        """Give the number of channels: those of the image."""
        return n_classes

    def terms(self, dims: int, n_classes: int) -> tuple[Term, ...]:
        """Give the parts of the loss: the absolute error of each channel.

        The first is that of the classes, which the user can exchange; there are none here, so it does not count.
        """
        nothing = Term("ce", slice(0, 1), slice(0, 1), 0, 0.0)
        return nothing, *(Term("smooth_l1", slice(c, c + 1), slice(0, 1), 0, 1 / n_classes) for c in range(n_classes))

    def encode(self, labels: NDArray[Any], annotated: NDArray[np.uint8] | None, sampling: tuple[float, ...]) -> Encoded:
        """Give zeros; every voxel counts where the image is known."""
        known = np.ones(labels.shape, np.float32) if annotated is None else (annotated > 0).astype(np.float32)
        return Encoded(np.zeros((1, *labels.shape), np.float32), np.stack([known, known]))

    def maps(self, logits: Tensor) -> NoReturn:
        """Refuse: there is nothing to segment."""
        raise _nothing_to_segment()

    def decode(self, maps: NDArray[Any], settings: DecodeSettings, sampling: tuple[float, ...]) -> NoReturn:
        """Refuse: there is nothing to segment."""
        raise _nothing_to_segment()

    def confidence(self, labels: NDArray[Any], maps: NDArray[Any], sampling: tuple[float, ...]) -> NDArray[np.float32]:
        """Give nothing: there are no objects."""
        return np.zeros(0, np.float32)

    def grid(self, start: DecodeSettings) -> list[DecodeSettings]:
        """Give nothing to tune."""
        return [start]


def _nothing_to_segment() -> UserError:
    return UserError(
        "A model that has learnt from images alone cannot segment.",
        "Train a new model on annotated images that starts from it.",
    )
