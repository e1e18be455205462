"""The border to napari's layers: the only file that reads their arrays, writes them and drives their history.

World coordinates, units and affines stay on this side (and in `view`); the floors below see axes, voxels and µm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.transforms import Affine

from napari_unet.app import large, streaming
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import AXES, SPATIAL_AXES, Image
from napari_unet.core.base.lazy import is_lazy, rearrange
from napari_unet.ui import stored_axes
from napari_unet.ui.disk_labels import DiskLabels

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari.layers import Image as ImageLayer
    from napari.layers import Labels, Layer
    from napari.viewer import Viewer
    from numpy.typing import NDArray

    from napari_unet.app.whole_edit import WholeEdit
    from napari_unet.core.edits import LabelEdit

KEY = "napari-unet"
"""Our entry in a layer's metadata."""

FEW = 100_000
"""Voxels; so many are drawn anew by themselves faster than the whole layer."""

MOST_TOLD = 1_000_000
"""Objects; napari keeps an entry of some 100 bytes for each."""

_NAMES = {
    **{"x": "X", "col": "X", "column": "X", "y": "Y", "row": "Y", "z": "Z", "plane": "Z", "depth": "Z"},
    **{"t": "T", "time": "T", "frame": "T", "c": "C", "ch": "C", "channel": "C", "channels": "C"},
}

_CHOICES = {
    2: ("YX",),
    3: ("ZYX", "TYX", "CYX"),
    4: ("CZYX", "TZYX", "TCYX", "ZCYX", "CTYX"),
    5: ("TCZYX", "TZCYX", "CTZYX"),
}
"""What the axes of a layer can be, in its own order; the channels may stand anywhere before Y."""


def unwrapped(viewer: Viewer) -> Viewer:
    """Give the viewer itself: napari hands plugins a proxy whose layers are no longer identical with themselves."""
    return getattr(viewer, "__wrapped__", viewer)


# ---------------------------------------------------------------- image layers


def read_axes(layer: ImageLayer) -> str | None:
    """Read the axes from the layer's axis labels, else from its zarr store; None where neither says it."""
    if layer.ndim == 2:
        return "YX"
    letters = [_NAMES.get(str(name).strip().lower(), "?") for name in layer.axis_labels]
    for axes in ("".join(letters), stored_axes.axes_of(layer)):
        if axes in axes_choices(layer):
            return axes
    return None


def axes_choices(layer: ImageLayer) -> tuple[str, ...]:
    """Give the axes that an array with as many dimensions can have, in the layer's order."""
    choices = _CHOICES.get(layer.ndim, ())
    return tuple(a for a in choices if "C" not in a) if layer.rgb else choices


def read_voxel_size(layer: ImageLayer, axes: str) -> tuple[float, ...] | None:
    """Read the voxel size in µm from scale, affine and units; from the zarr store where a unit is not a length."""
    linear = np.asarray(layer.affine.affine_matrix)[:-1, :-1] * np.asarray(layer.scale)
    lengths = np.linalg.norm(linear, axis=0)
    sizes = []
    for at, axis in enumerate(axes):
        if axis not in SPATIAL_AXES:
            continue
        unit = layer.units[at]
        if not unit.is_compatible_with("micrometer"):
            return stored_axes.voxel_size_of(layer, axes)
        sizes.append(float(lengths[at] * (1 * unit).to("micrometer").magnitude))
    return tuple(sizes)


def to_image(layer: ImageLayer, axes: str, voxel_size: tuple[float, ...] | None = None) -> Image:
    """Take the array of an image layer, with the meaning of its axes.

    Parameters
    ----------
    layer : napari Image layer
        Its array is kept as it is (numpy, dask, zarr); the finest level of a multiscale one.
    axes : str
        In the layer's order, one of `axes_choices`.
    voxel_size : tuple of float, µm
        Overrides what the layer says.

    Raises
    ------
    UserError
        When the layer has more dimensions than TCZYX, or the voxel size does not fit.
    """
    if axes not in axes_choices(layer):
        raise UserError(
            f"The image '{layer.name}' has {layer.ndim} axes {tuple(layer.data.shape)}; '{axes}' does not fit.",
            "Choose what its axes are in the Segment tab, or take out the axes that are too many.",
        )
    data = layer.data[0] if layer.multiscale else layer.data
    key = [slice(None)] * len(axes)
    if layer.rgb:
        axes = f"{axes}C"
        key.append(slice(0, 3))
    order = sorted(range(len(axes)), key=lambda i: AXES.index(axes[i]))
    data = rearrange(data, tuple(key), order)  # a large layer is not read for it
    size = voxel_size or read_voxel_size(layer, axes.replace("C", "") if layer.rgb else axes)
    source = str(layer.source.path or "")
    return Image(data, "".join(axes[i] for i in order), size, layer.name, source, bool(layer.rgb))


def layer_options(image: Image, channels: str = "C") -> dict[str, Any]:
    """Give the scale, units and axis labels that a new layer of an image gets.

    Parameters
    ----------
    image : Image
        Its axes and voxel size.
    channels : {"C", ""}
        Whether the new layer has the image's channel axis.
    """
    axes = [a for a in image.axes if a != "C" or (channels and not image.rgb)]
    sizes = dict(zip(image.spatial_axes, image.voxel_size or (), strict=False))
    return {
        "scale": [sizes.get(a, 1.0) for a in axes],
        "units": ["micrometer" if a in sizes else "pixel" for a in axes],
        "axis_labels": [a.lower() for a in axes],
    }


def is_preview(layer: Layer) -> bool:
    """Tell whether a layer only shows what augmentation does: it is no image or labels to work on."""
    return bool(layer.metadata.get(KEY, {}).get("preview"))


def is_stored(layer: Layer) -> bool:
    """Tell whether a layer shows the labels of a large image, which lie on the disk."""
    return bool(layer.metadata.get(KEY, {}).get("stored"))


# ---------------------------------------------------------------- labels layers


def add_labels(
    viewer: Viewer,
    layer: ImageLayer,
    axes: str,
    labels: Any,
    name: str,
    *,
    at: tuple[int, ...] | None = None,
) -> Labels:
    """Show labels on the grid of an image layer.

    Parameters
    ----------
    viewer : napari Viewer
        Gets the new layer on top.
    layer : napari Image layer
        Gives scale, translate, rotation, shear, affine, units and axis labels.
    axes : str
        The axes of `layer`, in its order.
    labels : (T, Z, Y, X as the image has them) int32, in memory or stored; or a list of stored ones
        Becomes the layer's array, not copied; a list is shown as a pyramid, which cannot be painted.
    name : str
        The name of the layer.
    at : tuple of int or None
        Where the labels begin, in voxels of the image, where they are those of a part of it.
    """
    keep = list(range(layer.ndim))
    channel = -1 if layer.rgb else axes.find("C")
    if channel == 0:
        keep.remove(0)
    transform = transform_of(layer, keep)
    if at is not None:
        corner = at if channel <= 0 else (*at[:channel], 0, *at[channel:])
        transform["translate"] = _moved(transform, corner)
    if channel > 0:
        _spread(transform, channel, layer.data.shape[channel])
    levels = [_shown(one, channel) for one in (labels if isinstance(labels, list) else [labels])]
    data = levels if len(levels) > 1 else levels[0]
    made = viewer.add_labels(data, name=name, **transform)
    made.metadata[KEY] = {"channel_axis": channel if channel > 0 else None}
    return made


def transform_of(layer: Labels | ImageLayer, keep: list[int]) -> dict[str, Any]:
    """Collect the layer's way to the world for the axes that are kept."""
    matrix = np.asarray(layer.affine.affine_matrix)
    corner = [*keep, layer.ndim]
    shear = np.eye(layer.ndim)
    shear[np.triu_indices(layer.ndim, 1)] = layer.shear
    return {
        "scale": np.asarray(layer.scale)[keep],
        "translate": np.asarray(layer.translate)[keep],
        "rotate": np.asarray(layer.rotate)[np.ix_(keep, keep)],
        "shear": shear[np.ix_(keep, keep)][np.triu_indices(len(keep), 1)],
        "affine": matrix[np.ix_(corner, corner)],
        "units": [layer.units[i] for i in keep],
        "axis_labels": [layer.axis_labels[i] for i in keep],
    }


def _moved(transform: dict[str, Any], corner: tuple[int, ...]) -> NDArray[np.float64]:
    """Give the translation that brings the voxel 0 to where the voxel `corner` was."""
    way = Affine(**{name: transform[name] for name in ("scale", "translate", "rotate", "shear")})
    return np.asarray(way(corner), dtype=float)


def _shown(labels: Any, channel: int) -> Any:
    """Give labels the axis that stands for the image's channels, where those stand inside; nothing is read."""
    if is_lazy(labels):
        return DiskLabels(labels, channel if channel > 0 else None)
    return np.expand_dims(labels, channel) if channel > 0 else labels


def _spread(transform: dict[str, Any], axis: int, n_channels: int) -> None:
    """Stretch a single label plane over all channels: napari aligns axes from the right, by position."""
    step = transform["scale"][axis]
    transform["scale"][axis] = step * n_channels
    transform["translate"][axis] += step * (n_channels - 1) / 2


def name_classes(layer: Labels, classes: tuple[str, ...]) -> None:
    """Let napari's status bar say the class under the pointer; `classes` are those of the labels 1, 2, ..."""
    layer.features = {"index": list(range(len(classes) + 1)), "class": ["background", *classes]}


def tell_objects(layer: Labels, columns: Mapping[str, NDArray[np.generic]]) -> None:
    """Let napari's status bar say what is known of the object under the pointer; columns are by its number."""
    n = max((len(values) for values in columns.values()), default=0)
    if 0 < n <= MOST_TOLD:
        layer.features = {"index": np.arange(n), **columns}


def channel_axis(layer: Labels) -> int | None:
    """Give the axis of a labels layer that only stands for the image's channels; None in most layers."""
    axis: int | None = layer.metadata.get(KEY, {}).get("channel_axis")
    return axis


def labels_axes(layer: Labels, label_axes: str) -> str:
    """Give the axes of a labels layer in its order, C standing for the axis that is there for display only."""
    channel = channel_axis(layer)
    return label_axes if channel is None else f"{label_axes[:channel]}C{label_axes[channel:]}"


def labels_array(layer: Labels) -> NDArray[np.integer[Any]]:
    """Give the array of a labels layer, without the channel axis that is there for display only.

    Returns
    -------
    array of int
        A view; of a stored array a copy, to be looked at only.

    Raises
    ------
    UserError
        When it is stored and does not fit the memory.
    """
    channel = channel_axis(layer)
    if is_lazy(layer.data) and streaming.is_too_large(layer.data.shape):
        raise UserError(f"The labels '{layer.name}' {large.TOO_LARGE}.", "They can be painted where they are.")
    data: NDArray[np.integer[Any]] = np.asarray(layer.data)
    return data if channel is None else data[(slice(None),) * channel + (0,)]


def write_edit(layer: Labels, edit: LabelEdit) -> None:
    """Write an edit as one step of the layer's own history."""
    _write(layer, edit.indices(), edit.new_values())


def write_labels(layer: Labels, labels: NDArray[np.integer[Any]]) -> None:
    """Write new labels as one step of the layer's own history; only the voxels that differ are kept in it.

    Parameters
    ----------
    layer : napari Labels layer
        Its array is changed in place.
    labels : array of int, the shape of `labels_array`
        The new labels.

    Raises
    ------
    UserError
        When the shape is not the layer's.
    """
    now = labels_array(layer)
    if labels.shape != now.shape:
        raise UserError(
            f"The labels are {labels.shape} voxels, the layer '{layer.name}' is {now.shape}.",
            "Segment again onto a new layer.",
        )
    where = np.nonzero(labels != now)
    _write(layer, where, labels[where])


def write_unrecorded(layer: Labels, where: tuple[NDArray[np.intp], ...], values: NDArray[np.integer[Any]]) -> None:
    """Write values into voxels past the layer's history: `where` has one array for each axis of `labels_array`."""
    with layer.block_history():  # what is written inside is kept back, and enters the history together
        kept_back = layer._staged_history  # napari has no public way to forget it (0.9); a test notices when this goes
        n = len(kept_back)
        _write(layer, where, values)
        del kept_back[n:]


def _write(layer: Labels, where: tuple[NDArray[np.intp], ...], values: NDArray[np.integer[Any]]) -> None:
    if not len(values):
        return
    where = _with_channel(layer, where)
    if not layer.visible:  # napari cannot write into a layer whose slice it has never drawn; and the user shall see it
        layer.visible = True
    layer.data_setitem(where, values.astype(layer.data.dtype, copy=False))


def _with_channel(layer: Labels, where: tuple[NDArray[np.intp], ...]) -> tuple[NDArray[np.intp], ...]:
    channel = channel_axis(layer)
    return where if channel is None else (*where[:channel], np.zeros_like(where[0]), *where[channel:])


def write_whole(layer: Labels, edit: WholeEdit) -> None:
    """Write what was worked out beside the window as one step of the layer's own history."""
    data = layer.data
    is_plain = isinstance(data, np.ndarray) and data.flags.c_contiguous and hasattr(layer, "_save_history")
    if len(edit.after) <= FEW or not is_plain:
        _write(layer, edit.where, edit.after)
        return
    data.reshape(-1)[edit.flat] = edit.after
    # napari's own way compares and copies all of it once more, and draws what is shown voxel by voxel.
    layer._save_history((_with_channel(layer, edit.where), edit.before, edit.after))
    if layer.visible:
        layer.refresh()
    else:
        layer.visible = True


def fits(layer: Labels, shape: tuple[int, ...]) -> bool:
    """Tell whether a labels layer has the shape that labels of an image have."""
    channel = channel_axis(layer)
    own = tuple(n for at, n in enumerate(layer.data.shape) if at != channel)
    return not layer.multiscale and own == shape
