"""Build hook: put the manifest into the package where the checkout could not make a symbolic link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ManifestHook(BuildHookInterface):  # type: ignore[type-arg]
    """Copy napari.yaml over a link that is missing or was checked out as text (Windows, ZIP download)."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make napari_unet/napari.yaml equal to napari.yaml; a good link is left as it is."""
        source = Path(self.root, "napari.yaml")
        target = Path(self.root, "napari_unet", "napari.yaml")
        if source.is_file() and (not target.exists() or target.read_bytes() != source.read_bytes()):
            target.unlink(missing_ok=True)
            target.write_bytes(source.read_bytes())
