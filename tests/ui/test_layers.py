from __future__ import annotations

import numpy as np
import pytest
import zarr
from napari.components import ViewerModel

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits import delete
from napari_unet.ui import following, layers

UM = ("micrometer",) * 3


def test_read_axes_when_the_layer_names_them_then_they_are_taken() -> None:
    layer = ViewerModel().add_image(np.zeros((2, 3, 4, 5)), axis_labels=("Time", "z", "y", "x"))
    assert layers.read_axes(layer) == "TZYX"


def test_read_axes_when_three_axes_have_no_names_then_nothing_is_guessed() -> None:
    layer = ViewerModel().add_image(np.zeros((3, 4, 5)))
    assert layers.read_axes(layer) is None
    assert layers.axes_choices(layer) == ("ZYX", "TYX", "CYX")


def test_read_axes_when_the_image_is_flat_then_it_is_yx() -> None:
    assert layers.read_axes(ViewerModel().add_image(np.zeros((4, 5)))) == "YX"


def test_voxel_size_when_the_units_are_lengths_then_it_is_in_um() -> None:
    layer = ViewerModel().add_image(np.zeros((3, 4, 5)), scale=(2, 0.5, 0.25), units=("um", "um", "nm"))
    assert layers.read_voxel_size(layer, "ZYX") == pytest.approx((2.0, 0.5, 0.00025))


def test_voxel_size_when_the_units_are_pixels_then_it_is_unknown() -> None:
    layer = ViewerModel().add_image(np.zeros((4, 5)), scale=(2, 2))
    assert layers.read_voxel_size(layer, "YX") is None


def test_voxel_size_when_a_flip_is_in_the_affine_then_it_is_positive() -> None:
    layer = ViewerModel().add_image(np.zeros((4, 5)), scale=(2, 3), affine=np.diag([1.0, -2.0, 1.0]), units=UM[:2])
    assert layers.read_voxel_size(layer, "YX") == pytest.approx((2.0, 6.0))


def test_to_image_when_the_layer_is_rgb_then_the_colours_come_first_without_alpha() -> None:
    data = np.random.default_rng(0).integers(0, 255, (4, 5, 4), dtype=np.uint8)
    image = layers.to_image(ViewerModel().add_image(data, rgb=True), "YX")
    assert (image.axes, image.rgb) == ("CYX", True)
    assert np.array_equal(image.data, np.moveaxis(data[..., :3], -1, 0))


def test_to_image_when_channels_stand_inside_then_they_are_moved_to_their_place() -> None:
    data = np.random.default_rng(0).random((2, 3, 4, 5))
    image = layers.to_image(ViewerModel().add_image(data), "ZCYX")
    assert image.axes == "CZYX"
    assert np.array_equal(image.data, data.transpose(1, 0, 2, 3))


def test_to_image_when_the_layer_is_a_zarr_then_nothing_is_read_but_what_is_asked_for() -> None:
    stored = zarr.create_array(store={}, shape=(50_000, 2, 64, 64), chunks=(1, 1, 64, 64), dtype=np.uint16)
    stored[1, 0, 60:64, 5:9] = 7
    layer = ViewerModel().add_image(stored, contrast_limits=(0, 9), multiscale=False)
    image = layers.to_image(layer, "ZCYX")
    assert not isinstance(image.data, np.ndarray)
    assert np.array_equal(image.box(0, (slice(1, 2), slice(60, 64), slice(5, 9)))[0], np.full((1, 4, 4), 7))


def test_to_image_when_the_layer_is_multiscale_then_the_finest_level_is_taken() -> None:
    levels = [np.zeros((64, 64)), np.zeros((32, 32))]
    assert layers.to_image(ViewerModel().add_image(levels), "YX").data.shape == (64, 64)


@pytest.mark.parametrize("shape", [(2, 2, 2, 2, 4, 5), (4,)])
def test_to_image_when_the_axes_do_not_fit_then_the_error_says_what_to_do(shape: tuple[int, ...]) -> None:
    layer = ViewerModel().add_image(np.zeros((4, 5))) if len(shape) < 2 else ViewerModel().add_image(np.zeros(shape))
    with pytest.raises(UserError) as caught:
        layers.to_image(layer, "TCZYX")
    assert caught.value.hint


def test_add_labels_when_the_image_is_rotated_and_sheared_then_they_lie_on_the_same_grid() -> None:
    viewer = ViewerModel()
    affine = np.eye(3)
    affine[:2, :2] = [[0.8, -0.6], [0.6, 0.8]]
    image = viewer.add_image(
        np.zeros((4, 5)),
        scale=(2, 3),
        translate=(7, 8),
        rotate=20,
        shear=[0.3],
        affine=affine,
        units=UM[:2],
        axis_labels=("y", "x"),
    )
    made = layers.add_labels(viewer, image, "YX", np.zeros((4, 5), np.int32), "labels")
    for voxel in ((0, 0), (3, 4), (1.5, 2)):
        assert made.data_to_world(voxel) == pytest.approx(image.data_to_world(voxel))
    assert (made.units, made.axis_labels) == (image.units, image.axis_labels)


def test_add_labels_when_channels_come_first_then_the_other_axes_keep_their_place() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((2, 3, 4, 5)), scale=(1, 4, 2, 2), translate=(0, 5, 6, 7), rotate=np.eye(4))
    made = layers.add_labels(viewer, image, "CZYX", np.zeros((3, 4, 5), np.int32), "labels")
    assert made.data_to_world((1, 2, 3)) == pytest.approx(image.data_to_world((0, 1, 2, 3))[1:])


def test_add_labels_when_channels_stand_inside_then_the_labels_show_at_every_channel() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((2, 3, 4, 5)), scale=(1, 1, 2, 2))
    made = layers.add_labels(viewer, image, "TCYX", np.arange(2 * 4 * 5, dtype=np.int32).reshape(2, 4, 5), "labels")
    assert layers.labels_array(made).shape == (2, 4, 5)
    assert layers.labels_axes(made, "TYX") == "TCYX"
    for channel in range(3):
        viewer.dims.set_point((0, 1), (1, channel))
        assert made.get_value((1, channel, 2, 2), world=True) == 20 + 5 + 1


def test_write_edit_when_undone_then_one_step_takes_it_back() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((3, 2, 4, 5)))
    before = np.zeros((3, 4, 5), np.int32)
    before[1, 1:3, 1:3] = 7
    made = layers.add_labels(viewer, image, "TCYX", before.copy(), "labels")
    layers.write_edit(made, delete(before, [7]))
    assert not layers.labels_array(made).any()
    made.undo()
    assert np.array_equal(layers.labels_array(made), before)


def test_write_labels_when_nothing_differs_then_no_step_is_made() -> None:
    viewer = ViewerModel()
    made = layers.add_labels(viewer, viewer.add_image(np.zeros((4, 5))), "YX", np.ones((4, 5), np.int32), "labels")
    steps: list[int] = []
    following.on_written(made, lambda changes: steps.append(1))
    layers.write_labels(made, np.ones((4, 5), np.int32))
    assert not steps
    layers.write_labels(made, np.zeros((4, 5), np.int32))
    assert steps == [1]


def test_write_labels_when_the_shape_is_another_then_it_is_refused() -> None:
    viewer = ViewerModel()
    made = layers.add_labels(viewer, viewer.add_image(np.zeros((4, 5))), "YX", np.ones((4, 5), np.int32), "labels")
    with pytest.raises(UserError, match="4, 5"):
        layers.write_labels(made, np.zeros((5, 5), np.int32))
