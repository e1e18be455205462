"""TIFF: plain, OME-TIFF and ImageJ, with the axes and the voxel size that their metadata give."""

from __future__ import annotations

import io
import logging
import threading
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import numpy as np
import tifffile

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.files import write_atomic
from napari_unet.core.io import tiff_lazy
from napari_unet.core.io.guard import check_memory
from napari_unet.core.io.paths import suffix
from napari_unet.core.io.stored import LAZY_BYTES, Stored, length_um
from napari_unet.core.io.tiff_lazy import known_axes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image

MEASURED_UM = 10.0
"""A pixel said to be smaller than this was measured; larger ones are the dots of a printer (300 dpi are 85 µm)."""

_LOG = logging.getLogger("tifffile")


def read(path: Path) -> Stored:
    """Read the first series of a TIFF; one that is large lazily, with its pyramid (see `Reader`).

    Returns
    -------
    Stored
        Axes and voxel size from OME-XML, ImageJ's or tifffile's metadata, or from the resolution tags where they can
        be trusted.
    """
    with _complete_chain(path), ExitStack() as opened:
        file = opened.enter_context(tifffile.TiffFile(path))
        series = file.series[0]
        alike = [s for s in file.series if s.shape == series.shape and s.dtype == series.dtype]
        if len(alike) > 1:
            raise UserError(
                f"'{path.name}' holds {len(alike)} images of the shape {series.shape}.", "Save them as separate files."
            )
        page = series.keyframe
        is_large = series.nbytes > LAZY_BYTES and page.photometric != tifffile.PHOTOMETRIC.PALETTE
        if not is_large:
            check_memory(path, series.nbytes)
        _check_complete(path, file, series)
        if page.photometric == tifffile.PHOTOMETRIC.SEPARATED:
            raise UserError(f"'{path.name}' holds the printing colours CMYK.", "Convert it to RGB.")
        size = _voxel_size(file, page)
        if is_large:
            stored = tiff_lazy.read(path, file, series, size)
            opened.pop_all()  # the file stays open as long as its image
            return stored
        return Stored(np.asarray(series.asarray()), known_axes(series.axes), size, _palette(page))


@contextmanager
def _complete_chain(path: Path) -> Iterator[None]:
    """Refuse a file whose chain of pages breaks off: tifffile only logs that, and gives the pages before."""
    listener = _Listener(threading.get_ident())
    _LOG.addHandler(listener)
    try:
        yield
    finally:
        _LOG.removeHandler(listener)
    if listener.lost:
        raise ReadError(f"'{path.name}' lacks pages: {listener.lost}.", "It was cut short: copy it once more.")


class _Listener(logging.Handler):
    """Remember what tifffile logs about pages that it could not find, in one thread."""

    def __init__(self, thread: int) -> None:
        super().__init__(logging.ERROR)
        self.thread = thread
        self.lost = ""

    def emit(self, record: logging.LogRecord) -> None:
        # "invalid page offset" or "invalid offset to page", by the version
        if record.thread == self.thread and {"invalid", "offset", "page"} <= set(record.getMessage().split()):
            self.lost = record.getMessage()


def _check_complete(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    """Refuse a file whose end is missing: tifffile fills what it does not find with zeros."""
    size = file.filehandle.size
    if series.dataoffset is not None:
        end = series.dataoffset + series.nbytes
    else:
        pages = [page for page in series.pages if page is not None]
        here = [page for page in pages if page.parent is file]  # an OME dataset may lie in many files
        ends = (o + n for page in here for o, n in zip(page.dataoffsets, page.databytecounts, strict=True))
        end = max(ends, default=0)
        if len(pages) < len(series.pages):
            raise ReadError(f"'{path.name}' lacks planes that it announces.", "It was cut short: copy it once more.")
    if end > size:
        raise ReadError(
            f"'{path.name}' announces {end} bytes and has {size}.", "It was cut short: copy or export it once more."
        )


def _palette(page: Any) -> NDArray[np.uint8] | None:
    if page.photometric != tifffile.PHOTOMETRIC.PALETTE or page.colormap is None:
        return None
    colours: NDArray[np.uint8] = (page.colormap.T >> 8).astype(np.uint8)
    return colours


def _voxel_size(file: tifffile.TiffFile, page: Any) -> dict[str, float]:
    if file.is_ome and file.ome_metadata:
        return _ome_size(file.ome_metadata)
    shaped = file.shaped_metadata if file.is_shaped else None
    told = file.imagej_metadata if file.is_imagej else (shaped[0] if shaped else None)
    tags = {a: _per_pixel(page.tags.get(name)) for a, name in (("X", "XResolution"), ("Y", "YResolution"))}
    if told and "unit" in told:
        lengths = {**tags, "Z": told.get("spacing")}
        sizes = {a: length_um(v, told["unit"]) for a, v in lengths.items()}
        return {a: v for a, v in sizes.items() if v is not None}
    unit = page.tags.get("ResolutionUnit")
    name = {2: "inch", 3: "cm"}.get(int(unit.value) if unit is not None else 0)
    sizes = {a: length_um(v, name) for a, v in tags.items()}
    return {a: v for a, v in sizes.items() if v is not None and v < MEASURED_UM}


def _per_pixel(tag: Any) -> float | None:
    """Turn pixels for each unit, a fraction, into units for each pixel."""
    if tag is None:
        return None
    pixels, units = tag.value
    return units / pixels if pixels else None


def _ome_size(xml: str) -> dict[str, float]:
    pixels = ElementTree.fromstring(xml).find(".//{*}Pixels")
    if pixels is None:
        return {}
    sizes = {a: length_um(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "µm")) for a in "ZYX"}
    return {a: v for a, v in sizes.items() if v is not None}


def write_labels(path: Path, labels: NDArray[np.integer], like: Image | None, told: str = "") -> None:
    """Write labels as compressed TIFF.

    Parameters
    ----------
    path : Path
        A plain ``.tif`` carries ImageJ's metadata, which Fiji opens by itself, where ImageJ has the type; ``.ome.tif``
        and 32-bit labels carry OME-XML.
    labels : array of uint8, uint16 or uint32
        As the image's label axes.
    like : Image or None
        Gives axes and voxel size.
    told : str
        A description.
    """
    axes = like.label_axes if like is not None else "TZYX"[-labels.ndim :]
    size = dict(zip(like.spatial_axes, like.voxel_size, strict=True)) if like is not None and like.voxel_size else {}
    if suffix(path).startswith(".ome") or labels.dtype == np.uint32:
        write_atomic(path, _ome_bytes(labels, axes, size, told))
        return
    metadata: dict[str, Any] = {"axes": axes, "unit": "um" if size else "pixel"}
    if "Z" in size:
        metadata["spacing"] = size["Z"]
    if told:
        metadata["Info"] = told
    resolution = (1 / size["X"], 1 / size["Y"]) if size else None
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, labels, imagej=True, compression="zlib", resolution=resolution, metadata=metadata)
    write_atomic(path, buffer.getvalue())


def write_image(path: Path, image: Image) -> None:
    """Write an image as compressed OME-TIFF; see `napari_unet.core.io.write_image`."""
    data, axes = np.asarray(image.data), image.axes
    if data.dtype == bool:
        data = data.astype(np.uint8)
    elif data.dtype.kind in "iu" and data.dtype.itemsize == 8:
        data = data.astype(np.float64)
    elif data.dtype == np.float16:
        data = data.astype(np.float32)
    if image.rgb:
        at = axes.index("C")
        data, axes = np.moveaxis(data, at, -1), axes.replace("C", "") + "S"
    size = dict(zip(image.spatial_axes, image.voxel_size, strict=True)) if image.voxel_size else {}
    write_atomic(path, _ome_bytes(data, axes, size))


def _ome_bytes(data: NDArray[Any], axes: str, size: dict[str, float], told: str = "") -> bytes:
    metadata: dict[str, Any] = {"axes": axes} | ({"Description": told} if told else {})
    for axis, length in size.items():
        metadata |= {f"PhysicalSize{axis}": length, f"PhysicalSize{axis}Unit": "µm"}
    buffer = io.BytesIO()
    photometric = "rgb" if axes.endswith("S") else "minisblack"
    tifffile.imwrite(buffer, data, ome=True, compression="zlib", photometric=photometric, metadata=metadata)
    return buffer.getvalue()
