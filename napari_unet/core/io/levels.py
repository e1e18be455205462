"""Choose the level of a pyramid by the voxel size that is wanted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from napari_unet.core.io.stored import Stored

SLACK = 1.01
"""Sizes of levels are rounded: one that is 1 % too coarse will do."""


def choose_level(stored: Stored, at_least: Sequence[float]) -> Stored:
    """Choose the coarsest level whose voxels are nowhere longer than wanted; the finest where even those are.

    Parameters
    ----------
    stored : Stored
        With its coarser levels, each with its voxel size.
    at_least : sequence of float, µm
        One for each spatial axis, in the order ``ZYX``.

    Returns
    -------
    Stored
        One level, without others.

    Raises
    ------
    UserError
        When the voxel size of the image is not known, or has another number of axes.
    """
    spatial = [a for a in "ZYX" if a in stored.axes and _length(stored, a) > 1]
    if not all(a in stored.voxel_size for a in spatial):
        raise UserError(
            "The image does not say its voxel size: no level can be chosen by it.", "Leave the wanted voxel size out."
        )
    if len(at_least) != len(spatial):
        raise UserError(
            f"The wanted voxel size {tuple(at_least)} does not fit the axes {''.join(spatial)}.",
            "Give one length in µm for each spatial axis.",
        )
    wanted = dict(zip(spatial, at_least, strict=True))
    fine = [one for one in stored.coarser if all(one.voxel_size.get(a, inf) <= SLACK * v for a, v in wanted.items())]
    return replace(fine[-1] if fine else stored, coarser=())


def _length(stored: Stored, axis: str) -> int:
    return int(stored.data.shape[stored.axes.index(axis)])
