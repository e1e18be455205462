"""Tools that change very many voxels: worked out beside the window, so that only the writing is left to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.app.renaming import renamed
from napari_unet.core.base.progress import Progress, Report
from napari_unet.core.edits.find import DENSE_IDS

if TYPE_CHECKING:
    from napari_unet.app.annotations import Labels
    from napari_unet.app.job import Stop
    from napari_unet.app.result import Result
    from napari_unet.core.edits import Tool


@dataclass(frozen=True, eq=False)
class WholeRequest:
    """Ask for what a tool changes.

    Parameters
    ----------
    tool : Tool
        What is used.
    labels : integer array
        The part of the labels that the tool gets; may be painted meanwhile.
    selection : sequence of int
        The objects that are meant.
    parameters : mapping of str to value
        What the tool's function takes.
    whole : integer array
        All labels.
    result : Result
        What is known of the objects.
    key : tuple of int or None
        Where the part is in the labels, as in `LabelEdit.at`.
    gives_names : bool
        The tool gives objects other ids, which takes what is known along.
    """

    tool: Tool
    labels: Any = field(repr=False)
    selection: Sequence[int]
    parameters: Mapping[str, Any] = field(repr=False)
    whole: Labels = field(repr=False)
    result: Result = field(repr=False)
    key: tuple[int | None, ...] = ()
    gives_names: bool = False


@dataclass(frozen=True, eq=False)
class WholeEdit:
    """Say what has to be written.

    Parameters
    ----------
    where : (N,) int arrays, one for each axis of all labels, ascending
        The voxels that change.
    flat : (N,) int
        The same, counted through all labels as they lie in memory.
    before, after : (N,) int
        Their labels: as they were when it was worked out, and as they shall be.
    result : Result
        What is known of the objects afterwards.
    """

    where: tuple[NDArray[np.intp], ...] = field(repr=False)
    flat: NDArray[np.intp] = field(repr=False)
    before: Labels = field(repr=False)
    after: Labels = field(repr=False)
    result: Result = field(repr=False)


def work_out(request: WholeRequest, report: Report, stop: Stop) -> WholeEdit:
    """Find what a tool changes; a job function.

    Where labels or result change meanwhile, what is found is of no use, and nothing else happens.

    Raises
    ------
    UserError
        What the tool says.
    """
    report(Progress(0, 1, request.tool.title))
    edit = request.tool(request.labels, request.selection, **request.parameters).at(*request.key)
    where, after = edit.indices(), edit.new_values()
    before = request.whole[where]
    differs = before != after
    if not differs.all():
        where, before, after = tuple(at[differs] for at in where), before[differs], after[differs]
    result = request.result
    if request.gives_names:
        report(Progress(0, 1, request.tool.title))
        index = tuple(slice(None) if at is None else at for at in request.key)
        result = renamed(result, request.whole, _names(before, after), index)
    flat = np.ravel_multi_index(where, request.whole.shape)
    return WholeEdit(where, flat, before, after, result)


def _names(before: Labels, after: Labels) -> dict[int, int]:
    """Say which object gets which id."""
    if int(before.max(initial=0)) <= DENSE_IDS and int(before.min(initial=0)) >= 0:
        table = np.zeros(int(before.max(initial=0)) + 1, after.dtype)
        table[before] = after
        old = np.flatnonzero(table)
        return dict(zip(old.tolist(), table[old].tolist(), strict=True))
    old, first = np.unique(before, return_index=True)
    return dict(zip(old.tolist(), after[first].tolist(), strict=True))
