"""`napari-unet demo`: the whole round with a tiny model, and the rule that plays the person."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image as Picture

from napari_unet.app.requests import Training
from napari_unet.cli import demo as demo_command
from napari_unet.cli import stand_in
from napari_unet.core.base.errors import UserError
from napari_unet.core.io import read_labels

if TYPE_CHECKING:
    from collections.abc import Callable

WHOLE = ((slice(0, 40), slice(0, 60)),)


def test_demo_when_run_then_writes_labels_picture_and_table_that_agree(
    run: Callable, tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo_command.run, "__defaults__", (tiny_model, "2steps"))

    for _ in range(2):  # a second demo replaces the first
        ran = run("demo", "--out", tmp_path / "demo", "--json")

    assert ran.code == 0, ran.err
    assert sorted(p.name for p in (tmp_path / "demo").iterdir()) == ["labels.tif", "objects.csv", "overlay.png"]
    labels = read_labels(tmp_path / "demo" / "labels.tif")
    with (tmp_path / "demo" / "objects.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {int(row["label"]): int(row["area_px"]) for row in rows} == {
        k: int((labels == k).sum()) for k in np.unique(labels) if k
    }
    assert ran.json["n_after"] == len(rows)
    with Picture.open(tmp_path / "demo" / "overlay.png") as picture:
        assert picture.size == (1024, 1024)
    assert "a rule plays the person" in ran.out


def test_demo_when_there_is_no_model_then_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nobody"):
        demo_command.run(tmp_path, "nobody")


def test_demo_when_the_folder_cannot_be_written_then_says_so(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        demo_command.run(tmp_path / "file", tiny_model, "1steps")


def test_blue_nuclei_when_the_section_is_read_then_finds_blue_spots_of_the_size_of_nuclei() -> None:
    image = demo_command.section()

    blue = stand_in.blue_nuclei(image)

    sizes = np.bincount(blue.ravel())[1:]
    assert 150 < np.count_nonzero(sizes) < 450
    red, _, blueness = (channel.astype(float) for channel in image.data)
    assert (blueness - red)[blue > 0].mean() > (blueness - red)[blue == 0].mean()


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (Training("m", None, "p", False, 0.5, 0.4, 12, "regions"), "the old model stays"),
        (
            Training("m", Path("m"), "p", True, 0.4, 0.5, 12, "regions"),
            "12 held-out corrections (regions): 0.40",
        ),
        (Training("m", Path("m"), "p", True, float("nan"), float("nan")), "too little"),
    ],
)
def test_demo_when_the_training_has_ended_then_says_what_it_is_worth(training: Training, words: str) -> None:
    assert words in demo_command._judgement(training)


def _discs(*discs: tuple[int, int, int, int]) -> np.ndarray:
    """Draw discs as (label, y, x, radius)."""
    labels = np.zeros((40, 60), np.int32)
    y, x = np.indices(labels.shape)
    for label, cy, cx, radius in discs:
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = label
    return labels


def test_correct_when_predictions_are_right_wrong_or_missing_then_keeps_deletes_and_draws() -> None:
    predicted = _discs((1, 10, 10, 6), (2, 30, 10, 6))
    blue = _discs((7, 10, 11, 6), (8, 20, 45, 6))

    corrected, counts = stand_in.correct(predicted, blue, WHOLE)

    assert counts == {"kept": 1, "deleted": 1, "drawn": 1}
    np.testing.assert_array_equal(corrected == 1, predicted == 1)
    assert not (corrected == 2).any()
    np.testing.assert_array_equal(corrected > 2, blue == 8)


def test_correct_when_objects_lie_outside_of_the_region_then_they_stay() -> None:
    predicted = _discs((1, 10, 10, 6), (2, 30, 10, 6))
    blue = _discs((8, 20, 45, 6))

    corrected, counts = stand_in.correct(predicted, blue, ((slice(0, 20), slice(0, 20)),))

    assert counts == {"kept": 0, "deleted": 1, "drawn": 0}
    np.testing.assert_array_equal(corrected, np.where(predicted == 2, 2, 0))
