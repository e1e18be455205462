from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_unet.ui import layers, view


def _stack(viewer: ViewerModel, **options: object) -> object:
    image = viewer.add_image(np.zeros((6, 40, 50)), units=("um",) * 3, scale=(2, 0.5, 0.5), **options)
    return layers.add_labels(viewer, image, "ZYX", np.zeros((6, 40, 50), np.int32), "labels")


def test_slice_box_when_a_stack_is_shown_flat_then_it_is_the_slider_s_plane() -> None:
    viewer = ViewerModel()
    made = _stack(viewer)
    viewer.dims.set_point(0, 6.0)
    assert view.slice_box(viewer, made, "ZYX") == (slice(3, 4), slice(0, 40), slice(0, 50))


def test_slice_box_when_the_axes_are_rolled_then_it_is_a_plane_along_z() -> None:
    viewer = ViewerModel()
    made = _stack(viewer)
    viewer.dims.order = (1, 2, 0)
    viewer.dims.set_point(1, 5.0)
    assert view.slice_box(viewer, made, "ZYX") == (slice(0, 6), slice(10, 11), slice(0, 50))


def test_position_when_the_viewer_counts_in_another_unit_then_it_is_converted() -> None:
    viewer = ViewerModel()
    viewer.add_image(np.zeros((6, 40, 50)), units=("mm",) * 3, scale=(0.002, 0.0005, 0.0005))
    made = _stack(viewer)
    viewer.dims.set_current_step(0, 4)
    assert view.position(viewer, made)[0] == 4


def test_view_box_when_a_corner_is_shown_then_it_is_cut_to_it() -> None:
    viewer = ViewerModel()
    made = _stack(viewer)
    viewer.dims.set_point(0, 2.0)
    made.corner_pixels = np.array([[0, 5, 7], [0, 20, 30]])
    assert view.view_box(viewer, made, "ZYX") == (slice(1, 2), slice(5, 21), slice(7, 31))


def test_view_box_when_nothing_was_drawn_yet_then_it_is_the_slice() -> None:
    viewer = ViewerModel()
    made = _stack(viewer)
    made.corner_pixels = np.zeros((2, 3), int)
    assert view.view_box(viewer, made, "ZYX") == view.slice_box(viewer, made, "ZYX")


def test_go_to_when_an_object_lies_in_another_slice_then_slider_and_camera_move() -> None:
    viewer = ViewerModel()
    made = _stack(viewer, translate=(100, 10, 20))
    view.go_to(viewer, made, (4.0, 12.0, 16.0))
    assert viewer.dims.point[0] == pytest.approx(108.0)
    assert viewer.scene.camera.center[-2:] == pytest.approx((16.0, 28.0))


def test_drawn_when_a_rectangle_is_on_the_labels_grid_then_its_box_is_in_voxels() -> None:
    viewer = ViewerModel()
    made = _stack(viewer, translate=(100, 10, 20))
    shapes = view.add_shapes(viewer, made, "regions", "add_rectangle")
    shapes.add_rectangles(np.array([[3, 4, 5], [3, 4, 9], [3, 8, 9], [3, 8, 5]]))
    (vertices,) = view.drawn(viewer, shapes, made, shapes.data)
    assert view.drawn_box(vertices, (6, 40, 50)) == (slice(3, 4), slice(4, 9), slice(5, 10))


def test_drawn_when_the_shapes_layer_is_flat_then_the_sliders_give_the_plane() -> None:
    viewer = ViewerModel()
    made = _stack(viewer)
    viewer.dims.set_point(0, 6.0)
    shapes = viewer.add_shapes(np.array([[2.0, 2.5], [4.0, 4.5]]), shape_type="line", units=("um",) * 2)
    (vertices,) = view.drawn(viewer, shapes, made, shapes.data)
    assert vertices == pytest.approx(np.array([[3, 4, 5], [3, 8, 9]]))


def test_drawn_box_when_all_lies_outside_then_there_is_none() -> None:
    assert view.drawn_box(np.array([[60.0, 60.0], [70.0, 70.0]]), (40, 50)) is None


def test_clear_drawing_when_shapes_were_used_then_the_layer_is_empty() -> None:
    viewer = ViewerModel()
    shapes = view.add_shapes(viewer, _stack(viewer), "cuts", "add_line")
    shapes.add_lines(np.array([[0, 1, 1], [0, 5, 5]]))
    view.clear_drawing(shapes)
    assert not shapes.data


def test_on_click_when_an_object_is_clicked_then_its_label_is_given() -> None:
    viewer, found = ViewerModel(), []
    made = _stack(viewer)
    made.data[2, 10:15, 10:15] = 7
    viewer.dims.set_point(0, 4.0)
    end = view.on_click(made, found.append)
    ours = made.mouse_drag_callbacks[-1]

    def click(*kinds: str) -> None:
        event = SimpleNamespace(position=(4.0, 6.0, 6.0), view_direction=None, dims_displayed=[1, 2])
        press = ours(made, event)
        for event.type in ("mouse_press", *kinds):
            next(press, None)

    click("mouse_release")
    click("mouse_move", "mouse_release")
    made.mode = "paint"
    click("mouse_release")
    assert found == [7]
    end()
    assert ours not in made.mouse_drag_callbacks


def test_view_box_when_the_layer_has_levels_then_it_counts_in_voxels_of_the_finest() -> None:
    viewer = ViewerModel()
    layer = viewer.add_image([np.zeros((64, 64)), np.zeros((32, 32))])
    layer._data_level = 1
    layer.corner_pixels = np.array([[4, 5], [9, 31]])
    assert view.view_box(viewer, layer, "YX") == (slice(8, 20), slice(10, 64))
