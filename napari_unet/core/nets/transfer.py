"""Start a network from the weights of another: 2D to 3D, more or fewer channels, another head."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.core.base.errors import UserError
from napari_unet.core.nets import build

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig

SAME = ("depth", "base", "max_channels", "convs", "wide_first", "block", "blocks", "up")
"""What two networks must have in common for one to start from the other."""

NEW = ("head.", "coarse_heads.")
"""Beginnings of names that may start from nothing."""


@dataclass(frozen=True)
class Transferred:
    """Weights to start from.

    Parameters
    ----------
    weights : dict of str to Tensor
        All that the goal needs.
    n_taken, n_new : int
        Arrays of weights that were taken over, and that start anew.
    """

    weights: dict[str, Tensor] = field(repr=False)
    n_taken: int
    n_new: int


def transfer(
    weights: Mapping[str, Tensor], source: tuple[str, NetConfig], goal: tuple[str, NetConfig], seed: int = 0
) -> Transferred:
    """Bring the weights of one network into another that differs in dimensions, channels or head.

    Parameters
    ----------
    weights : mapping of str to Tensor
        The state of the source.
    source, goal : tuple of str and NetConfig
        Name and configuration of the network that the weights are of, and of the one that starts from them.
    seed : int
        Of what starts anew.

    Raises
    ------
    UserError
        When the networks differ in more than that.

    Notes
    -----
    A 2D kernel becomes the central plane of a 3D one, so that a stack starts as the 2D network would see each plane;
    kernels of an even size along Z are averaged over it, transposed ones repeated. New input channels begin with zero
    weights, so that they change nothing at first; where there are fewer, each gets the mean of the old ones, scaled so
    that an image with equal channels gives what it gave. Where the number of output channels differs, the head is new.
    """
    _check(source, goal)
    (_, old), (net, new) = source, goal
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(net, new)
    transposed = {
        f"{name}.weight"
        for name, part in network.named_modules()
        if isinstance(part, nn.ConvTranspose2d | nn.ConvTranspose3d)
    }
    out, n_new = {}, 0
    for name, start in network.state_dict().items():
        found = _adapt(weights[name], start, old, new, name in transposed) if name in weights else None
        if found is None and not _may_be_new(name, old, new):
            raise UserError(
                f"The weights {name} do not fit the new network.", "Start from a model of the same network and size."
            )
        out[name] = start.detach().clone() if found is None else found.detach().to(start.dtype).clone()
        n_new += found is None
    return Transferred(out, len(out) - n_new, n_new)


def _check(source: tuple[str, NetConfig], goal: tuple[str, NetConfig]) -> None:
    if source[0] != goal[0]:
        raise UserError(
            f"A '{goal[0]}' cannot start from a '{source[0]}'.", f"Choose the network '{source[0]}', or another model."
        )
    if source[1].dims > goal[1].dims:
        raise UserError("A 2D network cannot start from a 3D one.", "Start from a 2D model.")
    for name in SAME:
        ours, theirs = getattr(goal[1], name), getattr(source[1], name)
        if ours != theirs:
            raise UserError(
                f"The new network has {name} {ours}, the model that it starts from {theirs}.",
                f"Choose {name} {theirs}, or another model.",
            )


def _may_be_new(name: str, old: NetConfig, new: NetConfig) -> bool:
    """Say whether a weight may start from nothing: heads, and the places within windows when these get a third axis."""
    return name.startswith(NEW) or (name.endswith(".position") and old.dims != new.dims)


def _adapt(weight: Tensor, like: Tensor, old: NetConfig, new: NetConfig, is_transposed: bool) -> Tensor | None:
    """Bring a weight to the shape of another; None where that cannot be."""
    if weight.ndim == 4 and like.ndim == 5:
        weight = _inflate(weight, like.shape[2], is_transposed)
    more = new.in_channels - old.in_channels
    if more and weight.ndim == like.ndim >= 4 and like.shape[1] - weight.shape[1] == more:
        # Where the image is joined with features (dense blocks), its channels come first.
        image, features = weight[:, : old.in_channels], weight[:, old.in_channels :]
        weight = torch.cat((_fit_channels(image, new.in_channels), features), dim=1)
    return weight if weight.shape == like.shape else None


def _inflate(weight: Tensor, depth: int, is_transposed: bool) -> Tensor:
    """Turn a 2D kernel (A, B, Y, X) into a 3D one (A, B, depth, Y, X)."""
    repeated = weight[:, :, None].repeat(1, 1, depth, 1, 1)
    if is_transposed:  # each plane of its output comes from one plane of the kernel
        return repeated
    if depth % 2 == 0:
        return repeated / depth
    central = torch.zeros_like(repeated)
    central[:, :, depth // 2] = weight
    return central


def _fit_channels(weight: Tensor, n: int) -> Tensor:
    """Give a kernel (A, B, ...) another number of input channels."""
    extra = n - weight.shape[1]
    if extra >= 0:
        return torch.cat((weight, weight.new_zeros(weight.shape[0], extra, *weight.shape[2:])), dim=1)
    return weight.sum(1, keepdim=True).expand(-1, n, *weight.shape[2:]) / n
