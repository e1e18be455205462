"""What there is to choose from: a name and where its code is, one line each.

The dock's forms and the command line's options are made of these names, so they must be known without torch: the code
behind a name is loaded when it is first used.
"""

from __future__ import annotations

from collections.abc import Mapping
from pkgutil import resolve_name
from typing import Any

from napari_unet.core.base.errors import UserError

_NETS, _LOSSES, _AUGMENT = "napari_unet.core.nets", "napari_unet.core.losses", "napari_unet.core.augment"
_OPTIMISE = "napari_unet.core.pipeline.optimise"

NETS: dict[str, str] = {
    "unet": f"{_NETS}.unet:unet",
    "fcn": f"{_NETS}.fcn:fcn",
    "attention-unet": f"{_NETS}.attention_unet:attention_unet",
    "unet-plus-plus": f"{_NETS}.unet_plus_plus:UNetPlusPlus",
    "res-unet": f"{_NETS}.res_unet:res_unet",
    "residual-encoder-unet": f"{_NETS}.residual_encoder_unet:residual_encoder_unet",
    "dense-unet": f"{_NETS}.dense_unet:dense_unet",
    "trans-unet": f"{_NETS}.trans_unet:trans_unet",
    "swin-unet": f"{_NETS}.swin_unet:swin_unet",
}
"""Networks: a callable that makes a module of a ``NetConfig``."""

LOSSES: dict[str, str] = {
    "dice_ce": f"{_LOSSES}.dice_ce:dice_ce",
    "ce": f"{_LOSSES}.ce:ce",
    "dice": f"{_LOSSES}.dice:dice",
    "jaccard": f"{_LOSSES}.jaccard:jaccard",
    "focal": f"{_LOSSES}.focal:focal",
    "tversky": f"{_LOSSES}.tversky:tversky",
    "dice_focal": f"{_LOSSES}.dice_focal:dice_focal",
    "boundary": f"{_LOSSES}.boundary:boundary",
    "hausdorff": f"{_LOSSES}.hausdorff:hausdorff",
}
"""Losses of classes: ``(logits, target, weight)``; one channel of logits is foreground against background."""

MAP_LOSSES: dict[str, str] = {
    "smooth_l1": f"{_LOSSES}.regression:smooth_l1",
    "masked_mse": f"{_LOSSES}.regression:masked_mse",
}
"""Losses of distances and vectors; the target chooses them, not the user."""

AUGMENTS: dict[str, str] = {
    "microscopy": f"{_AUGMENT}.presets:MICROSCOPY",
    "few-cells": f"{_AUGMENT}.presets:FEW_CELLS",
    "fluorescence": f"{_AUGMENT}.presets:FLUORESCENCE",
    "brightfield": f"{_AUGMENT}.presets:BRIGHTFIELD",
    "histology": f"{_AUGMENT}.presets:HISTOLOGY",
    "em": f"{_AUGMENT}.presets:EM",
    "mri": f"{_AUGMENT}.presets:MRI",
    "ct": f"{_AUGMENT}.presets:CT",
    "aerial": f"{_AUGMENT}.presets:AERIAL",
    "none": f"{_AUGMENT}.presets:NONE",
}
"""Augmentation, one preset for each kind of image: a pair of a ``SpatialRecipe`` and an ``IntensityRecipe``."""

OPTIMISERS: dict[str, str] = {
    "adamw": f"{_OPTIMISE}:adamw",
    "adam": f"{_OPTIMISE}:adam",
    "sgd": f"{_OPTIMISE}:sgd",
}

SCHEDULES: dict[str, str] = {
    "linear": f"{_OPTIMISE}:linear",
    "cosine": f"{_OPTIMISE}:cosine",
    "one-cycle": f"{_OPTIMISE}:one_cycle",
    "plateau": f"{_OPTIMISE}:plateau",
}

ENGINES: dict[str, str] = {
    "torch": "napari_unet.core.pipeline.engine:Engine",
    "openvino": "napari_unet.core.pipeline.openvino_engine:OpenVinoEngine",
}
"""What runs a trained network: a callable with the parameters and the interface of ``pipeline.engine.Engine``."""


def look_up(table: Mapping[str, str], name: str, kind: str) -> Any:
    """Load what a name stands for.

    Parameters
    ----------
    table : mapping of str to str
        One of the tables above.
    name : str
        The key.
    kind : str
        What the table holds, for the message: network, loss, ...

    Raises
    ------
    UserError
        When the table has no such name.
    """
    if name not in table:
        raise UserError(f"There is no {kind} '{name}'.", f"Choose one of: {', '.join(table)}.")
    return resolve_name(table[name])
