"""`napari-unet search`: the table of trials, the best model and the command to train it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_unet.core.store.training_set import save_sample
from tests.core.phantoms import blobs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.cli.conftest import Ran

QUICK = ("--patch", "32", "--batch", "1", "--device", "cpu", "--precision", "fp32")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for seed in range(4):
        save_sample(tmp_path / "data", blobs(seed, (32, 32), 3, 4.0, name=f"s{seed}"))
    return tmp_path / "data"


def test_search_when_done_then_its_command_trains_the_best_network(
    run: Callable[..., Ran], data: Path, tmp_path: Path
) -> None:
    out = tmp_path / "found"
    ran = run("search", data, "--out", out, "--budget", "0.001s", "--trial-budget", "1steps", *QUICK, "--json")
    assert ran.code == 0
    assert "dice_ce" in ran.out
    assert ran.json["trials"][0]["state"] == "complete"
    command = ran.json["command"].split()
    assert command[:2] == ["napari-unet", "train"]
    arguments = [str(tmp_path / "new") if one == "MODEL_DIR" else one for one in command[1:]]
    assert run(*arguments, "--budget", "1steps").code == 0


@pytest.mark.parametrize(("budget", "words"), [("5steps", "has a time"), ("soon", "cannot be read")])
def test_search_when_the_budget_is_no_time_then_says_so(
    run: Callable[..., Ran], data: Path, tmp_path: Path, budget: str, words: str
) -> None:
    ran = run("search", data, "--out", tmp_path / "found", "--budget", budget)
    assert (ran.code, words in ran.error) == (2, True)
