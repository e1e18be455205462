"""The targets: one file each, one line in `TARGETS`."""

from __future__ import annotations

from napari_unet.core.base.errors import UserError
from napari_unet.core.targets.base import DecodeSettings, Encoded, Target, Term
from napari_unet.core.targets.instances import Instances
from napari_unet.core.targets.semantic import Semantic

__all__ = ["TARGETS", "DecodeSettings", "Encoded", "Target", "Term", "get_target"]

TARGETS: dict[str, Target] = {
    "instances": Instances(),
    "semantic": Semantic(),
}


def get_target(name: str) -> Target:
    """Find a target by name.

    Raises
    ------
    UserError
        When there is no target of that name.
    """
    if name not in TARGETS:
        raise UserError(f"There is no target '{name}'.", f"Choose one of: {', '.join(TARGETS)}.")
    return TARGETS[name]
