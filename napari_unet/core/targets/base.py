"""What a target is: labels become what the network learns, and its output becomes labels again."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from napari_unet.core.base.errors import UserError

UNKNOWN, KNOWN, CUT = 0, 1, 2
"""Values of `annotated`: nothing is known; all is known; the class is known but the object is cut."""


@dataclass(frozen=True)
class DecodeSettings:
    """Choose how maps become labels; changing them never runs the network.

    Parameters
    ----------
    foreground : float, 0..1
        Probability above which a voxel belongs to an object.
    seed : float, 0..1
        Boundary distance that the middle of an object has to reach.
    split : float, 0..1
        Two middles are two objects where the distance falls by more than this between them: lower splits more.
    min_size : int, voxels
        Smaller objects are removed.
    smooth : float, voxels
        Sigma of the smoothing of the distances before seeds are taken.
    """

    foreground: float = 0.5
    seed: float = 0.45
    split: float = 0.16
    min_size: int = 10
    smooth: float = 1.0

    def __post_init__(self) -> None:
        thresholds = (self.foreground, self.seed, self.split)
        if not (all(0 < value < 1 for value in thresholds) and self.min_size >= 0 and self.smooth >= 0):
            raise UserError(f"The decode settings {self} are not possible.", "Use thresholds between 0 and 1.")

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for a JSON file."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> DecodeSettings:
        """Rebuild from a JSON file's values.

        Raises
        ------
        UserError
            When a name is unknown or a value is not a number.
        """
        known = {one.name: one for one in fields(DecodeSettings)}
        if set(values) - set(known) or not all(isinstance(v, (int, float)) for v in values.values()):
            raise UserError(f"The decode settings {values} cannot be read.", "Is the model from a newer version?")
        return DecodeSettings(**values)


@dataclass(frozen=True)
class Encoded:
    """What the network learns from one image.

    Parameters
    ----------
    target : (K, [Z,] Y, X) float32
        The wanted output.
    weight : (2, [Z,] Y, X) float32
        How much a voxel counts: for the class, and for what needs a whole object. 0 = not annotated.
    """

    target: NDArray[np.float32]
    weight: NDArray[np.float32]


@dataclass(frozen=True)
class Term:
    """One part of a target's loss.

    Parameters
    ----------
    loss : str
        A key of ``LOSSES`` or ``MAP_LOSSES`` in ``core.base.catalogue``.
    output, target : slice
        Channels of the network's output and of the encoded target.
    weight : {0, 1}
        Channel of the encoded weight.
    factor : float
        Share in the sum.
    """

    loss: str
    output: slice
    target: slice
    weight: int
    factor: float


class Target(Protocol):
    """Encode and decode one kind of target; both live in one file and are tested as a round trip."""

    vectors: bool
    """The last channels of the encoded target are vectors, to be turned along when a patch is turned."""

    def n_outputs(self, dims: int, n_classes: int) -> int:
        """Give the number of channels of the network."""

    def terms(self, dims: int, n_classes: int) -> tuple[Term, ...]:
        """Give the parts of the loss."""

    def encode(self, labels: NDArray[Any], annotated: NDArray[np.uint8] | None, sampling: tuple[float, ...]) -> Encoded:
        """Turn labels ([Z,] Y, X) into what the network learns."""

    def maps(self, logits: Tensor) -> Tensor:
        """Turn raw output (K, [Z,] Y, X) into the maps that `decode` reads, values 0..1."""

    def decode(self, maps: NDArray[Any], settings: DecodeSettings, sampling: tuple[float, ...]) -> NDArray[np.int32]:
        """Turn maps into labels ([Z,] Y, X)."""

    def confidence(self, labels: NDArray[Any], maps: NDArray[Any], sampling: tuple[float, ...]) -> NDArray[np.float32]:
        """Tell how sure the network is of each object, by its number: (N + 1,), 0..1; (0,) where there are none."""

    def grid(self, start: DecodeSettings) -> list[DecodeSettings]:
        """Give the settings to try when they are tuned on annotations."""
