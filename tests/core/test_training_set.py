"""Training sets on disk: what is saved is loaded; files that do not belong together are named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_unet.core import io
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.io import write_image, write_labels
from napari_unet.core.store.training_set import load_samples, save_sample, stack_channels
from tests.core.phantoms import blobs

PLANE = blobs(shape=(24, 32), n=3, radius=4.0, voxel_size=(0.5, 0.5))
STACK = blobs(shape=(6, 24, 32), n=3, radius=4.0, voxel_size=(2.0, 0.5, 0.5))


def colour(sample):
    data = np.stack([(200 * sample.image.data).clip(0, 255).astype(np.uint8)] * 3)
    return replace(sample, image=Image(data, "CYX", (0.5, 0.5), sample.name, rgb=True))


def two_channels(sample):
    return replace(sample, image=Image(np.stack([sample.image.data] * 2), "CYX", (0.5, 0.5), sample.name))


@pytest.mark.parametrize(
    "sample",
    [PLANE, STACK, colour(PLANE), two_channels(PLANE), replace(PLANE, name="a.b (2)")],
    ids=["2D", "3D", "colour", "channels", "name"],
)
def test_sample_when_saved_and_loaded_then_is_the_same(tmp_path, sample):
    annotated = np.random.default_rng(0).integers(0, 3, sample.labels.shape).astype(np.uint8)
    save_sample(tmp_path, replace(sample, annotated=annotated))
    (found,) = load_samples(tmp_path)
    assert found.name == sample.name
    assert (found.image.axes, found.image.rgb) == (sample.image.axes, sample.image.rgb)
    assert found.image.voxel_size == pytest.approx(sample.image.voxel_size)
    np.testing.assert_array_equal(found.image.data, sample.image.data)
    np.testing.assert_array_equal(found.labels, sample.labels)
    np.testing.assert_array_equal(found.annotated, annotated)
    assert found.digest() == sample.digest()


def test_sample_when_wholly_annotated_then_is_so_after_a_round_trip(tmp_path):
    save_sample(tmp_path, PLANE)
    assert (load_samples(tmp_path)[0].annotated == 1).all()


def test_sample_when_numbers_are_too_large_for_a_file_then_its_objects_stay_apart(tmp_path):
    sample = replace(PLANE, labels=PLANE.labels.astype(np.int64) << 31)
    save_sample(tmp_path, sample)
    (found,) = load_samples(tmp_path)
    pairs = np.unique(np.stack([found.labels.ravel(), sample.labels.ravel()]), axis=1)
    assert pairs.shape[1] == len(np.unique(PLANE.labels))  # each number there stands for one here
    assert (pairs[:, 0] == 0).all()


def test_digest_when_image_or_labels_change_then_changes():
    other_labels = replace(PLANE, labels=np.flipud(PLANE.labels))
    other_image = replace(PLANE, image=replace(PLANE.image, data=PLANE.image.data + 1))
    assert len({PLANE.digest(), other_labels.digest(), other_image.digest()}) == 3


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": np.zeros((5, 5), int)}, "shape"),
        ({"labels": PLANE.labels[np.newaxis]}, "shape"),
        ({"labels": PLANE.labels.astype(float)}, "float64"),
        ({"labels": -PLANE.labels}, "below 0"),
        ({"annotated": np.ones((5, 5), np.uint8)}, "annotated mask"),
        ({"annotated": np.full(PLANE.labels.shape, 3, np.uint8)}, "goes up to 3"),
    ],
)
def test_sample_when_parts_do_not_fit_then_is_refused(changes, words):
    with pytest.raises(UserError, match=words):
        replace(PLANE, **changes)


@pytest.fixture
def folder(tmp_path):
    """Save three samples, as a folder ``train`` of a data set."""
    for number in range(3):
        save_sample(tmp_path / "train", replace(blobs(number, (24, 32), 3, 4.0), name=f"s{number}"))
    return tmp_path


def test_load_when_given_the_data_set_or_its_train_folder_then_finds_the_same(folder):
    assert [s.name for s in load_samples(folder)] == [s.name for s in load_samples(folder / "train")]


def test_load_when_limited_then_takes_the_first_by_name(folder):
    assert [s.name for s in load_samples(folder, limit=2)] == ["s0", "s1"]


def test_load_when_another_labels_folder_is_named_then_takes_it(folder):
    labels = np.zeros((24, 32), np.int32)
    labels[:5] = 1
    write_labels(folder / "train" / "nuclei" / "s1.tif", labels)
    (found,) = load_samples(folder, labels="nuclei")
    np.testing.assert_array_equal(found.labels, labels)


def test_load_when_images_have_no_labels_then_they_are_left_out(folder):
    write_image(folder / "train" / "images" / "unlabelled.tif", PLANE.image)
    assert len(load_samples(folder)) == 3


def test_load_when_labels_have_no_image_then_names_them(folder):
    (folder / "train" / "images" / "s1.tif").unlink()
    with pytest.raises(UserError, match="s1"):
        load_samples(folder)


@pytest.mark.parametrize("part", ["images", "labels", "annotated"])
def test_load_when_a_name_is_there_in_two_formats_then_refuses(folder, part):
    write_labels(folder / "train" / part / "s1.npy", PLANE.labels)
    with pytest.raises(UserError, match=rf"{part} holds 's1' in two formats"):
        load_samples(folder)


def test_load_when_no_mask_has_the_name_of_its_labels_then_refuses(folder):
    for path in (folder / "train" / "annotated").iterdir():
        path.rename(path.with_name(f"{path.stem}_mask.tif"))
    with pytest.raises(UserError, match="s0_mask"):
        load_samples(folder)


def test_load_when_a_mask_holds_what_no_byte_can_then_refuses(folder):
    write_labels(folder / "train" / "annotated" / "s1.tif", np.full((24, 32), 257, np.uint16))
    with pytest.raises(UserError, match="annotated mask of 's1'"):
        load_samples(folder)


def test_load_when_an_image_cannot_be_used_then_is_named(folder):
    constant = replace(PLANE.image, data=np.zeros((24, 32), np.float32))
    write_image(folder / "train" / "images" / "s1.tif", constant)
    with pytest.raises(UserError, match=r"s1.*constant"):
        load_samples(folder)


@pytest.mark.parametrize("there", [[], ["images"], ["labels"]])
def test_load_when_a_folder_is_missing_then_says_what_is_needed(tmp_path, there):
    for name in there:
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match="no training set") as caught:
        load_samples(tmp_path)
    assert "images/" in caught.value.hint


def test_load_when_channels_are_files_then_joins_them_in_order(tmp_path):
    for suffix, factor in (("_T1", 1), ("_FLAIR", 2)):
        image = replace(PLANE.image, data=factor * PLANE.image.data)
        write_image(tmp_path / "images" / f"p{suffix}.tif", image)
    write_labels(tmp_path / "labels" / "p.tif", PLANE.labels)
    (found,) = load_samples(tmp_path, channels=("_FLAIR", "_T1"))
    assert found.image.axes == "CYX"
    np.testing.assert_allclose(found.image.data[0], 2 * found.image.data[1])


def test_stack_channels_when_shapes_differ_then_names_them():
    with pytest.raises(UserError, match=r"\(24, 32\).*\(6, 24, 32\)"):
        stack_channels([PLANE.image, STACK.image])


def test_stack_channels_when_they_are_time_series_then_every_time_point_stays():
    data = np.arange(3 * 4 * 5).reshape(3, 4, 5)
    found = stack_channels([Image(data, "TYX"), Image(-data[:, np.newaxis], "TCYX")])
    assert found.axes == "TCYX"
    np.testing.assert_array_equal(found.data, np.stack([data, -data], axis=1))


def test_stack_channels_when_one_is_a_stack_and_one_a_time_series_then_refuses():
    data = np.zeros((6, 4, 5))
    with pytest.raises(UserError, match=r"ZYX.*TYX"):
        stack_channels([Image(data, "ZYX"), Image(data, "TYX")])


@pytest.mark.parametrize("broken", [0, 1, 2])
def test_save_when_it_breaks_off_at_any_file_then_the_training_set_can_still_be_loaded(folder, monkeypatch, broken):
    calls = []

    def breaking(write):
        def wrapped(*args):
            calls.append(args[0])
            if len(calls) == broken + 1:
                raise OSError(28, "No space left on device")
            return write(*args)

        return wrapped

    for name in ("write_image", "write_labels"):
        monkeypatch.setattr(io, name, breaking(getattr(io, name)))
    with pytest.raises(OSError, match="No space"):
        save_sample(folder / "train", replace(PLANE, name="s9"))
    assert [s.name for s in load_samples(folder)] == ["s0", "s1", "s2"]
