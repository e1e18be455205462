"""The device: a GPU that works, else the CPU with the reason in words."""

from __future__ import annotations

import pytest
import torch

from napari_unet.core.base import device
from napari_unet.core.base.device import bf16_pays, choose_device, choose_dtype
from napari_unet.core.base.errors import UserError


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be a machine with some devices."""

    def pretend(*, built=False, available=False, works=True, mps=False):
        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: built)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (8 * 2**30, 16 * 2**30))
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "GPU X")
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
        zeros = torch.zeros

        def on_gpu(*size, **options):
            if options.pop("device", None) == "cuda" and not works:
                raise RuntimeError("CUDA error: no kernel image is available\nmore lines")
            return zeros(*size, **options)

        monkeypatch.setattr(torch, "zeros", on_gpu)

    return pretend


@pytest.mark.parametrize(
    ("have", "name", "words"),
    [
        ({}, "cpu", "no CUDA build"),
        ({"built": True}, "cpu", "no NVIDIA GPU or driver"),
        ({"built": True, "available": True, "works": False}, "cpu", "no kernel image is available)"),
        ({"built": True, "available": True}, "cuda", "GPU X, 8 GiB free"),
        ({"mps": True}, "mps", "Apple"),
    ],
)
def test_choose_device_when_automatic_then_takes_what_works_and_says_why(machine, have, name, words):
    machine(**have)
    chosen = choose_device()
    assert chosen.name == name
    assert words in chosen.words


@pytest.mark.parametrize(("wanted", "words"), [("cuda", "no CUDA build"), ("mps", "no Apple GPU")])
def test_choose_device_when_one_is_asked_for_that_is_not_there_then_says_why(machine, wanted, words):
    machine()
    with pytest.raises(UserError, match=words):
        choose_device(wanted)


def test_choose_device_when_the_cpu_is_asked_for_then_is_taken_beside_a_gpu(machine):
    machine(built=True, available=True)
    assert choose_device("cpu").name == "cpu"


@pytest.mark.parametrize(
    ("precision", "name", "pays", "dtype"),
    [
        ("fp32", "cpu", True, torch.float32),
        ("bf16", "cpu", False, torch.bfloat16),
        ("bf16", "mps", True, torch.float32),
        ("fp16", "mps", True, torch.float32),
        ("fp16", "cuda", True, torch.float16),
        ("auto", "cpu", True, torch.bfloat16),
        ("auto", "cpu", False, torch.float32),
        ("auto", "mps", True, torch.float32),
    ],
)
def test_choose_dtype_when_asked_then_uses_half_precision_only_where_it_helps(
    monkeypatch, precision, name, pays, dtype
):
    monkeypatch.setattr(device, "bf16_pays", lambda: pays)
    assert choose_dtype(precision, name) == dtype


def test_choose_dtype_when_fp16_is_asked_for_on_a_processor_then_says_what_to_choose():
    with pytest.raises(UserError, match="fp16") as caught:
        choose_dtype("fp16", "cpu")
    assert "bf16" in caught.value.hint


@pytest.mark.parametrize(("slow", "fast", "pays"), [(1.0, 0.5, True), (1.0, 0.9, False), (1.0, 2.0, False)])
def test_bf16_pays_when_the_self_test_runs_then_follows_the_times(monkeypatch, slow, fast, pays):
    times = {torch.float32: slow, torch.bfloat16: fast}
    monkeypatch.setattr(device, "convolution_seconds", times.__getitem__)
    assert bf16_pays.__wrapped__() is pays
