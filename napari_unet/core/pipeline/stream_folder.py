"""The work folder of a large image: laid out once, found again after an interruption, removed at the end."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import zarr

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import sha256, write_atomic
from napari_unet.core.io import create_labels
from napari_unet.core.pipeline.stream_plan import Plan
from napari_unet.core.store.models import Model, save_model

if TYPE_CHECKING:
    from collections.abc import Callable

    from napari_unet.core.base.image import Image

PLAN, MODEL, MAPS, FOUND, LABELS, DONE = "plan.json", "model", "maps.zarr", "found.zarr", "labels", "done"


def prepare_folder(
    folder: Path, name: str, plan: Plan, model: Model, image: Image, fill: Callable[[Path], None] | None = None
) -> None:
    """Lay out a new work folder; with the plan, which comes last, it is ready. `fill` may put finished maps into it.

    Raises
    ------
    UserError
        When the disk refuses.
    """
    shape = plan.shape(image)
    n_maps = _count_maps(model)
    try:
        (folder / DONE).mkdir(parents=True)
        save_model(model, folder / MODEL)
        space = (1,) * (len(shape) - len(plan.edges)) + plan.edges
        chunks = (1, n_maps, *(min(e, n) for e, n in zip(space, shape, strict=True)))
        _array(folder / MAPS, (image.n_times, n_maps, *shape), chunks, np.float16)
        labels = create_labels(folder / LABELS / name, image.label_shape, image.label_axes, image.voxel_size)
        finest = finest_shape(shape, image.spatial_shape)
        if finest != image.spatial_shape:
            block = tuple(labels.chunks[-image.dims :])
            _array(folder / FOUND, (image.n_times, *finest), (1, *block), np.int32)
        if fill is not None:
            fill(folder)
        write_atomic(folder / PLAN, plan.to_json().encode())
    except OSError as error:
        raise UserError(
            f"'{folder}' cannot be written: {error.strerror or error}.", "Check the folder and its free space."
        ) from error


def open_folder(folder: Path, wanted: dict[str, Any]) -> Plan | None:
    """Read the plan of an earlier, unfinished run.

    Parameters
    ----------
    folder : Path
        Of the work.
    wanted : dict
        What is to be done now, from `identify`.

    Returns
    -------
    Plan or None
        None where there is nothing to go on with.

    Raises
    ------
    UserError
        When the earlier run was of another model, image or options.
    """
    file = folder / PLAN
    if not file.is_file():
        return None
    plan = Plan.from_json(file.read_text(encoding="utf-8"))
    plain = json.loads(json.dumps(wanted))
    other = [name for name, value in plain.items() if plan.made_for.get(name) != value]
    if other:
        raise UserError(
            f"An unfinished segmentation lies in '{folder}', of {' and '.join(f'another {one}' for one in other)}.",
            "Finish it with what it was begun with, or start afresh (--fresh).",
        )
    return plan


def key_of(plan: Plan) -> str:
    """Give a text that changes with the plan."""
    return sha256(plan.to_json().encode())


def remove(folder: Path) -> None:
    """Remove a work folder."""
    shutil.rmtree(folder, ignore_errors=True)


def _array(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: Any) -> None:
    zarr.create_array(path, shape=shape, chunks=chunks, dtype=dtype, fill_value=0, overwrite=True)


def _count_maps(model: Model) -> int:
    outputs = model.target.n_outputs(model.spec.dims, len(model.spec.classes))
    return int(model.target.maps(torch.zeros(outputs, *(1,) * model.spec.dims)).shape[0])


def finest_shape(shape: tuple[int, ...], image: tuple[int, ...]) -> tuple[int, ...]:
    """Give the shape of the grid that is decoded: along each axis the finer of the network's and the image's."""
    return tuple(max(n, m) for n, m in zip(shape, image, strict=True))
