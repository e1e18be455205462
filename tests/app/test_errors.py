"""What the user reads when something goes wrong."""

from __future__ import annotations

import errno
import subprocess
import sys

import pytest

from napari_unet.app.errors import describe_error, is_out_of_memory


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "model"), "disk is full", "room"),
        (PermissionError(errno.EACCES, "denied", "model"), "permission to use model", "folder"),
        (FileNotFoundError(errno.ENOENT, "no such file", "a.tif"), "a.tif is not there", "Choose"),
        (OSError("stale handle"), "stale handle", "disk"),
        (ImportError("No module named 'edt'"), "edt", "Install"),
        (ValueError("first\nsecond"), "ValueError: first", "report"),
        (ValueError(), "no message", "report"),
    ],
)
def test_describe_error_when_a_kind_is_known_then_message_and_hint_fit(error, message, hint):
    found = describe_error(error)
    assert message in found[0]
    assert "second" not in found[0]
    assert hint in found[1]


def test_describe_error_when_torch_fails_to_load_after_qt_then_the_launcher_is_named():
    error = OSError("c10.dll")
    error.winerror = 1114
    assert "napari-unet" in describe_error(error)[1]


def test_is_out_of_memory_when_asked_then_torch_is_not_imported():
    code = (
        "import sys; from napari_unet.app.errors import is_out_of_memory as f;"
        "assert not f(RuntimeError('x')) and f(RuntimeError('CUDA out of memory')); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_is_out_of_memory_when_torch_is_loaded_then_its_error_counts():
    torch = pytest.importorskip("torch")
    assert is_out_of_memory(torch.OutOfMemoryError("no text of it"))
