"""The channels that a model takes, of whole volumes and of boxes: the same, and no other channel is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr

from napari_unet.core.base.image import Image
from napari_unet.core.pipeline.channels import read_box, read_samples, select_channels
from tests.core.phantoms import tiny_spec

DATA = np.random.default_rng(0).integers(0, 255, (2, 3, 20, 30), dtype=np.uint8)
BOX = (slice(3, 9), slice(10, 25))


@pytest.mark.parametrize("lazy", [True, False])
@pytest.mark.parametrize("channel", [None, 2])
@pytest.mark.parametrize("rgb", [True, False])
@pytest.mark.parametrize("colour", ["repeat", "luminance", "exact"])
def test_read_box_when_compared_with_the_whole_volume_then_is_the_same(
    colour: Any, rgb: bool, channel: int | None, lazy: bool
) -> None:
    image = Image(zarr.array(DATA, chunks=(1, 1, 8, 8)) if lazy else DATA, "TCYX", rgb=rgb)
    spec = tiny_spec(colour=colour, channels=1 if colour == "luminance" else 3)

    whole = select_channels(image, image.volume(1), spec, channel)

    np.testing.assert_array_equal(read_box(image, spec, channel, 1, BOX), whole[(slice(None), *BOX)])
    np.testing.assert_array_equal(np.concatenate(list(read_samples(image, spec, channel)), 1)[:, 20:], whole)
