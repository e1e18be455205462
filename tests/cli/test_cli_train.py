"""`napari-unet train`: from scratch and from a model, for a few steps."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_unet.app import commands
from napari_unet.app.requests import FineTuneRequest, Training
from napari_unet.cli.train import _describe
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.progress import silent
from napari_unet.core.io import write_image, write_labels
from napari_unet.core.store.spec import read_spec
from napari_unet.core.store.training_set import Sample
from napari_unet.core.synthetic import nuclei_2d

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Save three small images with nuclei, as a training set inside of train/."""
    folder = tmp_path / "data" / "train"
    for seed in range(3):
        sample = nuclei_2d(seed=seed, shape=(64, 64), n=5)
        write_image(folder / "images" / f"n{seed}.tif", sample.image)
        write_labels(folder / "labels" / f"n{seed}.tif", sample.labels, sample.image)
    return tmp_path / "data"


def test_train_when_from_scratch_then_writes_a_model_that_can_be_used(
    run: Callable, data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new"

    ran = run("train", data, "--out", out, "--budget", "2steps", "--limit", 2, "--seed", 3, "--patch", 32, "--json")

    assert ran.code == 0, ran.err
    assert "Learning from 2 images" in ran.err
    spec = read_spec(out)
    assert (spec.name, spec.target, spec.dims, spec.seed) == ("new", "instances", 2, 3)
    assert (ran.json["model"], ran.json["n_images"], ran.json["parent"]) == (str(out), 2, None)
    assert run("segment", data / "train" / "images", "--model", out, "--out", tmp_path / "labels").code == 0


def test_train_when_from_a_model_then_the_new_one_names_its_parent(
    run: Callable, data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "tuned"

    ran = run("train", data, "--out", out, "--from", tiny_model, "--budget", "2steps", "--json")

    assert ran.code == 0, ran.err
    assert read_spec(out).parent == "tiny"
    assert ran.json["parent"] == "tiny"
    assert f"Saved in {out}" in ran.out


def test_train_when_from_a_version_then_it_starts_from_the_base_with_the_labels_from_before(
    run: Callable, data: Path, tiny_model: Path, tmp_path: Path, models_home: Path
) -> None:
    base = models_home / "models" / "base"
    shutil.copytree(tiny_model, base)
    before = nuclei_2d(seed=9, shape=(64, 64), n=5)
    request = FineTuneRequest(
        base,
        samples=(Sample(before.image, before.labels, None, "before"),),
        options=TrainOptions(budget="2steps"),
        keep_worse=True,
    )
    commands.fine_tune(request, silent, lambda: False)

    ran = run("train", data, "--out", tmp_path / "new", "--from", "base-ft-1", "--budget", "2steps")

    assert ran.code == 0, ran.err
    assert "It starts from 'base', with 1 more image of the versions of 'base-ft-1'." in ran.err
    spec = read_spec(tmp_path / "new")
    assert (spec.parent, spec.training["lineage"]) == ("base-ft-1", ["base", "base-ft-1"])
    assert set(spec.data) == {"before", "n0", "n1", "n2"}
    assert "Lineage: base -> base-ft-1" in run("models", "show", "base-ft-1").out


def test_train_when_started_from_a_model_then_the_new_one_has_no_parent_but_other_weights(
    run: Callable, data: Path, tiny_model: Path, tmp_path: Path
) -> None:
    budget = ["--net", "fast", "--budget", "2steps", "--patch", 32]
    assert run("train", data, "--out", tmp_path / "one", *budget).code == 0

    ran = run("train", data, "--out", tmp_path / "two", *budget, "--start", tmp_path / "one", "--json")

    assert ran.code == 0, ran.err
    assert ran.json["parent"] is None
    assert read_spec(tmp_path / "two").weights_sha256 != read_spec(tmp_path / "one").weights_sha256


def test_train_when_a_model_is_both_parent_and_start_then_refuses(run: Callable, data: Path, tmp_path: Path) -> None:
    ran = run("train", data, "--out", tmp_path / "new", "--from", "nuclei-2d", "--start", "nuclei-2d")

    assert ran.code == 2
    assert "--from and --start" in ran.error


def test_train_when_interrupted_then_the_same_command_goes_on(
    run: Callable, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_unet.core.pipeline.run import Run

    command = ["train", data, "--out", tmp_path / "new", "--budget", "4steps", "--patch", 32]
    usual, steps = Run.step, []

    def step(self: Run) -> object:
        if len(steps) == 3:
            raise KeyboardInterrupt
        steps.append(1)
        return usual(self)

    monkeypatch.setattr(Run, "step", step)
    assert run(*command).code == 130
    assert (tmp_path / "new.checkpoint").is_dir()
    monkeypatch.setattr(Run, "step", usual)

    ran = run(*command)

    assert ran.code == 0, ran.err
    assert read_spec(tmp_path / "new").training["steps"] == 4
    assert not (tmp_path / "new.checkpoint").exists()


# --- in two processes ---


def torchrun(*arguments: object) -> subprocess.CompletedProcess[str]:
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [sys.executable, "-m", *launcher, "-m", "napari_unet", *map(str, arguments)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=300)


def test_train_when_torchrun_starts_two_processes_then_one_model_is_saved_and_told_of_once(
    data: Path, tmp_path: Path
) -> None:
    ran = torchrun("train", data, "--out", tmp_path / "new", "--budget", "2steps", "--patch", 32, "--device", "cpu")

    assert ran.returncode == 0, ran.stderr
    assert read_spec(tmp_path / "new").training["steps"] == 2
    assert ran.stdout.count("Saved in") == ran.stderr.count("Learning from 3 images") == 1


def test_train_when_torchrun_starts_two_processes_and_the_data_are_missing_then_says_so_once(tmp_path: Path) -> None:
    ran = torchrun("train", tmp_path / "nowhere", "--out", tmp_path / "new", "--device", "cpu")

    assert ran.returncode != 0
    (line,) = [line for line in (ran.stdout + ran.stderr).splitlines() if line.startswith("error: ")]
    assert "nowhere" in line
    assert "Traceback" not in ran.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--target", "semantic"], "has the target instances"),
        (["--dims", "3"], "has the dims 2"),
        (["--net", "accurate"], "keeps its network"),
    ],
)
def test_train_when_options_need_another_network_than_the_parents_then_refuses(
    run: Callable, data: Path, tiny_model: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    ran = run("train", data, "--out", tmp_path / "new", "--from", tiny_model, *options)

    assert ran.code == 2
    assert message in ran.error


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--budget", "soon"], "budget 'soon'"),
        (["--labels", "missing"], "training set"),
        (["--channels", "_FLAIR,_T1"], "No image for the labels"),
        (["--dims", "3"], "3D model was asked for"),
    ],
)
def test_train_when_what_is_asked_does_not_fit_the_data_then_says_so(
    run: Callable, data: Path, tmp_path: Path, options: list[str], message: str
) -> None:
    ran = run("train", data, "--out", tmp_path / "new", *options)

    assert ran.code == 2
    assert message in ran.error
    assert not (tmp_path / "new").exists()


def test_train_when_the_folder_exists_then_refuses_before_it_reads_anything(run: Callable, tmp_path: Path) -> None:
    ran = run("train", tmp_path / "nowhere", "--out", tmp_path)

    assert ran.code == 2
    assert "exists already" in ran.error


def test_train_when_labels_do_not_fit_the_image_then_names_it(run: Callable, data: Path, tmp_path: Path) -> None:
    write_labels(data / "train" / "labels" / "n1.tif", np.ones((5, 5), int))

    ran = run("train", data, "--out", tmp_path / "new")

    assert ran.code == 2
    assert "n1" in ran.error


@pytest.mark.parametrize(
    ("training", "words"),
    [
        (Training("m", None, "p", True, 0.5, 0.6, 12, "regions"), "0.500 before, 0.600 after: better or equal"),
        (Training("m", None, "p", False, 0.5, 0.4, 12, "regions", reason="It fell"), "keep the old model. It fell."),
        (Training("m", None, "", True, float("nan"), 0.7), "held out: 0.700"),
        (Training("m", None, "p", True, float("nan"), float("nan")), "look at the result yourself"),
    ],
)
def test_describe_when_a_training_has_ended_then_says_what_it_is_worth(training: Training, words: str) -> None:
    assert words in " ".join(_describe(training))
