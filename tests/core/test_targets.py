"""Targets: encode and decode belong together, and what is not annotated has no weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_unet.core.base.errors import UserError
from napari_unet.core.metrics.instances import match_counts
from napari_unet.core.targets import TARGETS, DecodeSettings, get_target
from tests.core.phantoms import balls

INSTANCES, SEMANTIC = TARGETS["instances"], TARGETS["semantic"]
SETTINGS = DecodeSettings()

any_labels = hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=st.integers(0, 4))


def there_and_back(labels, sampling, settings=SETTINGS):
    """Decode what a perfect network would give."""
    target = torch.from_numpy(INSTANCES.encode(labels, None, sampling).target.copy())
    target[0] = 40 * (target[0] - 0.5)
    return INSTANCES.decode(INSTANCES.maps(target).numpy().astype(np.float16), settings, sampling)


def same_up_to_numbering(one, other):
    pairs = set(zip(one.ravel().tolist(), other.ravel().tolist(), strict=True))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) and (0, 0) in pairs


@given(st.integers(0, 10_000), st.integers(1, 12), st.floats(4, 12))
def test_instances_when_objects_lie_apart_then_come_back_as_they_were(seed, n, radius):
    labels, _ = balls((72, 80), n, radius, seed)
    assert same_up_to_numbering(there_and_back(labels, (1.0, 1.0)), labels)


@given(st.integers(0, 10_000), st.sampled_from([(1.0, 1.0, 1.0), (3.0, 1.0, 1.0)]))
def test_instances_when_the_stack_is_anisotropic_then_come_back_as_they_were(seed, sampling):
    labels, _ = balls((14, 40, 40), 5, 9.0, seed, gap=4.0, sampling=sampling)
    assert same_up_to_numbering(there_and_back(labels, sampling), labels)


@given(st.integers(0, 10_000))
def test_instances_when_objects_touch_then_each_comes_back_nearly_whole(seed):
    labels, _ = balls((72, 80), 12, 8.0, seed, gap=-2.5)
    counts = match_counts(there_and_back(labels, (1.0, 1.0)), labels, (0.85,))
    assert (counts.fp, counts.fn) == ((0,), (0,))


def test_instances_when_two_halves_touch_along_a_line_then_stay_two():
    labels = np.zeros((20, 32), np.int32)
    labels[4:16, 4:16], labels[4:16, 16:28] = 5, 9
    assert same_up_to_numbering(there_and_back(labels, (1.0, 1.0)), labels)


def test_instances_when_an_object_is_a_ring_then_stays_one():
    grid = np.indices((41, 41)) - 20
    radius = np.hypot(*grid)
    labels = ((radius > 8) & (radius < 18)).astype(np.int32)
    assert same_up_to_numbering(there_and_back(labels, (1.0, 1.0)), labels)


def test_instances_when_labels_exceed_16_bits_then_all_come_back():
    labels = np.zeros((60, 60), np.int64)
    labels[5:20, 5:20], labels[5:20, 30:50], labels[30:50, 10:40] = 2**16 + 1, 2**16, 2**40
    assert same_up_to_numbering(there_and_back(labels, (1.0, 1.0)), labels)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16, np.int64, np.uint64])
def test_encode_when_labels_have_any_integer_type_then_gives_the_same(dtype):
    labels = np.zeros((12, 12), np.int32)
    labels[2:8, 3:9] = 1
    expected = INSTANCES.encode(labels, None, (1.0, 1.0)).target
    np.testing.assert_array_equal(INSTANCES.encode(labels.astype(dtype), None, (1.0, 1.0)).target, expected)


def test_encode_when_an_object_is_a_bar_then_distances_and_vectors_are_as_by_hand():
    labels = np.zeros((5, 9), np.int32)
    labels[1:4, 1:8] = 3  # 3 x 7 voxels; its middle is (2, 4); the middle row is 2 from the outside
    foreground, distance, up, left = INSTANCES.encode(labels, None, (1.0, 1.0)).target
    np.testing.assert_array_equal(foreground, labels > 0)
    np.testing.assert_allclose(distance[:, 4], [0, 0.5, 1, 0.5, 0])
    np.testing.assert_allclose(distance[2], [0, 0.5, 1, 1, 1, 1, 1, 0.5, 0])
    np.testing.assert_allclose(left[2], [0, 1.5, 1, 0.5, 0, -0.5, -1, -1.5, 0])
    np.testing.assert_allclose(up[:, 4], [0, 0.5, 0, -0.5, 0])


def test_encode_when_voxels_are_anisotropic_then_distances_are_lengths():
    labels = np.zeros((7, 15), np.int32)
    labels[2:5, 3:12] = 1  # three rows of 3 and nine columns of 1: as high as wide
    _, distance, up, left = INSTANCES.encode(labels, None, (3.0, 1.0)).target
    np.testing.assert_allclose(distance[3, 3:8], np.array([1, 2, 3, 4, 5]) / 5)
    assert distance[2, 7] == pytest.approx(3 / 5)
    assert (up[2, 7], left[3, 4]) == pytest.approx((3 / 5, 3 / 5))


@pytest.mark.parametrize("value", [0, 1])
def test_encode_when_all_voxels_are_alike_then_is_finite(value):
    encoded = INSTANCES.encode(np.full((9, 9), value), None, (1.0, 1.0))
    assert np.isfinite(encoded.target).all()
    assert np.isfinite(encoded.weight).all()
    assert encoded.target[1].max() == value


@given(any_labels, st.permutations([1, 2, 3, 4]))
def test_encode_when_objects_are_numbered_anew_then_target_stays(labels, order):
    numbered = np.array([0, *order])[labels]
    sampling = (1.0,) * labels.ndim
    one, other = (INSTANCES.encode(x, None, sampling) for x in (labels, numbered))
    np.testing.assert_allclose(one.target, other.target, atol=1e-6)
    np.testing.assert_allclose(one.weight, other.weight, atol=1e-6)


@given(any_labels)
def test_encode_when_given_any_labels_then_values_are_in_range(labels):
    target = INSTANCES.encode(labels, None, (2.0, 1.0, 1.0)[-labels.ndim :]).target
    assert target.dtype == np.float32
    assert ((target[1] > 0) == (labels > 0)).all()
    assert target[1].max() <= 1
    assert np.linalg.norm(target[2:], axis=0).max() <= 2 + 1e-5
    assert (target[:, labels == 0] == 0).all()


@pytest.mark.parametrize("name", TARGETS)
@given(labels=any_labels, data=st.data())
def test_weight_when_a_voxel_is_not_annotated_then_is_0_and_only_then(name, labels, data):
    annotated = data.draw(hnp.arrays(np.uint8, labels.shape, elements=st.integers(0, 2)))
    weight = TARGETS[name].encode(labels, annotated, (1.0,) * labels.ndim).weight
    assert ((weight[0] > 0) == (annotated > 0)).all()
    if name == "instances":  # a cut object has no distance and no vector
        assert ((weight[1] > 0) == (annotated == 1)).all()


@pytest.mark.parametrize("name", TARGETS)
@given(labels=any_labels, data=st.data())
def test_encode_when_labels_change_where_nothing_is_known_then_what_is_learned_stays(name, labels, data):
    annotated = data.draw(hnp.arrays(np.uint8, labels.shape, elements=st.integers(0, 2)))
    others = data.draw(hnp.arrays(np.int32, labels.shape, elements=st.integers(0, 4)))
    changed = np.where(annotated > 0, labels, others)
    one, other = (TARGETS[name].encode(x, annotated, (1.0,) * labels.ndim) for x in (labels, changed))
    known = annotated > 0
    np.testing.assert_array_equal(one.weight, other.weight)
    np.testing.assert_array_equal(one.target[:, known], other.target[:, known])


def test_weight_when_one_object_is_large_then_small_ones_count_more_within_bounds():
    labels = np.zeros((64, 64), np.int32)
    labels[:60, :40], labels[2:6, 44:48], labels[10:18, 44:52] = 1, 2, 3
    weight = INSTANCES.encode(labels, None, (1.0, 1.0)).weight[0]
    assert weight[0, 0] == pytest.approx(0.3)
    assert weight[2, 44] == pytest.approx(3.0)
    assert weight[63, 63] == weight[10, 44] == 1


@given(hnp.arrays(np.int32, hnp.array_shapes(min_dims=2, max_dims=3, max_side=9), elements=st.integers(0, 3)))
def test_semantic_when_encoded_and_decoded_then_every_class_comes_back(labels):
    target = SEMANTIC.encode(labels, None, (1.0,) * labels.ndim).target
    logits = 20 * torch.nn.functional.one_hot(torch.from_numpy(target[0]).long(), 4).movedim(-1, 0).float()
    found = SEMANTIC.decode(SEMANTIC.maps(logits).numpy(), DecodeSettings(min_size=0), (1.0,) * labels.ndim)
    np.testing.assert_array_equal(found, labels)
    assert found.dtype == np.int32


def test_semantic_when_the_threshold_falls_then_more_becomes_foreground():
    maps = np.array([[0.6, 0.35, 0.8], [0.3, 0.15, 0.1], [0.1, 0.5, 0.1]]).reshape(3, 1, 3)
    found = {t: SEMANTIC.decode(maps, DecodeSettings(t, min_size=0), (1.0, 1.0))[0].tolist() for t in (0.3, 0.5, 0.7)}
    assert found == {0.3: [1, 2, 0], 0.5: [0, 2, 0], 0.7: [0, 0, 0]}


@pytest.mark.parametrize("name", TARGETS)
def test_decode_when_parts_are_below_the_minimum_size_then_are_removed(name):
    labels = np.zeros((30, 30), np.int32)
    labels[3:8, 3:8], labels[12:26, 12:26] = 1, 1
    maps = np.stack([1 - labels, labels]) if name == "semantic" else np.stack([labels, labels])
    sizes = {
        n: np.count_nonzero(TARGETS[name].decode(maps, DecodeSettings(min_size=n), (1.0, 1.0))) for n in (0, 26, 197)
    }
    assert sizes == {0: 25 + 196, 26: 196, 197: 0}


@given(
    hnp.arrays(np.float16, (2, 12, 12), elements=st.floats(0, 1, width=16)), st.floats(0.1, 0.9), st.floats(0.1, 0.9)
)
def test_instances_when_maps_are_anything_then_labels_are_1_to_n_inside_the_foreground(maps, foreground, seed):
    labels = INSTANCES.decode(maps, DecodeSettings(foreground, seed, min_size=4), (1.0, 1.0))
    assert labels.dtype == np.int32
    assert not labels[maps[0] <= foreground].any()
    ids, sizes = np.unique(labels[labels > 0], return_counts=True)
    np.testing.assert_array_equal(ids, np.arange(1, len(ids) + 1))
    assert (sizes >= 4).all()


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_decode_when_maps_are_stored_as_integers_then_gives_what_their_values_give(name, dtype):
    labels, depth = balls((40, 40), 5, 7.0)
    maps = np.stack([1 - depth, depth] if name == "semantic" else [labels > 0, depth])
    kept = np.round(maps * np.iinfo(dtype).max).astype(dtype)
    values = kept.astype(np.float32) / np.float32(np.iinfo(dtype).max)
    found, expected = (TARGETS[name].decode(one, DecodeSettings(0.4, 0.3), (1.0, 1.0)) for one in (kept, values))
    assert expected.any()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", TARGETS)
def test_grid_when_tuned_from_any_start_then_keeps_what_it_does_not_tune(name):
    start = DecodeSettings(min_size=77, smooth=2.5)
    grid = TARGETS[name].grid(start)
    assert len(set(grid)) == len(grid) > 3
    assert all((one.min_size, one.smooth) == (77, 2.5) for one in grid)


@pytest.mark.parametrize(
    "values",
    [{"foreground": 0}, {"foreground": 1.0}, {"seed": -0.1}, {"min_size": -1}, {"smooth": float("nan")}],
)
def test_decode_settings_when_impossible_then_are_refused(values):
    with pytest.raises(UserError, match="not possible"):
        DecodeSettings.from_dict(values)


@pytest.mark.parametrize("values", [{"magic": 1}, {"seed": "0.5"}, {"min_size": None}])
def test_decode_settings_when_unknown_then_are_refused(values):
    with pytest.raises(UserError, match="cannot be read"):
        DecodeSettings.from_dict(values)


def test_decode_settings_when_written_and_read_then_are_the_same():
    assert DecodeSettings.from_dict(DecodeSettings(0.4, 0.6, 0.2, 3, 0.0).to_dict()) == DecodeSettings(
        0.4, 0.6, 0.2, 3, 0.0
    )


def test_get_target_when_the_name_is_unknown_then_lists_the_targets():
    with pytest.raises(UserError, match="'panoptic'") as caught:
        get_target("panoptic")
    assert "instances" in caught.value.hint


def test_semantic_when_what_is_unknown_has_a_number_of_its_own_then_it_is_no_class():
    labels = np.array([[0, 1, 2, 255]], np.uint8)
    encoded = SEMANTIC.encode(labels, (labels < 255).astype(np.uint8), (1.0, 1.0))
    np.testing.assert_array_equal(encoded.target[0], [[0, 1, 2, 0]])
    np.testing.assert_array_equal(encoded.weight[0], [[1, 1, 1, 0]])
