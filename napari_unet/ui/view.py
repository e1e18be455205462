"""What the user sees and draws, in voxels of a layer: the shown slice, the view, rectangles, lines, clicks."""

from __future__ import annotations

from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.ui.layers import channel_axis, transform_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from napari.layers import Image as ImageLayer
    from napari.layers import Labels, Layer, Points, Shapes
    from napari.viewer import Viewer
    from numpy.typing import NDArray
    from qtpy.QtWidgets import QWidget

Box = tuple[slice, ...]

SMALL = 4  # times a box may be longer in the view before it is zoomed in on


def position(viewer: Viewer, layer: Layer) -> tuple[int, ...]:
    """Give the voxel of a layer at the sliders' position, inside the layer."""
    point = layer.world_to_data(_in_units_of(layer, viewer))
    high = np.array(layer.data.shape[: layer.ndim]) - 1
    return tuple(int(v) for v in np.clip(np.rint(np.nan_to_num(point)), 0, high))


def voxel_at(viewer: Viewer, layer: Layer, world: Sequence[float]) -> NDArray[np.float64]:
    """Give the place in the voxels of a layer that lies at a place in the world, such as a mouse event's."""
    return np.asarray(layer.world_to_data(_in_units_of(layer, viewer, world)), dtype=float)


def _in_units_of(layer: Layer, viewer: Viewer, world: Sequence[float] | None = None) -> NDArray[np.float64]:
    """Give a place, by default the sliders', in the units of the layer: napari's own calls leave them as they are."""
    point = np.asarray(viewer.dims.point if world is None else world, dtype=float)[-layer.ndim :]
    units = (viewer.dims.units or ())[-layer.ndim :]
    for at, (given, wanted) in enumerate(zip(units, layer.units, strict=False)):
        if given != wanted and given.is_compatible_with(wanted):
            point[at] *= float((1 * given).to(wanted).magnitude)
    return point


def slice_box(viewer: Viewer, layer: Labels | ImageLayer, axes: str) -> Box:
    """Give the box of the shown slice: the whole of the shown axes, one voxel of the others, without channels.

    Parameters
    ----------
    viewer : napari Viewer
        Says which axes are shown and where the sliders are.
    layer : napari layer
        What the box is for.
    axes : str
        The axes of `layer`, in its order.
    """
    shown = _shown(viewer, layer)
    at = position(viewer, layer)
    return tuple(
        slice(0, layer.data.shape[i]) if i in shown else slice(at[i], at[i] + 1)
        for i, axis in enumerate(axes)
        if axis != "C"
    )


def view_box(viewer: Viewer, layer: Labels | ImageLayer, axes: str) -> Box:
    """Give the box of the voxels inside the canvas, without channels; the whole slice before the first drawing."""
    first, last = (np.asarray(corner, dtype=int) for corner in layer.corner_pixels)
    if layer.multiscale:
        factor = layer.downsample_factors[layer.data_level]
        first, last = np.floor(first * factor).astype(int), np.ceil((last + 1) * factor).astype(int) - 1
    shown, whole = _shown(viewer, layer), slice_box(viewer, layer, axes)
    if not any(last):
        return whole
    kept = [i for i, axis in enumerate(axes) if axis != "C"]
    return tuple(
        slice(max(0, int(first[i])), min(box.stop, int(last[i]) + 1)) if i in shown else box
        for i, box in zip(kept, whole, strict=True)
    )


def shape_of(box: Box) -> tuple[int, ...]:
    """Give the lengths of a box."""
    return tuple(part.stop - part.start for part in box)


def _shown(viewer: Viewer, layer: Layer) -> set[int]:
    return {axis - (viewer.dims.ndim - layer.ndim) for axis in viewer.dims.displayed}


def go_to(viewer: Viewer, layer: Labels, voxel: tuple[float, ...]) -> None:
    """Move sliders and camera to a voxel of a labels layer (given without the channel axis)."""
    channel = channel_axis(layer)
    if channel is not None:
        voxel = (*voxel[:channel], 0, *voxel[channel:])
    world = layer.data_to_world(voxel)
    first = viewer.dims.ndim - layer.ndim
    for axis, value in enumerate(world, start=first):
        if axis not in viewer.dims.displayed and axis - first != channel:
            viewer.dims.set_point(axis, value)
    camera = camera_of(viewer)
    centre = np.array(camera.center, dtype=float)
    shown = viewer.dims.displayed
    centre[-len(shown) :] = [world[axis - first] if axis >= first else 0.0 for axis in shown]
    camera.center = tuple(centre)


def look_at(viewer: Viewer, layer: Labels, box: Box) -> None:
    """Move sliders and camera to the middle of a box; zoom where it does not fit the view, or is small in it."""
    axes = "".join("C" if axis == channel_axis(layer) else "?" for axis in range(layer.ndim))
    visible = shape_of(view_box(viewer, layer, axes))
    kept = [axis for axis in range(layer.ndim) if axis != channel_axis(layer)]
    shown = _shown(viewer, layer)
    ratios = [n / m for axis, n, m in zip(kept, visible, shape_of(box), strict=True) if axis in shown]
    go_to(viewer, layer, tuple((part.start + part.stop - 1) / 2 for part in box))
    if not 1 <= min(ratios) <= SMALL:
        camera_of(viewer).zoom *= 0.8 * min(ratios)


def camera_of(viewer: Viewer) -> Any:
    """Give the camera of a viewer."""
    return viewer.scene.camera if hasattr(viewer, "scene") else viewer.camera  # napari 0.9 moved it


def fit(viewer: Viewer, layer: Layer) -> None:
    """Look at one layer as a whole; at all where napari is too old to do so."""
    if "layers" in signature(viewer.reset_view).parameters:
        viewer.reset_view(layers=[layer])
    else:
        viewer.reset_view()


def named(viewer: Viewer, name: str) -> Layer | None:
    """Find a layer by its name."""
    return next((layer for layer in viewer.layers if layer.name == name), None)


def add_shapes(viewer: Viewer, labels: Labels, name: str, mode: str) -> Shapes:
    """Add (or find) a shapes layer on the grid of a labels layer, in a drawing mode."""
    found = named(viewer, name)
    layer = (
        found
        if found is not None
        else viewer.add_shapes(
            None, ndim=labels.ndim, name=name, edge_width=2, **transform_of(labels, list(range(labels.ndim)))
        )
    )
    layer.mode = mode
    viewer.layers.selection.active = layer
    return layer


def add_points(viewer: Viewer, labels: Labels, name: str, mode: str) -> Points:
    """Add (or find) a points layer on the grid of a labels layer, in a drawing mode."""
    layer = named(viewer, name)
    if layer is None:
        grid = transform_of(labels, list(range(labels.ndim)))
        layer = viewer.add_points(None, ndim=labels.ndim, name=name, size=5, **grid)
    layer.mode = mode
    viewer.layers.selection.active = layer
    return layer


def drawn(viewer: Viewer, layer: Layer, labels: Labels, shapes: Sequence[Any]) -> list[NDArray[np.float64]]:
    """Give the vertices of each shape of a drawing layer in voxels of a labels layer.

    Returns
    -------
    list of (N, labels.ndim) float
    """
    found = []
    for vertices in shapes:
        world = np.tile(np.asarray(viewer.dims.point, dtype=float), (len(vertices), 1))
        world[:, -layer.ndim :] = [layer.data_to_world(v) for v in vertices]
        voxels = np.array([labels.world_to_data(w) for w in world])
        channel = channel_axis(labels)
        found.append(voxels if channel is None else np.delete(voxels, channel, axis=1))
    return found


def drawn_box(vertices: NDArray[np.float64], shape: tuple[int, ...]) -> Box | None:
    """Give the box around drawn vertices, cut to the labels' shape; None where nothing of it is inside."""
    low = np.clip(np.rint(vertices.min(axis=0)), 0, shape).astype(int)
    high = np.clip(np.rint(vertices.max(axis=0)) + 1, 0, shape).astype(int)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True)) if (low < high).all() else None


def on_click(layer: Labels, call: Callable[[int], None]) -> Callable[[], None]:
    """Call with the label under each click (0 is background) in pan/zoom mode; give what ends it."""

    def _on_click(clicked: Labels, event: Any) -> Iterator[None]:
        if str(clicked.mode) != "pan_zoom":
            return
        yield
        if event.type == "mouse_move":  # it was a drag: the user moves the picture
            return
        value = clicked.get_value(
            event.position, view_direction=event.view_direction, dims_displayed=event.dims_displayed, world=True
        )
        call(int(value or 0))

    layer.mouse_drag_callbacks.append(_on_click)
    return lambda: layer.mouse_drag_callbacks.remove(_on_click)


def clear_drawing(layer: Shapes | Points) -> None:
    """Take all shapes or points of a drawing layer away."""
    layer.selected_data = set(range(len(layer.data)))
    layer.remove_selected()


def under_pointer(viewer: Viewer, layer: Labels) -> int:
    """Give the label under the mouse pointer; 0 is the background."""
    cursor = viewer.cursor
    shown = list(viewer.dims.displayed[-layer.ndim :])
    value = layer.get_value(
        cursor.position, view_direction=getattr(cursor, "_view_direction", None), dims_displayed=shown, world=True
    )
    return int(value or 0)


def step_to(viewer: Viewer, layer: Labels, axis: int, at: int) -> None:
    """Move the slider of one axis of a labels layer (counted without the channel axis) to a voxel."""
    channel = channel_axis(layer)
    axis += channel is not None and axis >= channel
    voxel = list(position(viewer, layer))
    voxel[axis] = at
    of_viewer = axis + viewer.dims.ndim - layer.ndim
    if of_viewer not in viewer.dims.displayed:
        viewer.dims.set_point(of_viewer, layer.data_to_world(voxel)[axis])


def canvas_of(viewer: Viewer) -> QWidget | None:
    """Give the widget that napari draws on, to draw over it; None where napari has no window or has moved it."""
    window = getattr(viewer.window, "_qt_viewer", None)  # there is no public way to it
    canvas: QWidget | None = getattr(getattr(window, "canvas", None), "native", None)
    return canvas
