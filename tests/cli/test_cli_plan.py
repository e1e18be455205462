"""`napari-unet plan`: what it prints, and for which data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_unet.core.store.training_set import save_sample
from tests.core.phantoms import blobs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No step is taken to see how long it takes."""
    from napari_unet.core.pipeline import cost

    monkeypatch.setattr(cost, "_step", lambda network, image: 0.1)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for seed in range(2):
        save_sample(folder, blobs(seed, (48, 48), 5, 5.0, name=f"s{seed}"))
    return folder


def test_plan_when_given_a_training_set_then_prints_each_decision(run: Callable[..., Ran], data: Path) -> None:
    ran = run("plan", data, "--device", "cpu", "--json")
    assert ran.code == 0
    for start in ("Data: 2 images in 2D", "Voxel size:", "Patch: 48 x 48", "Network: U-Net", "Batch:", "Time:"):
        assert start in ran.out
    assert ran.json["patch"] == [48, 48]
    assert ran.json["config"]["in_channels"] == 1
    assert len(ran.json["words"]) >= 8
    assert "--net plan" in ran.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--net", "accurate"], "The plan chooses the network"),
        (["--dims", "3"], "3D model was asked for"),
        (["--labels", "masks"], "holds no training set"),
    ],
)
def test_plan_when_options_do_not_fit_then_says_why(
    run: Callable[..., Ran], data: Path, arguments: list[str], words: str
) -> None:
    ran = run("plan", data, *arguments)
    assert ran.code == 2
    assert words in ran.error


def test_plan_when_an_image_is_in_two_files_then_has_two_channels(run: Callable[..., Ran], shared_data: Path) -> None:
    arguments = ("--channels", "_FLAIR,_T1", "--target", "semantic", "--device", "cpu", "--json")
    ran = run("plan", shared_data / "ms_lesions", *arguments)
    assert ran.json["config"]["in_channels"] == 2
    assert ran.json["voxel_size"] == [1000.0, 1000.0, 1000.0]
