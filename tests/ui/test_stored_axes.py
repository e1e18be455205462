"""Layers that another reader opened: their zarr store says what they do not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel
from napari.layers._source import layer_source

from napari_unet.core.io import create_labels, finish_labels
from napari_unet.ui import layers

if TYPE_CHECKING:
    from pathlib import Path

    from napari.layers import Image as ImageLayer


def opened(path: Path, data: Any, **options: Any) -> ImageLayer:
    """Show data as if another reader had opened them from a path."""
    with layer_source(path=str(path), reader_plugin="another"):
        return ViewerModel().add_image(data, **options)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Write an OME-Zarr of the axes TZYX, 2 x 0.5 x 0.5 µm."""
    path = tmp_path / "image.zarr"
    create_labels(path, (1, 6, 20, 30), "TZYX", (2.0, 0.5, 0.5))
    return finish_labels(path)


@pytest.mark.parametrize(("shape", "axes"), [((1, 6, 20, 30), "TZYX"), ((6, 20, 30), "ZYX")])
def test_read_axes_when_the_layer_does_not_name_them_then_its_store_does(
    store: Path, shape: tuple[int, ...], axes: str
) -> None:
    layer = opened(store, np.zeros(shape))
    assert layers.read_axes(layer) == axes
    assert layers.read_voxel_size(layer, axes) == (2.0, 0.5, 0.5)


def test_read_axes_when_the_layer_names_them_then_they_win(store: Path) -> None:
    layer = opened(store, np.zeros((6, 20, 30)), axis_labels=("t", "y", "x"), units=("s", "um", "um"), scale=(1, 3, 3))
    assert layers.read_axes(layer) == "TYX"
    assert layers.read_voxel_size(layer, "TYX") == (3.0, 3.0)


def test_read_axes_when_channels_became_layers_then_the_others_are_left(tmp_path: Path) -> None:
    zarr.create_group(tmp_path / "c.zarr").create_array(
        "0", shape=(2, 6, 20, 30), dtype=np.uint8, dimension_names=("c", "z", "y", "x")
    )
    assert layers.read_axes(opened(tmp_path / "c.zarr", np.zeros((6, 20, 30)))) == "ZYX"


@pytest.mark.parametrize("what", ["other shape", "no store", "broken", "a file", "address"])
def test_read_axes_when_the_store_does_not_fit_then_nothing_is_guessed(store: Path, what: str) -> None:
    path, shape = {
        "other shape": (store, (7, 20, 30)),
        "no store": (store / "nowhere.zarr", (6, 20, 30)),
        "broken": (store.with_name("broken.zarr"), (6, 20, 30)),
        "a file": (store.with_name("image.tif"), (6, 20, 30)),
        "address": ("https://nowhere.invalid/image.zarr", (6, 20, 30)),
    }[what]
    store.with_name("broken.zarr").mkdir()
    layer = opened(path, np.zeros(shape))  # type: ignore[arg-type]
    assert layers.read_axes(layer) is None
    assert layers.read_voxel_size(layer, "ZYX") is None


def test_voxel_size_when_the_spatial_axes_are_read_in_another_way_then_it_is_unknown(store: Path) -> None:
    assert layers.read_voxel_size(opened(store, np.zeros((6, 20, 30))), "TYX") is None
