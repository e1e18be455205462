"""The targets: one file each, one line in `TARGETS`."""

from __future__ import annotations

from napari_unet.core.base.errors import UserError
from napari_unet.core.targets.base import DecodeSettings, Encoded, Target, Term
from napari_unet.core.targets.instances import Instances
from napari_unet.core.targets.restoration import Restoration
from napari_unet.core.targets.semantic import Semantic

__all__ = ["PRETRAINED", "TARGETS", "DecodeSettings", "Encoded", "Target", "Term", "get_target"]

TARGETS: dict[str, Target] = {
    "instances": Instances(),
    "semantic": Semantic(),
}
"""What can be segmented."""

PRETRAINED: dict[str, Target] = {
    "restoration": Restoration(),
}
"""What a network learns from images alone, to be trained on one of the others afterwards."""


def get_target(name: str) -> Target:
    """Find a target by name.

    Raises
    ------
    UserError
        When there is no target of that name.
    """
    known = TARGETS | PRETRAINED
    if name not in known:
        raise UserError(f"There is no target '{name}'.", f"Choose one of: {', '.join(TARGETS)}.")
    return known[name]
