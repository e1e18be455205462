"""Choose how an image is rescaled, so that its objects have the size that the model knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from napari_unet.core.base.progress import Report, within
from napari_unet.core.pipeline.prediction import decode
from napari_unet.core.pipeline.scale import TOLERANCE, voxel_factors, zoom_factor

if TYPE_CHECKING:
    from napari_unet.core.base.tiles import Box
    from napari_unet.core.pipeline.predictor import Predictor

FIRST_PASS = {2: 1024, 3: 128}
"""px; the object size is measured in the middle of the image, in a box of this edge."""


class Zoom(NamedTuple):
    """The enlargement per axis, and what the user should know of it."""

    factors: tuple[float, ...]
    notes: tuple[str, ...] = ()


def choose_zoom(predictor: Predictor, space: Box, time: int, report: Report) -> Zoom:
    """Choose the enlargement per axis that brings the objects to the size the model knows.

    Parameters
    ----------
    predictor : Predictor
        Model and image.
    space : Box
        What is segmented of the image; its middle is looked at.
    time : int
        The time point that is looked at.
    report : Report
        Called after each tile, where the size has to be measured.
    """
    spec, image, options = predictor.model.spec, predictor.image, predictor.options
    same = Zoom((1.0,) * image.dims)
    if options.rescale == "off":
        return same
    if options.object_size is not None:
        return Zoom(_uniform(predictor, zoom_factor(options.object_size, spec.object_size)))
    if spec.voxel_size is not None and image.voxel_size is not None and spec.dims == image.dims:
        factors = voxel_factors(image.voxel_size, spec.voxel_size)
        if factors == same.factors:
            return same
        words = " x ".join(f"{f:.2f}" for f in factors)
        return Zoom(factors, (f"The image was rescaled by {words} to the voxel size the model knows.",))
    if spec.object_size is None or spec.target != "instances":
        return same
    return _first_pass(predictor, space, time, report)


def _uniform(predictor: Predictor, factor: float) -> tuple[float, ...]:
    dims = predictor.image.dims
    planar = dims > predictor.model.spec.dims  # a 2D model never changes the number of planes
    return (1.0, factor, factor) if planar else (factor,) * dims


def _first_pass(predictor: Predictor, space: Box, time: int, report: Report) -> Zoom:
    """Segment the middle as it is, measure the objects, and check that the new size would be confirmed."""
    same = Zoom(_uniform(predictor, 1.0))
    middle = _middle(predictor, space)
    wanted = predictor.model.spec.object_size
    found = _object_size(predictor, time, middle, 1.0, within(report, 0, 0.5))
    factor = zoom_factor(found, wanted)
    if factor == 1.0:
        return same
    # A wrong measure (fragments, clumps) is not confirmed by the second look: then nothing is rescaled.
    again = _object_size(predictor, time, middle, factor, within(report, 0.5, 1))
    if again is None or found is None or not 1 / TOLERANCE <= again / found <= TOLERANCE:
        return same
    note = f"Objects of about {again:.0f} px were rescaled by {factor:.2f} to the size the model knows."
    return Zoom(_uniform(predictor, factor), (note,))


def _middle(predictor: Predictor, space: Box) -> Box:
    """Give the middle of what is segmented; of a stack, one plane where the model is for planes."""
    dims, edge = predictor.model.spec.dims, FIRST_PASS[predictor.model.spec.dims]
    middle = []
    for part in space:
        start = part.start + max(0, (part.stop - part.start - edge) // 2)
        middle.append(slice(start, min(part.stop, start + edge)))
    if len(space) > dims:
        plane = (middle[0].start + middle[0].stop) // 2
        middle[0] = slice(plane, plane + 1)
    return tuple(middle)


def _object_size(predictor: Predictor, time: int, box: Box, factor: float, report: Report) -> float | None:
    factors = _uniform(predictor, factor)
    maps = predictor.predict(time, box, factors, report)
    predictor.keep(time, box, factors, maps)
    labels = decode(predictor.model, predictor.prediction((maps,), box, factors), predictor.options)[0]
    # A single plane of a stack is measured as the 2D model saw it.
    return predictor.diameter(labels if predictor.image.dims == predictor.model.spec.dims else labels[0])
