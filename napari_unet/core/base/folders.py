"""Where this program keeps what it can make again."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs

HOME = "NAPARI_UNET_HOME"
"""Environment variable with the folder of models, training sets and labels of large images."""


def cache_folder() -> Path:
    """Give the folder of what may be deleted at any time; it may not exist yet."""
    chosen = os.environ.get(HOME)
    return Path(chosen) / "cache" if chosen else Path(platformdirs.user_cache_dir("napari-unet", appauthor=False))
