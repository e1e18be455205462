"""`napari-unet evaluate`: pairs, groups and figures that were computed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

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
