"""Broken files: whatever happens to the bytes, a reader gives an image or one error for the user."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image as Picture

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.io import guard, read_image, read_labels, write_image, write_labels

FREE_MEMORY = 50_000_000  # bytes; keeps a mutated shape from taking seconds

SHARES = st.floats(0, 1)
# Headers decide what happens, so half of the changes go there.
CHANGES = st.lists(st.tuples(st.integers(0, 600) | SHARES, st.integers(0, 255)), max_size=6)


@pytest.fixture(scope="module")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("originals")
    array = np.random.default_rng(0).integers(0, 255, (6, 24, 25), dtype=np.uint8)
    image = Image(array, "ZYX", (1.0, 0.5, 0.5))
    write_image(folder / "ome.ome.tif", image)
    for name in ("labels.tif", "small.nii", "small.nii.gz", "small.npy"):
        write_labels(folder / name, array, image)
    tifffile.imwrite(folder / "plain.tif", array[0])
    tifffile.imwrite(folder / "tiled.tif", array[:, :16, :16], tile=(16, 16), compression="zlib", bigtiff=True)
    Picture.fromarray(array[0]).save(folder / "small.png")
    Picture.fromarray(array[0]).save(folder / "small.jpg")
    return folder


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "free_memory", lambda: FREE_MEMORY)


@pytest.mark.parametrize(
    "name",
    [
        "labels.tif",
        "ome.ome.tif",
        "plain.tif",
        "tiled.tif",
        "small.nii",
        "small.nii.gz",
        "small.npy",
        "small.png",
        "small.jpg",
    ],
)
@pytest.mark.usefixtures("small_memory")
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, cut=st.none() | SHARES)
def test_read_when_bytes_are_changed_or_cut_then_gives_an_array_or_a_user_error(
    originals: Path,
    tmp_path_factory: pytest.TempPathFactory,
    name: str,
    changes: list[tuple[int | float, int]],
    cut: float | None,
) -> None:
    path = Path(tmp_path_factory.getbasetemp()) / name
    path.write_bytes(_changed((originals / name).read_bytes(), changes, cut))

    with suppress(UserError):
        assert isinstance(read_image(path), Image)
    with suppress(UserError):
        assert read_labels(path).dtype.kind == "i"


@pytest.mark.usefixtures("small_memory")
def test_read_when_the_bytes_are_whole_then_every_original_can_be_read(originals: Path) -> None:
    for path in originals.iterdir():
        axes = "ZYX" if path.name in ("tiled.tif", "small.npy") else None
        assert read_image(path, axes=axes).data.size


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stores")
    array = np.random.default_rng(0).integers(0, 255, (6, 24, 25), dtype=np.uint8)
    write_labels(folder / "2.zarr", array, Image(array, "ZYX", (1.0, 0.5, 0.5)))
    group = zarr.create_group(folder / "3.zarr", zarr_format=3)
    group.create_array("0", shape=array.shape, dtype="u1", chunks=(3, 24, 25))[...] = array
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]
    datasets = [{"path": "0", "coordinateTransformations": scale}]
    group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]}
    return folder


@pytest.mark.parametrize("name", ["2.zarr/.zattrs", "2.zarr/0/.zarray", "3.zarr/zarr.json", "3.zarr/0/zarr.json"])
@pytest.mark.usefixtures("small_memory")
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=CHANGES, cut=st.none() | SHARES)
def test_read_when_metadata_of_a_store_are_changed_or_cut_then_gives_boxes_or_a_user_error(
    stores: Path, name: str, changes: list[tuple[int | float, int]], cut: float | None
) -> None:
    file = stores / name
    original = file.read_bytes()
    try:
        file.write_bytes(_changed(original, changes, cut))
        with suppress(UserError):
            image = read_image(stores / name.split("/")[0])
            image.box(0, tuple(slice(0, min(n, 9)) for n in image.spatial_shape))
        with suppress(UserError):
            assert read_labels(stores / name.split("/")[0]).dtype.kind == "i"
    finally:
        file.write_bytes(original)


def _changed(original: bytes, changes: list[tuple[int | float, int]], cut: float | None) -> bytes:
    content = bytearray(original)
    for place, value in changes:
        content[int(place * (len(content) - 1)) if isinstance(place, float) else place % len(content)] = value
    return bytes(content[: None if cut is None else int(cut * len(content))])
