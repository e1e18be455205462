"""The networks: one file each, one line in the catalogue; a preset is one line in `PRESETS`."""

from __future__ import annotations

from dataclasses import replace

from torch import nn

from napari_unet.core.base.catalogue import NETS, look_up
from napari_unet.core.base.errors import UserError
from napari_unet.core.nets.config import NetConfig

PRESETS: dict[str, tuple[str, NetConfig]] = {
    "fast": ("unet", NetConfig(base=16)),
    "accurate": ("unet", NetConfig(base=32)),
    "classic-2015": (
        "unet",
        NetConfig(base=64, max_channels=None, padding="valid", norm="none", up="transpose", out_channels=2),
    ),
    "unet3d-2016": (
        "unet",
        NetConfig(
            dims=3, in_channels=3, out_channels=3, depth=3, base=64, max_channels=None, padding="valid",
            up="transpose", wide_first=True,
        ),
    ),
}  # fmt: skip

DEPTH_3D = 3
"""Poolings of the 3D presets: three halvings already see 64 voxels around each voxel."""


def build(net: str, config: NetConfig) -> nn.Module:
    """Build a network by name.

    Raises
    ------
    UserError
        When there is no network of that name, or it cannot do without padding.
    """
    make = look_up(NETS, net, "network")
    if config.padding == "valid" and net != "unet":
        raise UserError(f"The network '{net}' needs padding.", "Use padding 'same', or the network 'unet'.")
    return make(config)  # type: ignore[no-any-return]  # the catalogue holds names


def preset(name: str, *, dims: int, in_channels: int, out_channels: int) -> tuple[str, NetConfig]:
    """Give the network and configuration of a preset, fitted to the data.

    Parameters
    ----------
    name : str
        A key of `PRESETS`, or the name of a network, which then has the widths of the preset `fast`.
    dims, in_channels, out_channels : int
        Spatial axes, channels of the image, channels of the target.

    Raises
    ------
    UserError
        When there is no preset of that name, or it is not made for `dims`.
    """
    if name not in PRESETS and name not in NETS:
        raise UserError(f"There is no preset '{name}'.", f"Choose one of: {', '.join((*PRESETS, *NETS))}.")
    net, config = PRESETS[name] if name in PRESETS else (name, PRESETS["fast"][1])
    if name in ("classic-2015", "unet3d-2016") and config.dims != dims:
        raise UserError(f"The preset '{name}' is for {config.dims}D; the data are {dims}D.", "Choose fast or accurate.")
    depth = config.depth if config.dims == dims else DEPTH_3D
    return net, replace(config, dims=dims, depth=depth, in_channels=in_channels, out_channels=out_channels)
