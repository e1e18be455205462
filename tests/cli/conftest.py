"""A tiny model, and a way to run commands."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
import torch

from napari_unet.cli import main

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

torch.set_num_threads(1)  # two threads on a busy machine wait for each other


@dataclass(frozen=True)
class Ran:
    """What a command left: its status and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Read the last line of stdout."""
        return json.loads(self.out.strip().splitlines()[-1])

    @property
    def error(self) -> str:
        """Give the one line that says what is wrong."""
        lines = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err + self.out
        return lines[0]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ran]:
    def run_command(*arguments: object) -> Ran:
        code = main([str(one) for one in arguments])
        captured = capsys.readouterr()
        return Ran(code, captured.out, captured.err)

    return run_command


def _save(folder: Path, target: str) -> Path:
    from napari_unet.core.store.models import initial_model, save_model
    from napari_unet.core.store.spec import ModelSpec
    from napari_unet.core.targets import get_target

    classes = {"semantic": ("tissue", "bone"), "restoration": ("gray",)}.get(target, ())
    n_out = get_target(target).n_outputs(2, len(classes))
    config = {"dims": 2, "in_channels": 1, "out_channels": n_out, "base": 4, "depth": 1}
    spec = ModelSpec("tiny", "unet", config, target, dims=2, channels=1, classes=classes, description="For tests.")
    save_model(initial_model(spec), folder)
    return folder


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("models") / "tiny", "instances")


@pytest.fixture(scope="session")
def tiny_classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("models") / "tiny-classes", "semantic")


@pytest.fixture(scope="session")
def tiny_pretrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _save(tmp_path_factory.mktemp("models") / "tiny-pretrained", "restoration")
