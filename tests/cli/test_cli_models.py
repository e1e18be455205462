"""`napari-unet models list | show | architectures`."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from napari_unet.core.base.catalogue import NETS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def test_list_when_there_are_models_then_says_what_they_segment(
    run: Callable, models_home: Path, tiny_classes: Path
) -> None:
    shutil.copytree(tiny_classes, models_home / "models" / "my-tissue")

    ran = run("models", "list", "--json")

    assert ran.code == 0
    row = next(line for line in ran.out.splitlines() if line.startswith("my-tissue"))
    assert "tissue, bone" in row
    assert "2D" in row
    assert str(models_home / "models") in ran.out
    assert "my-tissue" in [one["name"] for one in ran.json["models"]]


def test_list_when_a_model_is_damaged_then_the_others_are_listed_and_it_is_named(
    run: Callable, models_home: Path, tiny_model: Path
) -> None:
    shutil.copytree(tiny_model, models_home / "models" / "good")
    shutil.copytree(tiny_model, models_home / "models" / "bad")
    (models_home / "models" / "bad" / "model.json").write_text("{")

    ran = run("models", "list")

    assert ran.code == 0
    assert "good" in ran.out
    assert "bad cannot be read" in ran.err


def test_show_when_given_a_folder_then_writes_its_card(run: Callable, tiny_model: Path) -> None:
    ran = run("models", "show", tiny_model, "--json")

    assert ran.code == 0
    assert "# tiny" in ran.out
    assert "For tests." in ran.out
    assert ran.json["target"] == "instances"


def test_show_when_the_card_is_missing_then_writes_the_description(
    run: Callable, models_home: Path, tiny_model: Path
) -> None:
    shutil.copytree(tiny_model, models_home / "models" / "plain")
    (models_home / "models" / "plain" / "card.md").unlink()

    assert "For tests." in run("models", "show", "plain").out


def test_show_when_there_is_no_such_model_then_names_it(run: Callable) -> None:
    ran = run("models", "show", "nobody")

    assert ran.code == 2
    assert "'nobody'" in ran.error


def test_architectures_when_listed_then_every_network_has_parameters_and_operations_in_2d_and_3d(run: Callable) -> None:
    ran = run("models", "architectures", "--json")

    assert ran.code == 0
    found = {(one["name"], one["dims"]): one for one in ran.json["networks"]}
    assert len(found) == 2 * len(NETS) >= 18
    assert found["unet", 2]["parameters"] == 1_963_809
    assert all(one["parameters"] > 0 and one["gflop"] > 0 for one in found.values())
    assert "1.964" in next(line for line in ran.out.splitlines() if line.startswith("unet "))


def test_architectures_when_size_and_channels_are_given_then_counts_for_these(run: Callable) -> None:
    small, large = (
        run("models", "architectures", "--dims", "2", "--size", size, "--channels", "3", "--json").json
        for size in ("120", "250")
    )

    assert {one["dims"] for one in small["networks"]} == {2}
    assert small["networks"][0]["shape"] == [128, 128]
    assert small["networks"][0]["parameters"] == 1_963_809 + 2 * 9 * 16
    assert large["networks"][0]["gflop"] == pytest.approx(4 * small["networks"][0]["gflop"])
