"""`napari-unet pretrain`: a model from images alone, and a training that starts from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_unet.core.io import write_image
from napari_unet.core.store.spec import read_spec
from napari_unet.core.store.training_set import save_sample
from tests.core.phantoms import blobs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran

QUICK = ("--budget", "2steps", "--patch", "16", "--batch", "1", "--device", "cpu", "--precision", "fp32")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for seed in range(2):
        write_image(folder / f"s{seed}.tif", blobs(seed, (32, 32), 3, 4.0).image)
    return folder


def test_pretrain_when_done_then_a_training_starts_from_its_model(
    run: Callable[..., Ran], images: Path, tmp_path: Path
) -> None:
    ran = run("pretrain", images, "--out", tmp_path / "pre", *QUICK, "--json")
    assert ran.code == 0
    assert (ran.json["n_images"], ran.json["steps"], ran.json["restored"]) == (2, 2, None)
    assert not read_spec(tmp_path / "pre").can_segment
    assert not (tmp_path / "pre.checkpoint").exists()
    save_sample(tmp_path / "data", blobs(0, (32, 32), 3, 4.0, name="s0"))
    assert run("train", tmp_path / "data", "--start", tmp_path / "pre", "--out", tmp_path / "new", *QUICK).code == 0
    assert read_spec(tmp_path / "new").parent == "pre"


def test_pretrain_when_channels_lie_in_files_then_they_are_one_image(
    run: Callable[..., Ran], images: Path, tmp_path: Path
) -> None:
    ran = run("pretrain", images, "--out", tmp_path / "pre", *QUICK, "--channels", "0,1", "--json")
    assert ran.json["n_images"] == 1
    assert read_spec(tmp_path / "pre").channels == 2


def test_pretrain_when_the_folder_exists_then_it_is_refused(run: Callable[..., Ran], images: Path) -> None:
    ran = run("pretrain", images, "--out", images, *QUICK)
    assert (ran.code, "exists already" in ran.error) == (2, True)
