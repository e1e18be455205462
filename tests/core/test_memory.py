"""Memory that large arrays leave behind is used again at once, and given back at the end."""

from __future__ import annotations

import platform

import pytest
import torch

from napari_unet.core.base.memory import reused_memory

resource = pytest.importorskip("resource")


def _faults(n_mebibytes):
    """Allocate and fill an array: pages that the system had to hand out."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(n_mebibytes * 2**20, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other systems' memory is left alone")
def test_reused_memory_when_an_array_follows_a_larger_one_then_gets_its_pages_until_the_end():
    with reused_memory():
        with reused_memory():
            _faults(256)
        again = _faults(200)
    afterwards = _faults(200)
    assert again < 1000
    assert afterwards > 10 * again
