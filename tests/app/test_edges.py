"""The network's kept output on the grid of the labels."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_unet.app.edges import EdgeMap, KeptMaps, basins
from napari_unet.app.requests import KeptOutput


def kept(maps: list[np.ndarray], shape: tuple[int, ...], box: Any = None, has_time: bool = False) -> KeptOutput:
    output: Any = SimpleNamespace(maps=tuple(maps), shape=shape)
    return KeptOutput(output, box, has_time)


def test_edges_when_the_network_saw_a_coarser_image_then_each_voxel_gets_the_nearest_value():
    coarse = np.arange(12, dtype=np.float16).reshape(1, 3, 4) / 12
    edges = EdgeMap(kept([coarse], (6, 8)))
    np.testing.assert_array_equal(edges[2:4, 2:8], coarse[0].repeat(2, 0).repeat(2, 1)[2:4, 2:8])


@pytest.mark.parametrize("channel", [0, 1, 7])
def test_edges_when_there_are_classes_then_the_channel_is_that_of_the_class(channel):
    maps = np.stack([np.full((4, 4), value, np.uint8) for value in (0, 255)])
    assert EdgeMap(kept([maps], (4, 4)), (), channel)[0:2, 0:2].max() == min(channel, 1)


def test_edges_when_a_part_was_segmented_then_values_go_on_beyond_it():
    maps = np.arange(4, dtype=np.float32).reshape(1, 2, 2)
    edges = EdgeMap(kept([maps], (2, 2), (slice(3, 5), slice(3, 5))))
    np.testing.assert_array_equal(edges[3:5, 3:5], maps[0])
    np.testing.assert_array_equal(edges[0:3, 3:5], [[0, 1]] * 3)


def test_edges_when_labels_have_time_then_a_key_takes_one_time_point_or_slice():
    movie = [np.full((1, 2, 4, 4), time, np.float32) for time in range(3)]
    movie[1][0, 1] = 9
    output = kept(movie, (2, 4, 4), has_time=True)
    assert EdgeMap(output)[0:3, 0:1, 0:1, 0:1].ravel().tolist() == [0, 1, 2]
    assert EdgeMap(output, (1,))[0:2, 0:1, 0:1].ravel().tolist() == [1, 9]
    assert EdgeMap(output, (1, 1))[0:4, 0:4].tolist() == [[9.0] * 4] * 4
    assert EdgeMap(output, (None, 0))[1:3, 0:4, 0:4].shape == (2, 4, 4)


def test_maps_when_the_network_saw_a_coarser_image_then_they_are_interpolated():
    ramp = np.tile(np.linspace(0, 1, 8, dtype=np.float16), (2, 4, 1))
    maps = KeptMaps(kept([ramp], (12, 24)))[2:9, 6:18]
    assert maps.shape == (2, 7, 12)
    assert (np.diff(maps[0, 0]) > 0).all()
    np.testing.assert_allclose(maps[0, 0], (np.arange(6, 18) + 0.5) / 24 * 8 / 7 - 0.5 / 7, atol=1e-3)


def test_maps_when_a_part_was_segmented_then_there_is_nothing_beyond_it():
    maps = np.full((2, 2, 2), 255, np.uint8)
    part = KeptMaps(kept([maps], (2, 2), (slice(3, 5), slice(3, 5))))[2:5, 0:4]
    expected = np.zeros((3, 4))
    expected[1:, 3] = 1
    np.testing.assert_array_equal(part, [expected, expected])
    assert not KeptMaps(kept([maps], (2, 2), (slice(3, 5), slice(3, 5))))[0:2, 8:9].any()


def test_maps_when_labels_have_time_then_a_key_takes_one_time_point_or_slice():
    movie = [np.full((2, 2, 4, 4), time / 2, np.float32) for time in range(3)]
    movie[1][0, 1] = 0.25
    output = kept(movie, (2, 4, 4), has_time=True)
    assert KeptMaps(output)[0:3, 0:1, 0:1, 0:1][0].ravel().tolist() == [0, 0.5, 1]
    assert KeptMaps(output, (1,))[0:2, 0:1, 0:1][0].ravel().tolist() == [0.5, 0.25]
    assert KeptMaps(output, (1, 1))[0:4, 0:4].shape == (2, 4, 4)


def test_basins_when_two_peaks_stand_out_then_each_is_a_piece():
    height = np.array([[0.2, 0.9, 0.3, 0.8, 0.1]], np.float32)
    assert len(np.unique(basins(height, height > 0, 0.1))) == 2
    assert len(np.unique(basins(height, height > 0, 0.6))) == 1
