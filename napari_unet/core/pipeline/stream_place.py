"""Where the tasks of a large image find what they need: a folder that every process can open."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_unet.core.base.files import write_atomic
from napari_unet.core.base.resize_box import resize_box, source_box
from napari_unet.core.io import open_labels
from napari_unet.core.pipeline.ladder import Ask, always
from napari_unet.core.pipeline.predictor import make_engine
from napari_unet.core.pipeline.stream_folder import DONE, FOUND, LABELS, MAPS, MODEL, PLAN, finest_shape
from napari_unet.core.pipeline.stream_plan import Plan
from napari_unet.core.store.models import Model, load_model

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.pipeline.engine import Runner


@dataclass(frozen=True)
class Job:
    """Name a segmentation that has been prepared; small, and sent to whoever works on it.

    Parameters
    ----------
    folder : Path
        Of its work; the same for all processes.
    name : str
        Of the labels.
    key : str
        Changes with the plan, so that nothing is kept from an earlier one in the same folder.
    open_image : callable
        Opens the image; for other processes it has to be one that can be pickled.
    """

    folder: Path
    name: str
    key: str
    open_image: Callable[[], Image] = field(compare=False)


class Place:
    """A job opened in one process: the image, the network, the stores and the marks of what is done."""

    def __init__(self, job: Job, may_use_cpu: Ask = always) -> None:
        self.folder, self.name, self.may_use_cpu = job.folder, job.name, may_use_cpu
        self.image = job.open_image()
        self.plan = Plan.from_json((job.folder / PLAN).read_text(encoding="utf-8"))
        self.shape = self.plan.shape(self.image)
        self.finest = finest_shape(self.shape, self.image.spatial_shape)
        self.constant: dict[tuple[Any, ...], NDArray[np.float16]] = {}

    @cached_property
    def model(self) -> Model:
        """Load the model."""
        return load_model(self.folder / MODEL)

    @cached_property
    def engine(self) -> Runner:
        """Prepare the network."""
        return make_engine(self.model, self.plan.options)

    @cached_property
    def maps(self) -> Any:
        """Open the store of the maps on the network's grid: (T, K, [Z,] Y, X) float16."""
        return zarr.open_array(self.folder / MAPS, mode="r+")

    @cached_property
    def labels(self) -> Any:
        """Open the labels on the image's grid: ([T,] [Z,] Y, X) int32."""
        return open_labels(self.folder / LABELS / self.name)

    @cached_property
    def found(self) -> Any:
        """Open the labels on the grid of the maps, where that is finer: (T, [Z,] Y, X) int32."""
        return zarr.open_array(self.folder / FOUND, mode="r+")

    @property
    def is_finer(self) -> bool:
        """Tell whether the maps are decoded on a finer grid than the image's."""
        return self.finest != self.image.spatial_shape

    @property
    def block(self) -> tuple[int, ...]:
        """Give the edges of a block, those of the labels' chunks."""
        return tuple(self.labels.chunks[-self.image.dims :])

    def frame(self, time: int) -> Frame:
        """See the maps of one time point, on the finest grid."""
        return Frame(self.maps, time, self.finest)

    def tiles_left(self) -> int:
        """Count the tiles that have no maps yet."""
        n_tiles = self.image.n_times * sum(1 for _ in self.plan.tiles(self.shape))
        return n_tiles - sum(name.startswith("maps-") for name in self.marked())

    def mark(self, name: str, value: object = None) -> None:
        """Write down that a task is done, after all that it wrote."""
        write_atomic(self.folder / DONE / name, json.dumps(value).encode())

    def marked(self) -> dict[str, Path]:
        """List what is done."""
        return {path.name: path for path in (self.folder / DONE).iterdir() if not path.name.startswith(".")}


@dataclass(frozen=True)
class Frame:
    """Maps of one time point as decoding reads them: enlarged to the finest grid where the network's is coarser."""

    maps: Any
    time: int
    space: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, ...]:
        """Give (K, [Z,] Y, X)."""
        return (int(self.maps.shape[1]), *self.space)

    def __getitem__(self, index: tuple[slice, ...]) -> NDArray[np.float16]:
        """Read a box: (K, *box)."""
        old: tuple[int, ...] = tuple(self.maps.shape[2:])
        box: Box = tuple(slice(*part.indices(n)[:2]) for part, n in zip(index[1:], self.space, strict=True))
        if old == self.space:
            plain: NDArray[np.float16] = self.maps[(self.time, index[0], *box)]
            return plain
        part = self.maps[(self.time, index[0], *source_box(old, self.space, box))]
        return resize_box(part, old, self.space, box).astype(np.float16)


Task = Callable[[Place], Any]
"""A part of the work: changes nothing but its own chunks and its own mark, and can be done again."""

Run = Callable[[Iterable[Task]], Iterator[Any]]
"""Does tasks and gives their results in their order."""

Workers = Callable[[Job], Run]
"""Those who work on a job."""


def here(job: Job, may_use_cpu: Ask = always) -> Run:
    """Work in this process, on one task after the other."""
    place = Place(job, may_use_cpu)
    return lambda tasks: (task(place) for task in tasks)
