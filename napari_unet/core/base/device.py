"""Which device computes, and in plain words why."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from napari_unet.core.base.errors import UserError

BF16_MUST_GAIN = 1.3
"""bf16 is used where the self-test runs this many times faster than fp32; below it the rounding is not worth it."""


@dataclass(frozen=True)
class Device:
    """A device and the reason it was chosen.

    Parameters
    ----------
    name : {"cpu", "cuda", "mps"}
        As torch names it.
    words : str
        One line for the user.
    """

    name: str
    words: str


def choose_device(wanted: str = "auto") -> Device:
    """Choose the device: a GPU that works, else the CPU with the reason.

    Raises
    ------
    UserError
        When a device is asked for by name and cannot be used.
    """
    cuda, mps = _cuda_problem(), _mps_problem()
    if wanted == "cpu":
        return Device("cpu", f"CPU, {os.cpu_count()} cores: chosen by you")
    if wanted in ("auto", "cuda") and cuda is None:
        free = torch.cuda.mem_get_info()[0] / 2**30
        return Device("cuda", f"{torch.cuda.get_device_name()}, {free:.0f} GiB free")
    if wanted in ("auto", "mps") and mps is None:
        return Device("mps", "Apple GPU")
    if wanted != "auto":
        reason = cuda if wanted == "cuda" else mps
        raise UserError(f"The device '{wanted}' cannot be used: {reason}.", "Choose auto or cpu.")
    return Device("cpu", f"CPU, {os.cpu_count()} cores: {cuda}")


def _cuda_problem() -> str | None:
    """Say why CUDA cannot be used; None when it can."""
    if not torch.backends.cuda.is_built():  # type: ignore[no-untyped-call]
        return "torch has no CUDA build"
    if not torch.cuda.is_available():
        return "no NVIDIA GPU or driver was found"
    try:
        torch.zeros(1, device="cuda").add_(1)
    except RuntimeError as error:  # a driver that is too old, or no kernels for this GPU
        return f"the GPU does not work with this torch ({str(error).splitlines()[0]})"
    return None


def _mps_problem() -> str | None:
    return None if torch.backends.mps.is_available() else "there is no Apple GPU"


def choose_dtype(precision: str, device: str) -> torch.dtype:
    """Choose the numbers that a network computes with.

    Parameters
    ----------
    precision : {"auto", "fp32", "bf16", "fp16"}
        What the user asked for.
    device : {"cpu", "cuda", "mps"}
        Where it runs. On MPS always float32: half precision has given wrong results there.

    Raises
    ------
    UserError
        When fp16 is asked for on a processor, whose convolutions are many times slower with it.
    """
    if precision == "fp32" or device == "mps":
        return torch.float32
    if precision == "bf16":
        return torch.bfloat16
    if precision == "fp16":
        if device == "cpu":
            raise UserError("fp16 is for GPUs; the network runs on the CPU.", "Choose auto, fp32 or bf16.")
        return torch.float16
    if device == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if bf16_pays() else torch.float32


@cache
def bf16_pays() -> bool:
    """Test on this processor whether bf16 convolutions are faster; once per process, about 50 ms."""
    return convolution_seconds(torch.float32) >= BF16_MUST_GAIN * convolution_seconds(torch.bfloat16)


def convolution_seconds(dtype: torch.dtype, channels: int = 32, size: int = 192, dims: int = 2) -> float:
    """Time a convolution of 3 px on this processor: CPU seconds, the best of a few.

    Parameters
    ----------
    dtype : dtype
        What it computes with.
    channels, size, dims : int
        Of its input and output.
    """
    conv = (nn.Conv2d if dims == 2 else nn.Conv3d)(channels, channels, 3, padding=1, bias=False).eval()
    layout = torch.channels_last if dims == 2 else torch.channels_last_3d
    image = torch.rand(1, channels, *(size,) * dims).to(dtype).to(memory_format=layout)
    with torch.inference_mode():
        return _fastest(conv.to(dtype).to(memory_format=layout), image)  # type: ignore[call-overload]  # missing in the stubs


def convolution_flop(channels: int = 32, size: int = 192, dims: int = 2) -> int:
    """Count what `convolution_seconds` computes, a multiplication and an addition as two."""
    return 2 * channels * channels * int(3**dims) * int(size**dims)


@cache
def flop_per_second() -> float:
    """Measure what this processor computes in a second with all of torch's threads, as fast as it can."""
    dtype = torch.bfloat16 if bf16_pays() else torch.float32
    return convolution_flop() / convolution_seconds(dtype) * torch.get_num_threads()


def _fastest(conv: nn.Module, image: torch.Tensor) -> float:
    times = []
    for _ in range(4):
        # Thread time, not wall time: another program on the machine must not decide.
        start = time.process_time()
        conv(image)
        times.append(time.process_time() - start)
    return min(times)


def warm_up() -> None:
    """Load what torch loads at the first training, a second of imports that would make the window stutter then."""
    torch.optim.AdamW([torch.zeros(1, requires_grad=True)])
