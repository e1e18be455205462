"""`python -m napari_unet`: the same as `napari-unet`, for launchers that start modules."""

from __future__ import annotations

import sys

from napari_unet.launch import main

if __name__ == "__main__":
    sys.exit(main())
