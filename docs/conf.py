"""Sphinx settings: Markdown pages, and nothing fetched while building."""

from __future__ import annotations

import napari_unet

project = "napari-unet"
author = "napari-unet developers"
version = release = napari_unet.__version__

extensions = ["myst_parser"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = project
