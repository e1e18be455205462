"""List objects one by one: how large each is, its best partner on the other side, and whether it was matched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cc3d
import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.metrics.matching import match_pairs
from napari_unet.core.metrics.overlap import Labels, Overlap, overlap
from napari_unet.core.metrics.regions import best_pairs, part_counts

Side = Literal["truth", "prediction"]

FACES: dict[int, Literal[4, 6]] = {2: 4, 3: 6}
"""Neighbours that share an edge or a face, by number of axes."""


@dataclass(frozen=True)
class ObjectScore:
    """Keep what is known about one object.

    Parameters
    ----------
    side : {"truth", "prediction"}
        Which label image it is in.
    label : int
        Its label there.
    n_voxels : int
        Its size.
    partner : int
        Label of the object it is matched with, else of the one with the largest IoU; 0 where no other shares a voxel.
    iou : float, 0 to 1
        With that partner.
    matched : bool
        Whether they are a pair of the one-to-one matching.
    n_parts : int
        Objects of the other side that lie in it with more than half of their voxels; from 2 on it was split (a true
        object) or is a merge (a predicted one).
    """

    side: Side
    label: int
    n_voxels: int
    partner: int
    iou: float
    matched: bool
    n_parts: int


def score_objects(pred: Labels, truth: Labels, threshold: float = 0.5) -> list[ObjectScore]:
    """List the objects of both label images.

    Parameters
    ----------
    pred, truth : integer array, any number of axes, the same shape
        Instances; 0 is background.
    threshold : float, above 0 and at most 1
        The IoU from which on two objects match.

    Returns
    -------
    list of ObjectScore
        The true objects by label, then the predicted ones.

    Raises
    ------
    UserError
        When the shapes differ, or the arrays do not hold labels.
    """
    return list_objects(overlap(pred, truth), threshold)


def list_objects(found: Overlap, threshold: float = 0.5) -> list[ObjectScore]:
    """List objects as `score_objects` does, from overlaps that are known already."""
    matched = np.zeros(len(found.rows), bool)
    matched[match_pairs(found, threshold)] = True
    in_pred, in_true = part_counts(found)
    pairs = _Pairs(found.iou, matched)
    return [
        *_rows("truth", found.true_ids, found.true_sizes, in_true, found.columns, found.pred_ids[found.rows], pairs),
        *_rows(
            "prediction", found.pred_ids, found.pred_sizes, in_pred, found.rows, found.true_ids[found.columns], pairs
        ),
    ]


def score_pieces(pred: Labels, truth: Labels, threshold: float = 0.5) -> list[ObjectScore]:
    """List the connected pieces of two masks as objects; labels count them, pieces touch by faces.

    Parameters
    ----------
    pred, truth : bool or integer array, the same shape, 2 or 3 axes
        Everything but 0 belongs to the mask.
    threshold : float, above 0 and at most 1
        As `score_objects`.

    Raises
    ------
    UserError
        When the shapes differ, or there are more axes.
    """
    if pred.ndim not in FACES:
        raise UserError(f"Pieces of masks with {pred.ndim} axes cannot be listed.", "Give 2 or 3 spatial axes.")
    return score_objects(_pieces(pred), _pieces(truth), threshold)


def _pieces(mask: Labels) -> Labels:
    pieces: Labels = cc3d.connected_components(np.ascontiguousarray(mask != 0), connectivity=FACES[mask.ndim])
    return pieces


@dataclass(frozen=True)
class _Pairs:
    """Keep what both objects of a pair have in common."""

    iou: NDArray[np.float64]
    matched: NDArray[np.bool_]


def _rows(
    side: Side,
    ids: NDArray[np.int64],
    sizes: NDArray[np.int64],
    n_parts: NDArray[np.int64],
    own: NDArray[np.int64],
    others: NDArray[np.int64],
    pairs: _Pairs,
) -> list[ObjectScore]:
    """List one side; `own` is the object's place in `ids` for each pair, `others` its partner's label."""
    # A matched pair comes before all others, also before an equal one that the matching left out.
    best = best_pairs(own, pairs.iou + 2 * pairs.matched)
    pair_of = np.full(len(ids), -1)
    pair_of[own[best]] = best
    rows = []
    for i in np.argsort(ids):
        pair = pair_of[i]
        partner = (
            (int(others[pair]), float(pairs.iou[pair]), bool(pairs.matched[pair])) if pair >= 0 else (0, 0.0, False)
        )
        rows.append(ObjectScore(side, int(ids[i]), int(sizes[i]), *partner, int(n_parts[i])))
    return rows
