"""Labels of large images on the disk in a real viewer: shown while they grow, their objects as a table, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_unet.app import library, streaming
from napari_unet.core.base.glimpse import Glimpse
from napari_unet.core.base.progress import Progress
from napari_unet.core.io import open_labels
from napari_unet.ui import layers
from napari_unet.ui.segment_tab import AGAIN
from tests.ui.conftest import LIMIT_MS, labels_of, press, stores, wait_idle

if TYPE_CHECKING:
    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told

pytestmark = pytest.mark.usefixtures("small_limit")


def answer(monkeypatch: pytest.MonkeyPatch, *, yes: bool) -> list[str]:
    from qtpy.QtWidgets import QMessageBox

    asked: list[str] = []

    def question(parent: Any, title: str, text: str) -> Any:
        asked.append(text)
        return QMessageBox.StandardButton.Yes if yes else QMessageBox.StandardButton.No

    monkeypatch.setattr(QMessageBox, "question", question)
    return asked


# --- the table


def test_table_when_the_labels_are_on_the_disk_then_lists_their_objects_and_goes_to_them(
    viewer: Viewer, streamed: UNetWidget, told: Told
) -> None:
    labels, stored = labels_of(viewer), np.asarray(open_labels(stores()[0], "r")[...])
    streamed.correct.refresh()
    table = streamed.correct.table
    assert sorted(table.objects.labels.tolist()) == [int(i) for i in np.unique(stored) if i]
    label = int(table.objects.labels[0])
    table.select([label])
    where = np.argwhere(stored == label)
    middle = (where.min(0) + where.max(0)) / 2
    shown = viewer.scene.camera.center if hasattr(viewer, "scene") else viewer.camera.center
    assert tuple(shown[-2:]) == pytest.approx(tuple(middle[1:]))
    assert labels.world_to_data(viewer.dims.point)[0] == pytest.approx(middle[0], abs=0.5)
    assert labels.selected_label == label
    streamed.correct.buttons["accept"].click()
    assert "painted with napari's brush only" in told.errors[0]
    assert "this view" in told.errors[0]


def test_table_when_a_part_is_in_memory_too_then_follows_the_active_layer(
    viewer: Viewer, streamed: UNetWidget, qtbot: QtBot
) -> None:
    whole = labels_of(viewer)
    viewer.dims.set_point(0, 3)
    viewer.layers["stack"].corner_pixels = np.array([[3, 0, 0], [3, 19, 29]])
    streamed.segment.scope.setCurrentIndex(streamed.segment.scope.findText("this view"))
    press(streamed, qtbot)
    assert labels_of(viewer) is not whole
    assert streamed.results.current is not None
    streamed.correct.refresh()
    assert not streamed.correct.review.shows_stored
    viewer.layers.selection.active = whole
    streamed.correct.refresh()
    assert streamed.results.current is None
    assert streamed.correct.review.shows_stored


def test_thresholds_when_they_change_then_segment_makes_labels_without_the_network(
    viewer: Viewer, streamed: UNetWidget, qtbot: QtBot
) -> None:
    streamed.segment.options.widgets["threshold"].value = 0.3
    qtbot.waitUntil(lambda: streamed.segment.said.text() == AGAIN, timeout=LIMIT_MS)
    seen: list[str] = []
    streamed.session.jobs.changed.connect(lambda: seen.append(streamed.job.what.text()))
    press(streamed, qtbot)
    assert len(stores()) == 2
    assert len(viewer.layers) == 3


# --- while it runs


def test_glimpses_when_a_large_image_is_segmented_then_coarse_ones_lie_where_the_image_is(
    viewer: Viewer, tiny: str, dock: UNetWidget, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def never_ends(request: Any, report: Any, stop: Any) -> None:
        seen.append(request.seen)
        tile = Glimpse(0, (slice(1, 3), slice(0, 5), slice(0, 10)), np.full((2, 5, 10), 7, np.int32))
        report(Progress(1, 9, "tile 1 of 9", (tile,)))
        while True:
            report(Progress(1, 9, "tile 1 of 9"))

    monkeypatch.setattr(streaming, "segment_to_store", never_ends)
    monkeypatch.setattr(streaming, "shown_steps", lambda image: (1, 4, 2))
    stack = np.random.default_rng(0).random((8, 2, 42, 60))
    viewer.add_image(stack, name="stack", axis_labels=("z", "c", "y", "x"), scale=(3, 1, 2, 2), translate=(9, 0, 5, 7))
    dock.segment.image_box.channel.setCurrentIndex(1)
    dock.segment.image_box.channel.activated.emit(1)
    viewer.dims.set_point(0, 9 + 3 * 4)
    viewer.layers["stack"].corner_pixels = np.array([[0, 0, 10, 20], [7, 1, 30, 40]])
    dock.segment.button.click()
    qtbot.waitUntil(lambda: len(viewer.layers) == 2, timeout=LIMIT_MS)
    shown = viewer.layers[-1]
    assert shown.data.shape == (8, 1, 11, 30)
    assert shown.data_to_world((1, 0, 3, 2)) == pytest.approx(
        viewer.layers["stack"].data_to_world((1, 0.5, 12, 4)), abs=1
    )
    assert (shown.data[1:3, 0, :5, :10] == 7).all()
    assert not shown.editable
    assert layers.is_preview(shown)
    assert [(s.start, s.stop) for s in seen[0]] == [(4, 5), (10, 31), (20, 41)]
    dock.job.cancel.click()
    wait_idle(dock, qtbot)
    assert len(viewer.layers) == 1


# --- the list


@pytest.fixture
def listed(streamed: UNetWidget) -> UNetWidget:
    """Select the result in the list."""
    box = streamed.segment.stored
    box.refresh()
    box.list.setCurrentItem(box.list.topLevelItem(0))
    return streamed


def test_list_when_labels_are_on_the_disk_then_says_what_they_take(listed: UNetWidget) -> None:
    box = listed.segment.stored
    item = box.list.topLevelItem(0)
    assert item is not None
    assert item.text(0) == stores()[0].name.removesuffix(".zarr")
    assert "MB" in item.text(1)
    assert "MB of labels" in box.total.text()
    assert not listed.segment.stored_fold.isHidden()


@pytest.mark.parametrize("yes", [False, True])
def test_delete_when_asked_then_goes_only_after_a_yes_and_once_its_layer_is_removed(
    viewer: Viewer, listed: UNetWidget, qtbot: QtBot, told: Told, monkeypatch: pytest.MonkeyPatch, yes: bool
) -> None:
    asked, box = answer(monkeypatch, yes=yes), listed.segment.stored
    box.delete.click()
    assert "for good" in asked[0]
    assert len(stores()) == 1
    assert [one for one in told.errors if "Remove its layer first" in one] == told.errors[: int(yes)]
    viewer.layers.remove(labels_of(viewer))
    qtbot.waitUntil(lambda: not listed.session.jobs.active, timeout=LIMIT_MS)
    box.delete.click()
    assert list(library.results_folder().iterdir()) == [] if yes else len(stores()) == 1
    assert box.list.topLevelItemCount() == int(not yes)


def test_delete_output_when_asked_then_the_labels_stay(listed: UNetWidget, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, yes=True)
    box = listed.segment.stored
    assert box.thin.isEnabled()
    box.thin.click()
    assert list(library.results_folder().iterdir()) == stores()
    assert not box.thin.isEnabled()
