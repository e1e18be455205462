"""Images on the disk, each larger than the one before: what labels take of memory and time, and whether it grows."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import zarr
from numpy.typing import NDArray

from benchmarks.measure import Cost, Measured, cost_of, in_child, say
from benchmarks.record import Figure, Result, Settings
from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.io import read_image
from napari_unet.core.pipeline.stream import segment_to_store
from napari_unet.core.store.models import load_model
from napari_unet.core.synthetic.nuclei import nuclei_2d

SIZES, QUICK_SIZES = (6144, 12288, 18432), (1024, 2048, 3072)
"""px; an image below 5793 px is read whole for the statistics, in blocks."""

TILE, QUICK_TILE = 1024, 256
WANTED = 50_000
"""px; the edge of the image that is extrapolated to."""

PICTURES, PICTURE, NUCLEI = 8, 1024, 480
"""Different chunks of the image, their edge in px, and the nuclei in each."""

GROWTH_TARGET, MEMORY_TARGET = 1.15, 2.0


def run(settings: Settings) -> Result:
    """Segment each image in a process of its own."""
    sizes, tile = (QUICK_SIZES, QUICK_TILE) if settings.quick else (SIZES, TILE)
    pictures = in_child(make_pictures, 2 if settings.quick else PICTURES).result
    found = {}
    for size in sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_image(folder / "image.zarr", size, pictures)
            found[size] = in_child(segment_image, settings.model_folder(), folder, tile)
        say(f"{size} px: {found[size].peak / 2**30:.2f} GiB, {found[size].result.cpu / size**2 * 1e6:.2f} CPU s / Mpx")
    samples = {f"{size} px": {"peak": one.peak, "cpu": one.result.cpu} for size, one in found.items()}
    return Result(tuple(_figures(found)), samples)


def _figures(found: dict[int, Measured[Cost]]) -> list[Figure]:
    figures = []
    for size, one in found.items():
        figures.append(Figure(f"{size} px: most memory", one.peak / 2**30, "GiB"))
        figures.append(Figure(f"{size} px: CPU time / megapixel", one.result.cpu / size**2 * 1e6, "s"))
    first, last = min(found), max(found)
    growth = found[last].peak / found[first].peak
    seconds = found[last].result.cpu * (WANTED / last) ** 2
    # A straight line through all sizes: what grows at all grows with the number of pixels, or of objects.
    pixels = np.array([size**2 for size in found], float)
    slope, base = np.polyfit(pixels, [one.peak for one in found.values()], 1)
    memory = float(max(base + slope * WANTED**2, found[last].peak)) / 2**30
    name = f"extrapolated to {WANTED} px"
    return [
        *figures,
        Figure(f"most memory, {last} px / {first} px", growth, target=GROWTH_TARGET),
        Figure(f"{name}: most memory", memory, "GiB", target=MEMORY_TARGET),
        Figure(f"{name}: CPU time", seconds / 3600, "h"),
    ]


def make_pictures(n: int) -> list[NDArray[np.uint16]]:
    """Generate different chunks of an image of nuclei."""
    return [nuclei_2d(seed, (PICTURE, PICTURE), NUCLEI).image.data for seed in range(n)]


def write_image(path: Path, size: int, pictures: list[NDArray[np.uint16]]) -> None:
    """Write an image chunk by chunk, in which the pictures take turns."""
    image = zarr.create_array(path, shape=(size, size), chunks=(PICTURE, PICTURE), dtype=pictures[0].dtype)
    for number, (y, x) in enumerate(np.ndindex(size // PICTURE, size // PICTURE)):
        image[tuple(slice(i * PICTURE, (i + 1) * PICTURE) for i in (y, x))] = pictures[number * 5 % len(pictures)]


def segment_image(model: Path, folder: Path, tile: int) -> Cost:
    """Segment the image in a folder, and say what it took."""
    image = read_image(folder / "image.zarr", "YX")
    options = SegmentOptions(rescale="off", tile=tile, device="cpu")
    known = load_model(model)
    return cost_of(lambda: segment_to_store(known, image, folder / "labels.zarr", options))
