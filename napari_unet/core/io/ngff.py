"""The metadata of OME-Zarr (OME-NGFF 0.1 to 0.5): which arrays are the levels of a pyramid, their axes and sizes.

Written here rather than with the package `ome-zarr`: see `docs/dependencies.md`. The specification: Moore et al. 2023,
"OME-Zarr: a cloud-optimized bioimaging file format", Histochemistry and Cell Biology 160, 223,
https://doi.org/10.1007/s00418-023-02209-1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from napari_unet.core.io.stored import UNKNOWN, length_um

VERSION = "0.4"
"""What labels are written in: every reader knows it."""

LETTERS = {"t": "T", "time": "T", "c": "C", "channel": "C", "z": "Z", "y": "Y", "x": "X"}
OTHER = "R"  # an axis that an image here cannot have
KINDS = {"T": "time", "C": "channel"}


@dataclass(frozen=True)
class Pyramid:
    """Name the levels of an image, the finest first.

    Parameters
    ----------
    paths : tuple of str
        Of the arrays, within their group.
    axes : str
        One letter for each axis, as in `Stored`.
    voxel_sizes : tuple of dict, µm by axis
        One for each level; only what has a unit of length.
    """

    paths: tuple[str, ...]
    axes: str
    voxel_sizes: tuple[dict[str, float], ...]


def read_pyramid(attributes: Mapping[str, Any]) -> Pyramid | None:
    """Read the first image that the attributes of a group describe.

    Parameters
    ----------
    attributes : mapping
        Of the group: NGFF 0.5 puts all of it into ``ome``.

    Returns
    -------
    Pyramid or None
        None where the group is no image.

    Raises
    ------
    ValueError
        When the metadata are not what the specification says.
    """
    told = ome(attributes).get("multiscales")
    if told is None:
        return None
    try:
        image = told[0]
        datasets = image["datasets"]
        axes = image.get("axes", "tczyx")  # fixed before NGFF 0.3
        shared = _scale(image, len(axes))
        sizes = (_sizes(axes, [a * b for a, b in zip(_scale(one, len(axes)), shared, strict=True)]) for one in datasets)
        return Pyramid(tuple(str(one["path"]) for one in datasets), letters(axes), tuple(sizes))
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"its OME-Zarr metadata are incomplete ({type(error).__name__}: {error})") from error


def ome(attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the part of a group's attributes that OME-NGFF describes."""
    inner = attributes.get("ome")
    return inner if isinstance(inner, Mapping) else attributes


def letters(axes: Sequence[Any]) -> str:
    """Turn axes, by name or as NGFF describes them, into one letter each."""
    names = [a.get("name", "") if isinstance(a, Mapping) else a for a in axes]
    kinds = [a.get("type", "") if isinstance(a, Mapping) else "" for a in axes]
    known = [LETTERS.get(str(n).lower()) or LETTERS.get(str(k).lower()) for n, k in zip(names, kinds, strict=True)]
    return "".join(letter or (OTHER if name else UNKNOWN) for letter, name in zip(known, names, strict=True))


def _scale(told: Mapping[str, Any], n_axes: int) -> list[float]:
    for one in told.get("coordinateTransformations", ()):
        if one["type"] == "scale" and "scale" in one:
            if len(one["scale"]) != n_axes:
                raise ValueError(f"its OME-Zarr metadata give {len(one['scale'])} scales for {n_axes} axes")
            return [float(v) for v in one["scale"]]
    return [1.0] * n_axes


def _sizes(axes: Sequence[Any], scale: Sequence[float]) -> dict[str, float]:
    units = [a.get("unit") if isinstance(a, Mapping) else None for a in axes]
    lengths = {a: length_um(v, unit) for a, v, unit in zip(letters(axes), scale, units, strict=True) if a in "ZYX"}
    return {a: v for a, v in lengths.items() if v is not None}


def describe_labels(name: str, axes: str, voxel_size: Sequence[float] | None, n_levels: int) -> dict[str, Any]:
    """Write the attributes of a group of labels.

    Parameters
    ----------
    name : str
        Of the labels.
    axes : str
        A subset of ``TZYX`` in that order.
    voxel_size : sequence of float, µm, or None
        One for each spatial axis.
    n_levels : int
        Arrays ``"0"``, ``"1"``, ...; each has half the pixels of the one before along Y and X.

    Returns
    -------
    dict
        NGFF 0.4: ``multiscales`` and ``image-label``.
    """
    sizes = dict(zip((a for a in axes if a in "ZYX"), voxel_size or (), strict=False))
    spatial = {"type": "space"} | ({"unit": "micrometer"} if sizes else {})
    described = [{"name": a.lower(), **({"type": KINDS[a]} if a in KINDS else spatial)} for a in axes]
    datasets = [
        {
            "path": str(level),
            "coordinateTransformations": [
                {"type": "scale", "scale": [sizes.get(a, 1.0) * (2.0**level if a in "YX" else 1.0) for a in axes]}
            ],
        }
        for level in range(n_levels)
    ]
    pyramid = {"version": VERSION, "name": name, "axes": described, "datasets": datasets, "type": "nearest"}
    return {"multiscales": [pyramid], "image-label": {"version": VERSION}}
