"""Start a training from the weights of another model, where they fit."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_unet.core.base.errors import UserError
from napari_unet.core.nets.transfer import NEW, transfer
from napari_unet.core.store.models import Model

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig


def follow(start: Model, *, dims: int, in_channels: int, out_channels: int) -> tuple[str, NetConfig]:
    """Give the network of a model, fitted to other data.

    Parameters
    ----------
    start : Model
        Whose network is taken.
    dims, in_channels, out_channels : int
        Of the data; where a 2D network becomes one in 3D, planes are pooled as rows and columns are.

    Raises
    ------
    UserError
        When a 3D network is asked to become one in 2D.
    """
    config = start.net_config
    if dims < config.dims:
        raise UserError(
            f"'{start.spec.name}' is a 3D model; the images are 2D.", "Start from a 2D model, or give stacks."
        )
    if dims > config.dims:
        strides, kernels = (tuple((row[0], *row) for row in table) for table in (config.strides, config.kernels))
        config = replace(config, strides=strides, kernels=kernels, dims=dims)
    return start.spec.net, replace(config, dims=dims, in_channels=in_channels, out_channels=out_channels)


def take_weights(first: Model, start: Model) -> Model:
    """Replace a new model's random weights by those of another model, where they fit.

    Parameters
    ----------
    first : Model
        With random weights.
    start : Model
        What is taken from; its last layer only where it has learnt the same classes.

    Raises
    ------
    UserError
        When the networks are too different.
    """
    goal, source, weights = first.spec, start.spec, start.weights
    if (goal.target, goal.classes) != (source.target, source.classes):
        # Also where the number of outputs happens to agree: they mean something else.
        weights = {name: value for name, value in weights.items() if not name.startswith(NEW)}
    found = transfer(weights, (source.net, start.net_config), (goal.net, first.net_config), goal.seed)
    text = (
        f"Its training started from '{source.name}': {found.n_taken} arrays of weights come from there, "
        f"{found.n_new} began as random numbers."
    )
    return Model(replace(goal, parent=source.name, description=text), found.weights)
