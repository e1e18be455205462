"""`napari-unet evaluate`: pairs, groups and figures that were computed by hand."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.core.base.image import Image
from napari_unet.core.io import write_labels

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _line(*runs: tuple[int, int]) -> np.ndarray:
    """Write two equal rows of labels as (label, length) runs."""
    row = np.concatenate([np.full(n, label) for label, n in runs])
    return np.stack([row, row])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two images: in `a` one of two objects is found with an IoU of 0.8, in `b` its only object exactly."""
    pred, truth = tmp_path / "pred", tmp_path / "truth"
    write_labels(truth / "a.tif", _line((1, 10), (0, 5), (2, 10)))
    write_labels(pred / "a.tif", _line((4, 8), (0, 17)))
    write_labels(truth / "b.nii.gz", _line((3, 6), (0, 4)))
    write_labels(pred / "b.tif", _line((1, 6), (0, 4)))
    return pred, truth


def test_evaluate_when_objects_then_ap_is_pooled_and_dice_averaged(run: Callable, folders: tuple[Path, Path]) -> None:
    ran = run("evaluate", *folders, "--target", "instances", "--json")

    assert ran.code == 0
    found = ran.json
    assert found["n_images"] == 2
    assert found["ap"]["0.50"] == pytest.approx(2 / 3)
    assert found["ap"]["0.80"] == pytest.approx(2 / 3)
    assert found["ap"]["0.85"] == pytest.approx(1 / 4)
    assert list(found["ap"]) == [f"{0.5 + 0.05 * i:.2f}" for i in range(10)]
    assert found["f1"] == pytest.approx(4 / 5)
    assert found["pq"] == pytest.approx(1.8 / 2.5)
    assert found["dice"] == {"1": pytest.approx((2 * 16 / (16 + 40) + 1) / 2)}
    assert found["mean_dice"] == pytest.approx(found["dice"]["1"])
    assert found["groups"] == {}
    assert "0.667" in ran.out.splitlines()[1]


def test_evaluate_when_classes_then_dice_is_that_of_each_image_and_class(run: Callable, tmp_path: Path) -> None:
    truth = {"a": _line((1, 4), (2, 4), (0, 4)), "b": _line((1, 6), (0, 6))}
    pred = {"a": _line((1, 2), (2, 6), (0, 4)), "b": _line((1, 6), (0, 6))}
    for name in truth:
        write_labels(tmp_path / "truth" / f"{name}.tif", truth[name])
        write_labels(tmp_path / "pred" / f"{name}.tif", pred[name])

    found = run("evaluate", tmp_path / "pred", tmp_path / "truth", "--target", "semantic", "--json").json

    # Class 2 is not in image b at all, so b says nothing about it.
    assert found["dice"] == {"1": pytest.approx((4 / 6 + 1) / 2), "2": pytest.approx(8 / 10)}
    assert found["mean_dice"] == pytest.approx(np.mean(list(found["dice"].values())))
    assert found["ap"] is None


def test_evaluate_when_a_class_is_predicted_that_no_truth_has_then_it_counts_as_wrong(
    run: Callable, tmp_path: Path
) -> None:
    write_labels(tmp_path / "truth.tif", _line((1, 4), (0, 4)))
    write_labels(tmp_path / "pred.tif", _line((1, 4), (7, 4)))

    found = run("evaluate", tmp_path / "pred.tif", tmp_path / "truth.tif", "--target", "semantic", "--json").json

    assert found["dice"] == {"1": 1.0, "7": 0.0}


def test_evaluate_when_the_target_is_not_said_then_scores_both_and_says_so(
    run: Callable, folders: tuple[Path, Path]
) -> None:
    ran = run("evaluate", *folders, "--json")

    assert ran.json["ap"]["0.50"] == pytest.approx(2 / 3)
    assert set(ran.json["dice"]) == {"1", "2", "3"}
    assert "--target" in ran.err


def test_evaluate_when_many_objects_and_no_target_then_dice_is_that_of_the_foreground(
    run: Callable, tmp_path: Path
) -> None:
    labels = np.arange(1, 41).reshape(5, 8)
    for name in ("pred", "truth"):
        write_labels(tmp_path / name / "a.tif", labels)

    assert run("evaluate", tmp_path / "pred", tmp_path / "truth", "--json").json["dice"] == {"1": 1.0}


def test_evaluate_when_nothing_is_there_and_nothing_was_found_then_all_agrees(run: Callable, tmp_path: Path) -> None:
    for name in ("pred", "truth"):
        write_labels(tmp_path / name / "a.tif", np.zeros((4, 4), np.uint8))

    found = run("evaluate", tmp_path / "pred", tmp_path / "truth", "--json").json

    assert found["ap"]["0.50"] == found["mean_dice"] == 1.0


@pytest.mark.parametrize("column", ["id", "name", "first"])
@pytest.mark.parametrize("end", ["", ".tif"])
def test_evaluate_when_grouped_then_each_group_has_its_own_scores(
    run: Callable, folders: tuple[Path, Path], tmp_path: Path, column: str, end: str
) -> None:
    rows = f"{column},type\na{end},fluorescence\nb{end},histology\nunused,other\n"
    if column == "name":
        rows = f"split,name,type\ntrain,a{end},fluorescence\nval,b{end},histology\n"
    (tmp_path / "index.csv").write_text(rows)

    ran = run("evaluate", *folders, "--groups", f"{tmp_path / 'index.csv'}:type", "--json")

    groups = ran.json["groups"]
    assert set(groups) == {"fluorescence", "histology"}
    assert groups["fluorescence"]["ap"]["0.50"] == pytest.approx(1 / 2)
    assert groups["histology"]["ap"]["0.50"] == 1.0
    assert groups["histology"]["n_images"] == 1
    assert any(line.startswith("histology") for line in ran.out.splitlines())


def test_evaluate_when_real_labels_are_compared_with_themselves_then_every_group_is_perfect(
    run: Callable, shared_data: Path
) -> None:
    labels = shared_data / "dsb2018" / "val" / "labels"

    found = run("evaluate", labels, labels, "--groups", f"{shared_data / 'dsb2018' / 'index.csv'}:type", "--json").json

    assert found["n_images"] == 66
    assert {name: one["n_images"] for name, one in found["groups"].items()} == {
        "brightfield": 2,
        "fluorescence": 53,
        "histology": 11,
    }
    assert all(one["ap"]["0.95"] == one["pq"] == one["mean_dice"] == 1.0 for one in found["groups"].values())


@pytest.mark.parametrize(
    ("rows", "column", "message"),
    [
        ("id,type\na,x\n", "type", "no row for b"),
        ("id,type\na,x\nb,y\n", "kind", "no column 'kind'"),
        ("", "type", "empty"),
    ],
)
def test_evaluate_when_the_groups_do_not_fit_then_says_why(
    run: Callable, folders: tuple[Path, Path], tmp_path: Path, rows: str, column: str, message: str
) -> None:
    (tmp_path / "index.csv").write_text(rows)

    ran = run("evaluate", *folders, "--groups", f"{tmp_path / 'index.csv'}:{column}")

    assert ran.code == 2
    assert message in ran.error


@pytest.mark.parametrize("groups", ["index.csv", "missing.csv:type"])
def test_evaluate_when_there_are_no_groups_to_read_then_says_so(
    run: Callable, folders: tuple[Path, Path], groups: str
) -> None:
    ran = run("evaluate", *folders, "--groups", groups)

    assert ran.code == 2
    assert groups.split(":")[0] in ran.error


def test_evaluate_when_the_folders_hold_different_files_then_names_them(
    run: Callable, folders: tuple[Path, Path]
) -> None:
    write_labels(folders[0] / "extra.tif", np.ones((2, 2), int))
    write_labels(folders[1] / "missed.tif", np.ones((2, 2), int))

    ran = run("evaluate", *folders)

    assert ran.code == 2
    assert "extra" in ran.error
    assert "missed" in ran.error


def test_evaluate_when_a_folder_holds_one_name_twice_then_says_so(run: Callable, folders: tuple[Path, Path]) -> None:
    write_labels(folders[0] / "a.npy", np.ones((2, 2), int))

    assert "'a' in two formats" in run("evaluate", *folders).error


def test_evaluate_when_shapes_differ_then_names_the_image(run: Callable, folders: tuple[Path, Path]) -> None:
    write_labels(folders[0] / "b.tif", np.ones((3, 10), int))

    ran = run("evaluate", *folders)

    assert ran.code == 2
    assert "'b' cannot be compared" in ran.error


def test_evaluate_when_objects_are_called_classes_then_says_what_they_look_like(run: Callable, tmp_path: Path) -> None:
    labels = np.arange(400).reshape(20, 20)
    for name in ("pred", "truth"):
        write_labels(tmp_path / name / "a.tif", labels)

    ran = run("evaluate", tmp_path / "pred", tmp_path / "truth", "--target", "semantic")

    assert ran.code == 2
    assert "--target instances" in ran.error


def test_evaluate_when_the_target_is_unknown_then_lists_the_known(run: Callable, folders: tuple[Path, Path]) -> None:
    assert "instances, semantic" in run("evaluate", *folders, "--target", "cells").error


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_evaluate_when_objects_then_counts_of_areas_and_matches_are_pooled(
    run: Callable, folders: tuple[Path, Path]
) -> None:
    found = run("evaluate", *folders, "--target", "instances", "--json").json

    assert (found["n_true"], found["n_predicted"]) == (3, 2)
    assert (found["over_segmented"], found["under_segmented"]) == (0, 0)
    assert found["precision"] == 1.0
    assert found["recall"] == pytest.approx(2 / 3)
    assert found["mean_ap"] == pytest.approx(np.mean(list(found["ap"].values())))
    assert found["aji"] == pytest.approx((16 + 12) / (20 + 20 + 12))
    assert found["seg"] == pytest.approx((0.8 + 0 + 1) / 3)
    assert found["voxel_precision"] == {"1": 1.0}
    assert found["voxel_recall"] == {"1": pytest.approx((16 / 40 + 1) / 2)}
    assert found["iou"] == {"1": pytest.approx((16 / 40 + 1) / 2)}
    assert found["pixel_accuracy"] == pytest.approx((26 / 50 + 1) / 2)
    assert found["surface"] is None


def test_evaluate_when_there_are_two_images_then_each_score_has_an_interval_of_the_two(
    run: Callable, folders: tuple[Path, Path]
) -> None:
    ran = run("evaluate", *folders, "--target", "instances", "--json")

    # Each resample is one of the images twice, or both; either alone has a quarter of the draws.
    found = ran.json["interval"]
    assert found["ap"]["0.50"] == [pytest.approx(1 / 2), 1.0]
    assert found["dice"]["1"] == [pytest.approx(2 * 16 / 56), 1.0]
    assert found["mean_dice"] == found["dice"]["1"]
    assert found["voxel_precision"]["1"] == [1.0, 1.0]
    assert "0.50-1.00" in ran.out.splitlines()[2]
    assert run("evaluate", *folders, "--target", "instances", "--json").json["interval"] == found


def test_evaluate_when_a_group_has_one_image_then_it_has_no_interval(
    run: Callable, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "index.csv").write_text("id,type\na,x\nb,y\n")

    found = run("evaluate", *folders, "--groups", f"{tmp_path / 'index.csv'}:type", "--json").json

    assert found["interval"] is not None
    assert found["groups"]["x"]["interval"] is None


def test_evaluate_when_a_table_is_wanted_then_has_a_row_for_each_image(
    run: Callable, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "index.csv").write_text("id,type\na,x\nb,y\n")
    options = ("--target", "instances", "--groups", f"{tmp_path / 'index.csv'}:type")

    assert run("evaluate", *folders, *options, "--table", tmp_path / "new" / "images.csv").code == 0

    a, b = _rows(tmp_path / "new" / "images.csv")
    assert (a["image"], a["group"], b["image"], b["group"]) == ("a", "x", "b", "y")
    assert (a["n_true"], a["n_predicted"]) == ("2", "1")
    assert float(a["ap_0.50"]) == pytest.approx(1 / 2)
    assert float(a["aji"]) == pytest.approx(16 / 40)
    assert float(a["dice_1"]) == pytest.approx(32 / 56, abs=1e-6)
    assert float(b["pq"]) == 1.0


def test_evaluate_when_an_image_lacks_a_class_then_its_cells_are_empty(run: Callable, tmp_path: Path) -> None:
    for folder in ("pred", "truth"):
        write_labels(tmp_path / folder / "a.tif", _line((1, 6), (0, 6)))
        write_labels(tmp_path / folder / "b.tif", _line((2, 6), (0, 6)))

    table = tmp_path / "images.csv"
    run("evaluate", tmp_path / "pred", tmp_path / "truth", "--target", "semantic", "--table", table)

    assert [(row["dice_1"], row["dice_2"]) for row in _rows(table)] == [("1", ""), ("", "1")]
    assert "ap_0.50" not in _rows(table)[0]


def test_evaluate_when_objects_are_listed_then_each_has_size_and_partner(
    run: Callable, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    objects = tmp_path / "objects.csv"

    run("evaluate", *folders, "--target", "instances", "--objects", objects, "--voxel-size", "0.5,0.5")

    rows = _rows(objects)
    assert [(r["image"], r["side"], r["label"], r["matched"]) for r in rows] == [
        ("a", "truth", "1", "yes"),
        ("a", "truth", "2", "no"),
        ("a", "prediction", "4", "yes"),
        ("b", "truth", "3", "yes"),
        ("b", "prediction", "1", "yes"),
    ]
    assert rows[0] | {"partner": "4", "iou": "0.8", "voxels": "20", "size_um": "5", "class": ""} == rows[0]
    assert rows[1]["partner"] == ""


def test_evaluate_when_classes_are_listed_then_their_pieces_are_the_objects(run: Callable, tmp_path: Path) -> None:
    write_labels(tmp_path / "truth.tif", _line((1, 4), (0, 2), (1, 4), (2, 4)))
    write_labels(tmp_path / "pred.tif", _line((1, 4), (0, 6), (1, 4)))  # the last piece is of the wrong class

    objects = tmp_path / "objects.csv"
    run("evaluate", tmp_path / "pred.tif", tmp_path / "truth.tif", "--target", "semantic", "--objects", objects)

    found = [(r["side"], r["class"], r["voxels"], r["matched"], r["size_um"]) for r in _rows(objects)]
    assert found == [
        ("truth", "1", "8", "yes", ""),
        ("truth", "1", "8", "no", ""),
        ("prediction", "1", "8", "yes", ""),
        ("prediction", "1", "8", "no", ""),
        ("truth", "2", "8", "no", ""),
    ]


@pytest.fixture
def squares(tmp_path: Path) -> tuple[Path, Path]:
    """A square moved by 2 px of 0.25 µm in `a`; in `b` a square that was not found."""
    truth, pred = np.zeros((2, 20, 20), int)
    truth[5:10, 5:10] = pred[7:12, 5:10] = 1
    image = Image(np.zeros((20, 20)), "YX", (0.25, 0.25))
    for name, found in (("a", pred), ("b", np.zeros_like(pred))):
        write_labels(tmp_path / "truth" / f"{name}.tif", truth, image)
        write_labels(tmp_path / "pred" / f"{name}.tif", found)
    return tmp_path / "pred", tmp_path / "truth"


def test_evaluate_when_distances_are_wanted_then_they_are_in_the_micrometres_of_the_files(
    run: Callable, squares: tuple[Path, Path], tmp_path: Path
) -> None:
    ran = run("evaluate", *squares, "--tolerance", "0.25", "--table", tmp_path / "images.csv", "--json")

    found = ran.json["surface"]
    assert (found["unit"], found["tolerance"]) == ("um", 0.25)
    assert found["hausdorff"] == {"1": pytest.approx(0.5)}  # of the image that has both masks
    assert found["n_infinite"] == {"1": 1}
    dice = found["dice"]["1"]
    assert 0 < dice < 0.5  # with the image where nothing was found
    assert ran.json["interval"]["surface"]["dice"]["1"] == [0.0, pytest.approx(2 * dice)]
    assert "HD95 [µm]" in ran.out
    a, b = _rows(tmp_path / "images.csv")
    assert (a["hausdorff_1"], b["hausdorff_1"], b["surface_dice_1"]) == ("0.5", "inf", "0")


def test_evaluate_when_the_voxel_size_is_given_then_it_wins_over_the_files(
    run: Callable, squares: tuple[Path, Path]
) -> None:
    found = run("evaluate", *squares, "--distances", "--voxel-size", "3,1", "--json").json["surface"]

    assert found["hausdorff"] == {"1": pytest.approx(6.0)}
    assert found["tolerance"] is None
    assert found["dice"] == {"1": None}


def test_evaluate_when_no_file_tells_its_voxel_size_then_distances_are_in_voxels(
    run: Callable, squares: tuple[Path, Path]
) -> None:
    ran = run("evaluate", squares[0], squares[0], "--distances", "--json")

    assert ran.json["surface"]["unit"] == "voxel"
    assert "in voxels" in ran.err
    assert "HD95 [voxels]" in ran.out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--tolerance", "-1"), "tolerance is -1"),
        (("--tolerance", "1"), "voxel size of 'a' is not known"),
        (("--distances", "--voxel-size", "1,1,1"), "'a' cannot be compared: the voxel size 1,1,1"),
        (("--voxel-size", "0,1"), "voxel size '0,1' cannot be used"),
        (("--voxel-size", "small"), "voxel size 'small' cannot be read"),
        (("--table", "scores.txt"), "ends in .csv"),
        (("--objects", "."), "ends in .csv"),
        (("--table", "{here}/pred/a.tif/images.csv"), "images.csv' cannot be written"),
    ],
)
def test_evaluate_when_an_option_cannot_be_used_then_says_so(
    run: Callable, squares: tuple[Path, Path], tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    ran = run("evaluate", squares[0], squares[0], *(one.format(here=tmp_path) for one in options))

    assert ran.code == 2
    assert message in ran.error


def test_evaluate_when_a_file_is_a_time_series_then_it_has_no_distances(run: Callable, tmp_path: Path) -> None:
    image = Image(np.zeros((3, 4, 4)), "TYX", (1.0, 1.0))
    for name in ("pred", "truth"):
        write_labels(tmp_path / name / "a.ome.tif", np.ones((3, 4, 4), int), image)

    assert "time series" in run("evaluate", tmp_path / "pred", tmp_path / "truth", "--distances").error


def test_evaluate_when_only_some_files_tell_their_voxel_size_then_does_not_mix_units(
    run: Callable, squares: tuple[Path, Path]
) -> None:
    write_labels(squares[1] / "b.tif", np.zeros((20, 20), int))

    assert "'b' is not known" in run("evaluate", *squares, "--distances").error


def test_evaluate_when_nothing_is_there_then_distances_are_nowhere(run: Callable, tmp_path: Path) -> None:
    for folder in ("pred", "truth"):
        for name in ("a", "b"):
            write_labels(tmp_path / folder / f"{name}.tif", np.zeros((4, 4), np.uint8))

    found = run("evaluate", tmp_path / "pred", tmp_path / "truth", "--distances", "--json").json

    assert found["surface"]["hausdorff"] == {}
    assert found["interval"]["mean_dice"] == [1.0, 1.0]
