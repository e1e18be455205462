"""Fixtures and settings that every floor's tests share."""

from __future__ import annotations

import os
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SHARED = Path(__file__).parents[1].parent / "shared" / "data"
JOB_THREADS = "napari-unet-job"

_settings = tempfile.TemporaryDirectory(prefix="napari-unet-tests-")
# Read when napari is first imported, so set before any test module is:
# make_napari_viewer resets napari's settings, which must not be the developer's own.
os.environ["NAPARI_CONFIG"] = str(Path(_settings.name, "settings.yaml"))
# A widget without a parent that outlives its test is an error, not a warning.
os.environ["NAPARI_STRICT_QT"] = "raise"


def pytest_unconfigure() -> None:
    _settings.cleanup()


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder with real images; skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the real images of ../shared/data are not here")
    return SHARED


@pytest.fixture(autouse=True)
def models_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test its own empty model library, so that none sees the developer's models or another test's."""
    home = tmp_path / "napari-unet-home"
    monkeypatch.setenv("NAPARI_UNET_HOME", str(home))
    return home


@pytest.fixture(autouse=True)
def no_job_left() -> Iterator[None]:
    """Fail the test that leaves a job's thread running; neither pytest-qt nor napari notices one."""
    yield
    jobs = [thread for thread in threading.enumerate() if thread.name.startswith(JOB_THREADS)]
    for thread in jobs:
        thread.join(timeout=5)
    left = [thread.name for thread in jobs if thread.is_alive()]
    if left:
        pytest.fail(f"still running after the test: {', '.join(left)}")
