"""The promise of the whole: correct one region of a histology image, and the model gets better on others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.loop import load_histology, score
from benchmarks.simulate import MODELS, START, choose_image, choose_region, correct
from napari_unet.app import library
from napari_unet.core.store.models import load_model, save_model
from napari_unet.ui import layers
from napari_unet.ui.corrector import REGIONS
from tests.ui.conftest import LIMIT_MS, press

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told

BUDGET = "100steps"
"""A third of what is chosen for a model that is blind for these images; the benchmark `loop` takes the whole."""


@pytest.fixture
def start(models_home: Path) -> str:
    """Put a model that has only ever seen fluorescence into the library: one made anew differs by processor."""
    model = load_model(MODELS / f"fluorescence-{START}")
    save_model(replace(model, spec=replace(model.spec, name="fluorescence")), library.models_folder() / "fluorescence")
    return "fluorescence"


def test_loop_when_one_region_is_corrected_then_other_images_are_segmented_better(
    viewer: Viewer, start: str, dock: UNetWidget, shared_data: Path, qtbot: QtBot, told: Told
) -> None:
    rng = np.random.default_rng(0)
    data = shared_data / "dsb2018"
    sample = choose_image(load_histology(data, "train"), rng)
    others = load_histology(data, "val")[:5]
    dock.session.set_model(start)
    viewer.add_image(np.moveaxis(sample.image.volume(), 0, -1), rgb=True, name="histology")
    press(dock, qtbot)
    labels = dock.results.need().labels

    correction = correct(layers.labels_array(labels), sample.labels, choose_region(sample.labels, rng))
    wrong = np.nonzero(correction.labels != layers.labels_array(labels))
    labels.data_setitem(wrong, correction.labels[wrong])
    dock.correct.refresh()
    dock.correct.table.select(list(correction.unsure))
    if correction.unsure:
        dock.correct.buttons["unsure"].click()
    y, x = correction.box
    corners = [[y.start, x.start], [y.start, x.stop - 1], [y.stop - 1, x.stop - 1], [y.stop - 1, x.start]]
    dock.correct.buttons["region"].click()
    viewer.layers[REGIONS].add_rectangles(np.array(corners, float))
    dock.correct.buttons["done"].click()
    drawn = layers.labels_array(labels)[correction.box].copy()

    form = dock.train.options
    form.set_value(replace(form.value(), budget=BUDGET))
    dock.train.button.click()
    qtbot.waitUntil(lambda: not dock.session.jobs.is_busy, timeout=10 * LIMIT_MS)
    training = dock.session.trainer.last
    assert training is not None
    assert training.after >= training.before
    assert training.folder is not None
    press(dock, qtbot)
    np.testing.assert_array_equal(layers.labels_array(labels)[correction.box], drawn)
    before, after = load_model(library.find_model(start)), load_model(training.folder)
    assert score(after, others) > score(before, others)
    assert not told.errors
