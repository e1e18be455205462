"""What is settled before a large image is segmented, so that whoever goes on with it does the same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import product
from math import ceil
from typing import TYPE_CHECKING, Any

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import sha256
from napari_unet.core.base.normalise import Statistics
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.base.tiles import Box, full_box, round_up
from napari_unet.core.pipeline.halo import fast_halo
from napari_unet.core.pipeline.ladder import Ask, always
from napari_unet.core.pipeline.predictor import BLENDED, Predictor, context_of
from napari_unet.core.pipeline.scale import zoomed_shape
from napari_unet.core.pipeline.tiled import context, default_tile
from napari_unet.core.pipeline.zoom import choose_zoom

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image
    from napari_unet.core.base.progress import Report
    from napari_unet.core.pipeline.engine import Runner
    from napari_unet.core.store.models import Model

VERSION = 2


@dataclass(frozen=True)
class Plan:
    """How one image is segmented.

    Parameters
    ----------
    made_for : dict
        What it may not be used without: model, image and options, each as plain values.
    statistics : Statistics
        Normalise the whole image.
    factors : tuple of float
        Enlargement along each spatial axis, from the image's grid to the network's.
    edges : tuple of int, voxels
        Of a tile's core along each axis that the network sees: a multiple of the pooling grid.
    margin : tuple of int, voxels, or None
        Context of a tile on each side; None where tiles are blended.
    size : int, voxels
        Edge of the blended tiles.
    notes : tuple of str
        What the user should know.
    """

    made_for: dict[str, Any]
    statistics: Statistics
    factors: tuple[float, ...]
    edges: tuple[int, ...]
    margin: tuple[int, ...] | None
    size: int
    notes: tuple[str, ...] = ()

    @property
    def options(self) -> SegmentOptions:
        """Give what the user chose."""
        return SegmentOptions(**self.made_for["options"])

    def shape(self, image: Image) -> tuple[int, ...]:
        """Give the spatial shape of the image on the network's grid."""
        return zoomed_shape(image.spatial_shape, self.factors)

    def tiles(self, shape: tuple[int, ...]) -> Iterator[Box]:
        """Cover a spatial shape with the cores of tiles; planes of a stack have tiles of their own."""
        edges = (1,) * (len(shape) - len(self.edges)) + self.edges
        parts = [[slice(i, min(i + e, n)) for i in range(0, n, e)] for n, e in zip(shape, edges, strict=True)]
        yield from product(*parts)

    def to_json(self) -> str:
        """Write as text."""
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1)

    @staticmethod
    def from_json(text: str) -> Plan:
        """Read what `to_json` wrote.

        Raises
        ------
        UserError
            When it is from another version of this program, or damaged.
        """
        try:
            values: dict[str, Any] = json.loads(text)
            if values.pop("version") != VERSION:
                raise ValueError("another version")
            statistics = {name: tuple(part) for name, part in values.pop("statistics").items()}
            plain: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
            return Plan(statistics=Statistics(**statistics), **plain)
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(
                f"The unfinished segmentation cannot be continued: its plan cannot be read ({error}).", "Start afresh."
            ) from error


def identify(model: Model, image: Image, options: SegmentOptions, statistics: Statistics) -> dict[str, Any]:
    """Say in plain values what a plan is made for; the statistics stand for the image's intensities."""
    weights = sha256(b"".join(name.encode() + w.numpy().tobytes() for name, w in sorted(model.weights.items())))
    chosen = {name: value for name, value in asdict(options).items() if name != "device"}
    told: dict[str, Any] = {
        "model": {"spec": sha256(replace(model.spec, weights_sha256="").to_json().encode()), "weights": weights},
        "image": {
            "axes": image.axes,
            "shape": list(image.data.shape),
            "dtype": str(image.data.dtype),
            "voxel_size": image.voxel_size and list(image.voxel_size),
            "statistics": {name: list(part) for name, part in asdict(statistics).items()},
        },
        "options": chosen,
    }
    return told


def make_plan(
    model: Model,
    image: Image,
    options: SegmentOptions,
    statistics: Statistics,
    report: Report,
    may_use_cpu: Ask = always,
) -> Plan:
    """Settle how an image is segmented.

    Parameters
    ----------
    model, image, options
        As for `segment`, which chooses the same.
    statistics : Statistics
        Of the image.
    report : Report
        Called while the size of the objects is measured.
    may_use_cpu : function of an estimated time in s
        As for `segment`.
    """
    predictor = Predictor(model, image, options, may_use_cpu=may_use_cpu, statistics=statistics)
    zoom = choose_zoom(predictor, full_box(image.spatial_shape), 0, report)
    engine = predictor.engine
    shape = zoomed_shape(image.spatial_shape, zoom.factors)[-model.spec.dims :]
    size = min(options.tile or default_tile(engine, shape), round_up(max(shape), 32))
    edges, margin = _lay_tiles(engine, shape, size, options.halo)
    notes = (*zoom.notes, *(() if margin is not None else (BLENDED,)), *engine.notes)
    made_for = identify(model, image, options, statistics)
    return Plan(made_for, statistics, zoom.factors, edges, margin, size, notes)


def _lay_tiles(
    engine: Runner, shape: tuple[int, ...], size: int, halo: str
) -> tuple[tuple[int, ...], tuple[int, ...] | None]:
    """Choose edges and context of the tiles, as `run_tiled` would."""
    multiple, exact = engine.config.multiple(), context(engine)
    if all(ceil(n / m) <= max(1, size // m) for n, m in zip(shape, multiple, strict=True)):
        return tuple(round_up(n, m) for n, m in zip(shape, multiple, strict=True)), (0,) * len(shape)
    if exact is None and engine.config.padding != "valid":
        return tuple(2 * round_up(size, m) for m in multiple), None
    wanted = context_of(engine)
    if halo == "fast" and engine.config.padding != "valid":
        wanted = fast_halo(wanted)
    # One block of the grid at least, for what is mirrored at the image's edge to lie in the tile.
    margin = tuple(max(m, round_up(h, m)) for h, m in zip(wanted, multiple, strict=True))
    return tuple(_balanced(n, size, m) for n, m in zip(shape, multiple, strict=True)), margin


def _balanced(length: int, size: int, multiple: int) -> int:
    """Choose the edge of equal tiles, near to a size and never larger, on the pooling grid."""
    blocks = ceil(length / multiple)
    n_tiles = ceil(blocks / max(1, size // multiple))
    return ceil(blocks / n_tiles) * multiple
