"""One thread and one hypothesis profile for all tests of core."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, settings

from napari_unet.core.base.catalogue import NETS
from tests.core.phantoms import blobs, learn, oracle_model, tiny_spec

torch.set_num_threads(1)  # two threads on a busy machine wait for each other
settings.register_profile(  # the same examples every time: a red run is a bug that was just made
    "core", deadline=None, max_examples=30, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("core")


@pytest.fixture
def oracle(monkeypatch):
    """Give a model that needs no training: it reads foreground and distance off the intensity of `blobs`."""
    monkeypatch.setitem(NETS, "oracle", "tests.core.phantoms:Oracle")
    return oracle_model


@pytest.fixture(scope="session")
def taught():
    """Give a tiny model that has over-fitted one phantom, and that phantom."""
    sample = blobs(seed=1)
    return learn(tiny_spec(object_size=None), [sample], steps=120), sample
