"""Small labels with everything that can happen to them."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.app.annotations import (
    Corrections,
    accept,
    mark_background,
    mark_done,
    mark_unsure,
    start,
)

SHAPES = hnp.array_shapes(min_dims=2, max_dims=3, min_side=2, max_side=7)


@st.composite
def boxes(draw, shape):
    box = []
    for size in shape:
        low = draw(st.integers(0, size - 1))
        box.append(slice(low, draw(st.integers(low + 1, size))))
    return tuple(box)


@st.composite
def corrected(draw, semantic: bool = False):
    """Corrections and labels as they are now: a prediction, painting, and any of the verbs."""
    shape = draw(SHAPES)
    voxels = hnp.arrays(np.int32, shape, elements=st.integers(0, 4))
    predicted = draw(voxels)
    labels = np.where(draw(hnp.arrays(bool, shape)), draw(voxels) * draw(st.sampled_from([1, 2])), predicted)
    c = start(predicted, semantic=semantic)
    if not semantic:
        c = accept(c, draw(st.sets(st.integers(1, 8), max_size=2)))
        c = mark_unsure(c, draw(st.sets(st.integers(1, 8), max_size=1)))
    if draw(st.booleans()):
        c = mark_background(c, draw(hnp.arrays(bool, shape)))
    for _ in range(draw(st.integers(0, 2))):
        c = mark_done(c, draw(boxes(shape)))
    return c, labels.astype(np.int32)


def predictions(shape) -> st.SearchStrategy[np.ndarray]:
    return hnp.arrays(np.int32, shape, elements=st.integers(0, 6))


def same(one: Corrections, other: Corrections) -> bool:
    """Compare two corrections by value."""
    arrays = all(
        (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
        for a, b in [
            (one.predicted, other.predicted),
            (one.background, other.background),
            (one.painted, other.painted),
        ]
    )
    return arrays and (one.accepted, one.unsure, one.edited, one.done) == (
        other.accepted,
        other.unsure,
        other.edited,
        other.done,
    )
