"""Reviewing in a real viewer: the table's order and filter, progress, colours by state, the suggested region."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr
from napari.utils.colormaps import DirectLabelColormap
from qtpy.QtCore import Qt

from napari_unet.app.commands import KeptOutput, SegmentResult
from napari_unet.app.object_rows import CLASS, CONFIDENCE, SIZE
from napari_unet.ui import layers, view
from napari_unet.ui.drawings import REGIONS
from napari_unet.ui.review_colours import COLOURS
from tests.ui.conftest import LIMIT_MS, press, squares, wait_idle

if TYPE_CHECKING:
    from napari.layers import Labels
    from napari.viewer import Viewer
    from pytestqt.qtbot import QtBot

    from napari_unet.ui.correct_tab import CorrectTab
    from napari_unet.ui.main_widget import UNetWidget
    from tests.ui.conftest import Told


@pytest.fixture
def labels(segmented: UNetWidget) -> Labels:
    return segmented.results.need().labels


def shown(tab: CorrectTab) -> list[int]:
    return tab.table.objects.labels.tolist()


def choose(tab: CorrectTab, state: str) -> None:
    tab.review.filter.setCurrentIndex(tab.review.filter.findData(state))


def colour_of(labels: Labels, one: int) -> str:
    """Name the state whose colour an object is drawn in."""
    assert isinstance(labels.colormap, DirectLabelColormap)
    drawn = "#" + "".join(f"{round(255 * float(v)):02x}" for v in labels.colormap.map(np.array([one]))[0, :3])
    return next(state for state, colour in COLOURS.items() if colour == drawn)


def test_table_when_sorted_by_its_header_then_it_stays_so_and_the_selection_too(tab: CorrectTab) -> None:
    tab.table.select([3])
    tab.table.sortByColumn(SIZE, Qt.SortOrder.DescendingOrder)
    by_size = [row.size for row in tab.table.objects.rows]
    assert by_size == sorted(by_size, reverse=True)
    assert tab.table.selected() == [3]
    before = shown(tab)
    tab.buttons["accept"].click()
    tab.refresh()
    assert shown(tab) == before


def test_table_when_filtered_then_next_and_accept_stay_among_what_is_shown(tab: CorrectTab) -> None:
    tab.table.select([1, 2])
    tab.buttons["unsure"].click()
    tab.refresh()
    choose(tab, "unsure")
    assert sorted(shown(tab)) == [1, 2]
    tab.table.select([1])
    tab.buttons["next"].click()
    assert tab.table.selected() == [2]
    tab.buttons["next"].click()
    assert tab.table.selected() == [1]
    tab.buttons["accept"].click()
    assert shown(tab) == [2]
    assert tab.table.selected() == [2]
    choose(tab, "")
    assert len(shown(tab)) == 4


def test_accept_when_only_predicted_are_shown_then_it_goes_through_them_all(tab: CorrectTab) -> None:
    choose(tab, "predicted")
    order = shown(tab)
    tab.buttons["next"].click()
    gone = []
    for _ in range(3):
        gone += tab.table.selected()
        tab.buttons["accept"].click()
    assert gone == order[:3]
    assert shown(tab) == order[3:] == tab.table.selected()


def test_next_when_the_object_was_deleted_then_it_is_the_one_after_it(tab: CorrectTab) -> None:
    order = shown(tab)
    tab.table.select(order[1:2])
    tab.buttons["delete"].click()
    tab.refresh()
    assert tab.table.selected() == []
    tab.buttons["next"].click()
    assert tab.table.selected() == order[2:3]


def test_progress_when_objects_are_judged_and_undone_then_it_counts_them(
    segmented: UNetWidget, tab: CorrectTab, labels: Labels, qtbot: QtBot
) -> None:
    bar = tab.review.progress
    assert (bar.value(), bar.maximum(), bar.text()) == (0, 4, "0 of 4 reviewed")
    tab.table.select([1])
    tab.buttons["accept"].click()
    assert bar.text() == "1 of 4 reviewed"
    labels.paint((35, 55), 9)
    tab.refresh()
    assert bar.text() == "2 of 5 reviewed"
    tab.buttons["undo"].click()
    tab.buttons["undo"].click()
    tab.refresh()
    assert bar.text() == "0 of 4 reviewed"
    tab.buttons["redo"].click()
    tab.refresh()
    assert bar.text() == "1 of 4 reviewed"
    segmented.session.mark_done(segmented.results.need().key, (slice(0, 40), slice(0, 15)))
    tab.refresh()
    assert bar.text() == "2 of 4 reviewed"


def test_sizes_when_the_voxel_size_is_known_then_the_header_says_the_unit(
    viewer: Viewer, blobs: str, dock: UNetWidget, qtbot: QtBot
) -> None:
    viewer.add_image(squares(), scale=(0.5, 0.5), units=("um", "um"))
    press(dock, qtbot)
    dock.correct.refresh()
    table = dock.correct.table
    assert table.objects.headerData(SIZE, Qt.Orientation.Horizontal) == "Size (µm²)"
    row = table.objects.rows[0]
    assert row.size == 0.25 * (layers.labels_array(dock.results.need().labels) == row.label).sum()
    assert table.isColumnHidden(CLASS)
    assert not table.isColumnHidden(CONFIDENCE)


def test_colours_when_they_follow_states_then_painting_undo_and_new_objects_are_seen(
    segmented: UNetWidget, tab: CorrectTab, labels: Labels, told: Told
) -> None:
    own, before = labels.colormap, labels.data.copy()
    tab.review.colour.setChecked(True)
    assert tab.review.legend.isVisibleTo(tab)
    assert {colour_of(labels, one) for one in (1, 2, 3, 4)} == {"predicted"}
    tab.table.select([2])
    tab.buttons["accept"].click()
    assert colour_of(labels, 2) == "accepted"
    labels.paint((35, 55), 9)
    tab.refresh()
    assert colour_of(labels, 9) == "edited"
    tab.buttons["undo"].click()
    tab.buttons["undo"].click()
    tab.refresh()
    assert colour_of(labels, 2) == "predicted"
    tab.table.select([4])
    tab.buttons["accept"].click()
    tab.tools.forms["relabel"].widgets["to"].value = 40
    tab.table.select([4])
    tab.buttons["relabel"].click()
    tab.refresh()
    assert colour_of(labels, 40) == "accepted"
    tab.buttons["undo"].click()
    tab.buttons["undo"].click()
    labels.selected_label = 3
    labels.show_selected_label = True
    tab.review.colour.setChecked(False)
    assert labels.colormap is own
    assert (own.use_selection, own.selection) == (True, 3)
    assert not tab.review.legend.isVisibleTo(tab)
    assert np.array_equal(labels.data, before)
    assert not told.errors


def test_colours_when_the_user_chooses_others_then_those_stay(tab: CorrectTab, labels: Labels) -> None:
    tab.review.colour.setChecked(True)
    labels.new_colormap()
    chosen = labels.colormap
    assert not tab.review.colour.isChecked()
    tab.refresh()
    assert labels.colormap is chosen


def test_colours_when_the_layer_goes_then_the_next_one_is_coloured(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab, labels: Labels, told: Told
) -> None:
    tab.review.colour.setChecked(True)
    viewer.layers.remove(labels)
    tab.refresh()
    assert not isinstance(labels.colormap, DirectLabelColormap)
    viewer.layers.selection.active = viewer.add_labels((squares() > 0.5).astype(np.int32), name="mine")
    tab.buttons["own"].click()
    tab.refresh()
    assert colour_of(segmented.results.need().labels, 1) == "predicted"
    segmented.shut_down()
    assert not isinstance(segmented.results.need().labels.colormap, DirectLabelColormap)
    assert not told.errors


def test_colours_when_numbers_are_too_large_for_napari_then_it_is_told(
    viewer: Viewer, blobs: str, dock: UNetWidget, told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    viewer.add_image(squares())
    made = viewer.add_labels(np.where(squares() > 0.8, 5, (squares() > 0.5) * 2_000_000_000).astype(np.int64))
    dock.correct.buttons["own"].click()
    dock.correct.refresh()
    dock.correct.table.select([2_000_000_000])
    dock.correct.buttons["accept"].click()
    before = made.colormap

    def refuse(self: object, values: object) -> None:
        raise RuntimeError("Cannot use numpy implementation for large values of labels direct colormap.")

    monkeypatch.setattr(DirectLabelColormap, "map", refuse)  # as napari does where numba is not installed
    dock.correct.review.colour.setChecked(True)
    assert "too large" in told.errors[0]
    assert not dock.correct.review.colour.isChecked()
    assert made.colormap is before


@pytest.mark.parametrize(
    ("shape", "axes", "ndisplay"),
    [
        ((40, 60), "yx", 2),
        ((5, 40, 60), "zyx", 2),
        ((5, 40, 60), "zyx", 3),
        ((3, 40, 60), "tyx", 2),
        ((3, 2, 40, 60), "zcyx", 2),
    ],
)
def test_suggest_when_pressed_then_the_drawn_region_is_what_all_done_finishes(
    viewer: Viewer,
    blobs: str,
    dock: UNetWidget,
    qtbot: QtBot,
    told: Told,
    shape: tuple[int, ...],
    axes: str,
    ndisplay: int,
) -> None:
    viewer.add_image(squares(shape), axis_labels=tuple(axes))
    press(dock, qtbot)
    dock.correct.refresh()
    viewer.dims.ndisplay = ndisplay
    link = dock.results.need()
    dock.correct.buttons["suggest"].click()
    wait_idle(dock, qtbot)
    qtbot.waitUntil(lambda: view.named(viewer, REGIONS) is not None, timeout=LIMIT_MS)
    assert viewer.layers.selection.active is link.labels
    box = dock.correct.suggesting._earlier[link.key][0]
    assert not told.errors
    assert "objects" in told.infos[-1]
    dock.correct.buttons["done"].click()
    assert dock.session.result(link.key).corrections.done == (box,)
    assert not len(view.named(viewer, REGIONS).data)


def test_suggest_when_pressed_again_then_the_rectangle_is_replaced_and_those_of_the_user_stay(
    viewer: Viewer, segmented: UNetWidget, tab: CorrectTab, qtbot: QtBot
) -> None:
    tab.buttons["region"].click()
    mine = np.array([[2.0, 3], [2, 20], [30, 20], [30, 3]])
    view.named(viewer, REGIONS).add_rectangles(mine)
    for n in (1, 2):
        tab.buttons["suggest"].click()
        qtbot.waitUntil(
            lambda n=n: len(tab.suggesting._earlier.get(segmented.results.need().key, ())) == n, timeout=LIMIT_MS
        )
    kept = view.named(viewer, REGIONS).data
    assert len(kept) == 2
    assert np.array_equal(kept[0], mine)


def test_own_labels_when_another_tool_made_them_then_they_are_predicted_until_accepted(
    viewer: Viewer, blobs: str, dock: UNetWidget, told: Told
) -> None:
    viewer.add_image(squares())
    made = viewer.add_labels((squares() > 0.5).astype(np.uint8) * 7, name="mine")
    dock.correct.buttons["own"].click()
    link = dock.results.need()
    assert link.labels is made
    states = lambda: dock.session.states(link.key, layers.labels_array(link.labels))  # noqa: E731
    assert states() == {7: "predicted"}
    assert "only what you accept" in told.infos[0]
    dock.correct.refresh()
    dock.correct.table.select([7])
    dock.correct.buttons["accept"].click()
    assert states() == {7: "accepted"}
    made.paint((35, 55), 9)
    assert states() == {7: "accepted", 9: "edited"}
    assert not told.errors


def test_own_labels_when_they_cannot_be_painted_then_a_copy_on_the_image_s_grid_is_reviewed(
    viewer: Viewer, blobs: str, dock: UNetWidget, told: Told
) -> None:
    viewer.add_image(squares(), scale=(0.5, 0.5), units=("um", "um"))
    stored = zarr.create_array(store={}, data=(squares() > 0.5).astype(">u2"))
    made = viewer.add_labels(stored, name="mine")
    dock.correct.buttons["own"].click()
    link = dock.results.need()
    assert (link.labels.name, made.visible) == ("mine (U-Net)", False)
    assert viewer.layers.selection.active is link.labels
    assert tuple(link.labels.scale) == (0.5, 0.5)
    link.labels.paint((35, 55), 9)
    assert 9 not in np.asarray(stored)
    assert not told.errors


def test_own_labels_when_they_do_not_fit_then_it_is_told(
    viewer: Viewer, blobs: str, dock: UNetWidget, told: Told
) -> None:
    viewer.add_image(squares())
    viewer.add_labels(np.ones((7, 7), np.int32), name="mine")
    dock.correct.buttons["own"].click()
    viewer.add_labels([np.ones((40, 60), np.int32), np.ones((20, 30), np.int32)], name="levels")
    dock.correct.buttons["own"].click()
    assert ["(7, 7)" in told.errors[0], "pyramid" in told.errors[1]] == [True, True]
    assert dock.results.current is None


def test_table_when_labels_are_classes_then_it_names_them_and_there_is_nothing_to_review_one_by_one(
    viewer: Viewer, dock: UNetWidget, told: Told, qtbot: QtBot
) -> None:
    layer = viewer.add_image(squares())
    made = (squares() > 0.5).astype(np.int32) + (squares() > 0.8)
    kept = KeptOutput(None)  # type: ignore[arg-type]
    link = dock.results.show(
        layer, dock.workspace.image(), "YX", SegmentResult(made, kept, classes=("tissue", "vessel"))
    )
    dock.correct.refresh()
    assert link.classes
    assert [row.name for row in dock.correct.table.objects.rows] == ["tissue", "vessel"]
    assert not dock.correct.table.isColumnHidden(CLASS)
    assert dock.correct.review.progress.isHidden()
    assert not dock.correct.review.colour.isEnabled()
    dock.correct.buttons["suggest"].click()
    qtbot.waitUntil(lambda: bool(told.errors), timeout=LIMIT_MS)
    assert "classes" in told.errors[0]
