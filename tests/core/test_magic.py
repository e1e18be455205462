"""Magic correction on discs and balls whose maps are those that a network would have learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.draw import disk

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits import EDITS, apply_edit
from napari_unet.core.targets import TARGETS
from napari_unet.core.targets.basins import split_basins

Strokes = list[list[tuple[float, ...]]]

PLACES = ((50, 40, 18), (50, 72, 16), (20, 110, 12), (80, 110, 10))
"""Row, column and radius; the first two touch."""


class Maps:
    """Maps in memory, which notes the boxes that are read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.read = values, 0

    def __getitem__(self, box: tuple[slice, ...]) -> np.ndarray:
        part = self.values[(slice(None), *box)]
        self.read = max(self.read, part[0].size)
        return part


def basins(height: np.ndarray, mask: np.ndarray, prominence: float) -> np.ndarray:
    return split_basins(height, mask, seed=-1.0, prominence=prominence)


def discs(shape: tuple[int, int] = (100, 140)) -> np.ndarray:
    labels = np.zeros(shape, np.int32)
    for number, (row, column, radius) in enumerate(PLACES, start=1):
        labels[disk((row, column), radius, shape=shape)] = number
    return labels


def seen(truth: np.ndarray, sigma: float = 1.0) -> np.ndarray:
    """Give the maps of a good network: a little blurred."""
    maps = TARGETS["instances"].encode(truth, None, (1.0,) * truth.ndim).target[:2]
    return np.stack([np.clip(ndimage.gaussian_filter(one, sigma), 0, 1) for one in maps])


TRUTH = discs()
SEEN = seen(TRUTH)
MERGED = np.where(TRUTH == 2, 1, TRUTH)


def do(labels: Any, add: Strokes = [], remove: Strokes = [], maps: np.ndarray = SEEN, **more: Any) -> np.ndarray:  # noqa: B006  # read only
    more.setdefault("basins", basins)
    edit = EDITS["magic"](labels, [], add=add, remove=remove, maps=Maps(maps), **more)
    return apply_edit(np.asarray(labels), edit)


def iou(one: np.ndarray, other: np.ndarray) -> float:
    return (one & other).sum() / (one | other).sum()


# ------------------------------------------------------------ what each gesture does


@pytest.mark.parametrize(
    "clicks", [((50, 40), (50, 72)), ((50, 53), (50, 84)), ((38, 36), (60, 68))], ids=["middle", "aside", "askew"]
)
def test_two_clicks_when_cells_were_merged_then_they_part_at_the_network_s_boundary(clicks):
    parted = do(MERGED, [[clicks[0]], [clicks[1]]])
    np.testing.assert_array_equal(parted == 1, TRUTH == 1)
    np.testing.assert_array_equal(parted == 5, TRUTH == 2)


def test_two_clicks_when_the_network_saw_one_object_then_its_shape_parts_it():
    blind = np.stack([(TRUTH > 0).astype(np.float32)] * 2)
    parted = do(MERGED, [[(50, 40)], [(50, 72)]], maps=blind)
    assert iou(parted == 1, TRUTH == 1) > 0.95
    parted = do(MERGED, [[(42, 36)], [(58, 44)]], maps=blind)  # and where it has no narrow place, the nearer click
    assert parted[40, 35] != parted[60, 45]


def test_three_clicks_when_two_lie_in_one_cell_then_each_is_an_object():
    parted = do(MERGED, [[(50, 34)], [(50, 46)], [(50, 72)]])
    assert len({int(parted[50, column]) for column in (34, 46, 72)}) == 3
    np.testing.assert_array_equal(parted == parted[50, 72], TRUTH == 2)


def test_stroke_when_it_runs_through_two_parts_then_they_are_one_with_the_gap_between():
    cut = TRUTH.copy()
    cut[(TRUTH == 1) & (np.arange(140) > 42)] = 9
    cut[(TRUTH == 1) & (np.arange(140) == 42)] = 0
    joined = do(cut, [[(50, 32), (50, 50)]])
    np.testing.assert_array_equal(joined, TRUTH)
    np.testing.assert_array_equal(do(cut, [[(50, 50), (50, 32)]]), np.where(TRUTH == 1, 9, TRUTH))


@pytest.mark.parametrize("strength", [0.15, 0.4, 1.0])
def test_click_when_a_cell_was_missed_then_it_is_found_however_faint(strength):
    missed, faint = np.where(TRUTH == 3, 0, TRUTH), SEEN.copy()
    faint[:, :40, 90:] *= strength
    found = do(missed, [[(16, 112)]], maps=faint)
    assert iou(found == 5, TRUTH == 3) > 0.95
    np.testing.assert_array_equal(np.where(found == 5, 0, found), missed)


def test_click_when_two_touching_cells_were_missed_then_only_the_clicked_one_is_made():
    found = do(np.where(TRUTH < 3, 0, TRUTH), [[(50, 40)]])
    np.testing.assert_array_equal(found == 5, TRUTH == 1)
    found = do(np.where(TRUTH < 3, 0, TRUTH), [[(50, 40), (50, 72)]])
    assert iou(found == 5, (TRUTH == 1) | (TRUTH == 2)) > 0.99


@pytest.mark.parametrize("stroke", [[(50, 25)], [(50, 40), (50, 25)]], ids=["click", "stroke"])
def test_plus_when_beyond_the_edge_of_a_small_object_then_it_grows_to_what_the_network_saw(stroke):
    small = np.where((TRUTH == 1) & (ndimage.distance_transform_edt(TRUTH == 1) < 6), 0, TRUTH)
    grown = do(small, [stroke])
    assert iou(grown == 1, TRUTH == 1) > 0.95
    np.testing.assert_array_equal(grown == 2, TRUTH == 2)


def test_minus_when_it_is_a_click_then_the_object_goes_and_is_background():
    np.testing.assert_array_equal(do(TRUTH, remove=[[(20, 112)]]), np.where(TRUTH == 3, 0, TRUTH))


@pytest.mark.parametrize(
    "gesture",
    [{"remove": [[(44, 74), (58, 74)]]}, {"add": [[(50, 36)]], "remove": [[(50, 78)]]}],
    ids=["minus stroke", "plus and minus click"],
)
def test_minus_when_a_part_is_too_much_then_that_part_goes(gesture):
    np.testing.assert_array_equal(do(MERGED, **gesture), np.where(TRUTH == 2, 0, TRUTH))


def test_minus_when_its_stroke_runs_right_through_then_the_object_is_cut_and_keeps_every_voxel():
    cut = do(TRUTH, remove=[[(25, 36), (75, 36)]])
    assert (cut[TRUTH == 1] > 0).all()
    assert cut[50, 30] != cut[50, 42]
    assert ndimage.label(cut == cut[50, 30])[1] == ndimage.label(cut == cut[50, 42])[1] == 1


def test_minus_when_it_lies_between_plus_clicks_then_it_is_the_boundary():
    cut = do(MERGED, [[(50, 40)], [(50, 72)]], [[(30, 50), (70, 50)]])
    assert (cut[MERGED == 1] > 0).all()
    assert cut[50, 48] == cut[50, 40] != cut[50, 52] == cut[50, 72]


def test_minus_when_it_lies_beside_a_missed_cell_then_it_bounds_it():
    missed = np.where(TRUTH == 1, 0, TRUTH)
    found = do(missed, [[(50, 36)]], [[(30, 45), (70, 45)]])
    assert found[50, 40] == 5
    assert not (found[:, 45:] == 5).any()


def test_strokes_when_they_cross_then_they_are_one_object():
    joined = do(TRUTH, [[(50, 40), (50, 72)], [(40, 56), (60, 56)]])
    assert joined[50, 40] == joined[50, 72]


def test_objects_when_both_are_divided_at_once_then_neither_takes_of_the_other():
    labels = np.where(TRUTH > 0, np.where(np.arange(140) < 90, 1, 2), 0)
    labels[20:81, 108:112] = 2
    parted = do(labels, [[(50, 40)], [(50, 72)], [(20, 110)], [(80, 110)]])
    assert not np.isin(parted[labels == 1], parted[labels == 2]).any()
    assert len(np.unique(parted)) == 5


# ------------------------------------------------------------ where


def test_balls_when_a_stack_is_flat_then_one_click_in_each_parts_them_in_all_slices():
    z, y, x = np.mgrid[:12, :60, :80]
    truth = np.zeros((12, 60, 80), np.int32)
    for number, (row, column) in enumerate(((30, 25), (30, 51)), start=1):
        ball = (3 * (z - 6)) ** 2 + (y - row) ** 2 + (x - column) ** 2 < 15**2
        truth[ball & (truth == 0)] = number
    sampling = (3.0, 1.0, 1.0)
    maps = TARGETS["instances"].encode(truth, None, sampling).target[:2]
    merged = (truth > 0).astype(np.uint8)
    parted = do(merged, [[(5, 32, 25)], [(7, 28, 54)]], maps=maps, voxel_size=(0.6, 0.2, 0.2))
    assert iou(parted == parted[6, 30, 25], truth == 1) > 0.95
    assert iou(parted == parted[6, 30, 51], truth == 2) > 0.95
    assert parted.dtype == np.uint8
    cut = do(merged, remove=[[(6, 10, 38), (6, 50, 38)]], maps=maps)
    assert iou(cut == cut[6, 30, 25], truth == 1) > 0.9
    assert (cut[merged > 0] > 0).all()


def test_labels_when_they_are_stored_then_only_a_box_is_read_and_the_edit_is_the_same():
    wide = np.pad(MERGED, ((0, 400), (0, 400)))
    stored, maps = zarr.create_array({}, data=wide, chunks=(32, 32)), Maps(np.pad(SEEN, ((0, 0), (0, 400), (0, 400))))
    edit = EDITS["magic"](stored, [], add=[[(50, 40)], [(50, 72)]], maps=maps, basins=basins, new_id=7)
    assert maps.read < wide.size / 4
    np.testing.assert_array_equal(apply_edit(wide, edit)[:100, :140], do(MERGED, [[(50, 40)], [(50, 72)]], new_id=7))


def test_box_when_an_object_is_longer_than_the_first_look_then_it_is_corrected_whole():
    long = np.zeros((40, 600), np.int32)
    long[10:30, 5:595] = 1
    maps = seen(np.where(np.arange(600) < 300, long, long * 2))
    parted = do(long, [[(20, 20)], [(20, 580)]], maps=maps)
    assert (parted[10:30, 5:295] == parted[20, 20]).all()
    assert (parted[10:30, 305:595] == parted[20, 580]).all()


# ------------------------------------------------------------ classes


def classes() -> tuple[np.ndarray, np.ndarray]:
    """Give class 1 on the left, 2 on the right, and probabilities that fall over 8 pixels from 1 to 2 to background."""
    x = np.arange(60, dtype=np.float32)
    left, right = np.clip((24 - x) / 8, 0, 1), np.clip((48 - x) / 8, 0, 1)
    values = np.stack([1 - right, left, right - left])[:, None, :].repeat(20, 1)
    return values.argmax(0).astype(np.int32), values


def test_plus_when_labels_are_classes_then_the_class_grows_by_its_own_probability():
    labels, values = classes()
    grown = do(labels, [[(10, 5), (10, 22)]], maps=values, is_semantic=True, new_id=2)
    assert (grown[:, :22] == 1).all()  # it began in class 1
    np.testing.assert_array_equal(grown[:, 24:], labels[:, 24:])
    added = do(labels, [[(10, 46)]], maps=values, is_semantic=True, new_id=2)
    assert (added[:, 44:47] == 2).all()
    np.testing.assert_array_equal(added[:, 48:], labels[:, 48:])


def test_minus_when_labels_are_classes_then_the_likeliest_other_takes_over():
    labels, values = classes()
    lost = do(labels, remove=[[(10, 19)]], maps=values, is_semantic=True)
    assert (lost[:, 19] == 2).all()
    assert (lost[:, :16] == 1).all()
    kept = do(labels, [[(10, 46)]], [[(0, 45), (19, 45)]], maps=values, is_semantic=True, new_id=2)
    assert kept[10, 46] == 2
    with pytest.raises(UserError, match="knows 2 classes"):
        do(labels, [[(10, 55)]], maps=values, is_semantic=True, new_id=3)
    with pytest.raises(UserError, match="nothing of this class"):
        do(labels, [[(10, 55)]], maps=values, is_semantic=True, new_id=1)


# ------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("strokes", "said"),
    [
        ([[(50, 40)]], "like that already"),
        ([[(95, 5)]], "saw nothing"),
        ([[(500, 40)]], "Nothing is clicked"),
        ([], "Nothing is clicked"),
        ([[(1.0, 2.0, 3.0)]], "does not fit 2D"),
    ],
)
def test_magic_when_it_can_do_nothing_then_it_says_why_and_what_to_do(strokes, said):
    with pytest.raises(UserError, match=said) as told:
        do(TRUTH, strokes)
    assert told.value.hint


def test_magic_when_no_output_is_kept_or_a_boundary_is_missing_then_it_says_what_to_do():
    with pytest.raises(UserError, match="no network output") as told:
        EDITS["magic"](TRUTH, [], add=[[(50, 40)]])
    assert "Segment" in told.value.hint
    everywhere = np.full((2, 1600, 1600), 0.4, np.float32)
    with pytest.raises(UserError, match="no boundary"):
        do(np.zeros((1600, 1600), np.int32), [[(800, 800)]], maps=everywhere)


# ------------------------------------------------------------ whatever is drawn


any_voxel = st.tuples(st.integers(0, 99), st.integers(0, 139))
any_clicks = st.lists(any_voxel.map(lambda voxel: [voxel]), max_size=4, unique_by=lambda click: click[0])
any_strokes = st.lists(st.lists(any_voxel, min_size=1, max_size=3), max_size=3)
any_labels = st.sampled_from([TRUTH, MERGED, np.where(TRUTH == 3, 0, TRUTH), (TRUTH > 0).astype(np.int32)])


def under(labels: np.ndarray, strokes: Strokes) -> set[int]:
    """Give all objects that strokes touch, generously."""
    near = np.zeros(labels.shape, bool)
    for stroke in strokes:
        for start, stop in zip(stroke, [*stroke[1:], stroke[-1]], strict=True):
            line = np.rint(np.linspace(start, stop, 300)).astype(int)
            near[tuple(line.T)] = True
    return set(np.unique(labels[ndimage.binary_dilation(near)]).tolist())


@given(any_labels, any_strokes, any_strokes)
def test_any_strokes_when_they_do_not_touch_an_object_then_it_keeps_every_voxel(labels, add, remove):
    before = labels.copy()
    try:
        after = do(labels, add, remove)
    except UserError:
        return
    np.testing.assert_array_equal(labels, before)
    for one in set(np.unique(labels).tolist()) - under(labels, [*add, *remove]) - {0}:
        assert (after[labels == one] == one).all()


@given(any_labels, any_clicks, st.lists(any_voxel.map(lambda voxel: [voxel]), max_size=2))
def test_any_clicks_when_used_then_each_is_in_an_object_of_its_own(labels, add, remove):
    try:
        after = do(labels, add, remove)
    except UserError:
        return
    clicked = [int(after[click[0]]) for click in add]
    assert all(clicked)
    assert len(set(clicked)) == len(clicked)


@given(any_labels, any_clicks)
def test_any_clicks_when_used_again_then_nothing_changes(labels, add):
    try:
        after = do(labels, add)
    except UserError:
        return
    with pytest.raises(UserError, match="like that already"):
        do(after, add)
