"""Turn what went wrong into a sentence and a next step, once, for dock and command line."""

from __future__ import annotations

import errno
import sys

from napari_unet.core.base.errors import UserError

MEMORY_TEXTS = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
BROKEN_GPU_TEXTS = ("device-side assert", "illegal memory access", "device lost", "unspecified launch failure")
MEMORY_HINT = "Close other programs, or choose a smaller tile or patch, or 'this view' instead of the whole image."
REPORT_HINT = "Nothing you made is lost. Please report it together with the details."


def describe_error(error: BaseException) -> tuple[str, str]:
    """Say in the user's words what happened and what to do.

    Parameters
    ----------
    error : BaseException
        What ended a job.

    Returns
    -------
    message, hint : str
        For `UserError` its own; for the others a text by kind: memory, a GPU that stopped, the disk, torch that
        cannot be loaded, and, at last, the bare error with the request to report it.
    """
    text = str(error)
    if isinstance(error, UserError):
        return error.message, error.hint
    if is_out_of_memory(error):
        return "There is not enough memory for this job.", MEMORY_HINT
    if isinstance(error, RuntimeError) and _mentions(text, BROKEN_GPU_TEXTS):
        return (
            "The graphics card stopped working in this session.",
            "Save your labels and restart napari; until then choose the device 'cpu'.",
        )
    if isinstance(error, OSError):
        return _describe_os_error(error)
    if isinstance(error, ImportError):
        return f"A part of the installation is missing: {text}.", "Install napari-unet again in this environment."
    first = text.strip().splitlines()[0] if text.strip() else "no message"
    return f"Something unexpected went wrong: {type(error).__name__}: {first}", REPORT_HINT


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that memory ran out, on the GPU or the CPU; does not import torch."""
    torch = sys.modules.get("torch")
    gpu_error = getattr(torch, "OutOfMemoryError", None)
    if isinstance(error, MemoryError) or (gpu_error is not None and isinstance(error, gpu_error)):
        return True
    # torch raises a plain RuntimeError when the CPU's memory runs out.
    return isinstance(error, RuntimeError) and _mentions(str(error), MEMORY_TEXTS)


def _mentions(text: str, words: tuple[str, ...]) -> bool:
    lower = text.lower()
    return any(word in lower for word in words)


def _describe_os_error(error: OSError) -> tuple[str, str]:
    if error.errno == errno.ENOSPC:
        return f"The disk is full: {error.filename or error}.", "Make room, then try again."
    if isinstance(error, PermissionError):
        return f"There is no permission to use {error.filename or 'a file'}.", "Choose another folder."
    if isinstance(error, FileNotFoundError):
        return f"{error.filename or error} is not there any more.", "Choose it once more."
    if getattr(error, "winerror", None) in (126, 1114):  # torch's libraries after Qt's, Windows only
        return (
            "torch could not be loaded because napari was started before it.",
            "Start napari with the command 'napari-unet', which loads torch first.",
        )
    return f"A file could not be used: {error}.", "Check the disk and the network share, then try again."
