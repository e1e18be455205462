"""Fixtures that every floor's tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Give the folder with real images; skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the real images of ../shared/data are not here")
    return SHARED
