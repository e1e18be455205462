"""What rebuilds a network: numbers and names only, each of them checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from napari_unet.core.base.errors import UserError

LIMITS = {"in_channels": 64, "out_channels": 256, "depth": 7, "base": 256, "max_channels": 4096, "convs": 4}
"""Upper bounds: a shared file must not be able to ask for all of the memory."""

CHOICES: dict[str, tuple[object, ...]] = {
    "dims": (2, 3),
    "padding": ("same", "valid"),
    "norm": ("batch", "batch-renorm", "instance", "group", "none"),
    "up": ("nearest", "transpose", "linear"),
    "wide_first": (True, False),
    "block": ("plain", "residual", "dense"),
    "deep_supervision": (True, False),
}

TABLES = ("strides", "kernels")
MOST_BLOCKS = 12
"""Of a level."""


@dataclass(frozen=True)
class NetConfig:
    """Describe an encoder-decoder network.

    Parameters
    ----------
    dims : {2, 3}
        Spatial axes.
    in_channels, out_channels : int
        Channels of the image and of the network's output.
    depth : int
        Number of poolings.
    base : int
        Channels of the first level; level k has ``min(base * 2**k, max_channels)``.
    max_channels : int or None
        The cap on channels; None is no cap (Ronneberger 2015).
    convs : int
        Convolutions a level.
    padding : {"same", "valid"}
        `valid` convolutions shrink the output and crop the skips, as in the papers; U-Net only.
    norm : {"batch", "batch-renorm", "instance", "group", "none"}
        With `instance` and `group` a voxel sees the whole image, so that tiles have to be blended.
    up : {"nearest", "transpose", "linear"}
        How the decoder gets back to a finer level.
    strides : tuple of tuples of int, or empty
        Pooling per level and axis; empty is 2 on every axis. ``(1, 2, 2)`` keeps a coarse Z.
    kernels : tuple of tuples of int, or empty
        Kernel per level and axis, `depth` + 1 of them; empty is 3 on every axis.
    wide_first : bool
        The first convolution of a level makes half of the channels (3D U-Net, Cicek 2016).
    block : {"plain", "residual", "dense"}
        What a level is made of, in the networks that leave it open.
    deep_supervision : bool
        Heads at the coarser levels of the decoder as well, for training.
    blocks : tuple of int, or empty
        Blocks of each level of a residual encoder, `depth` + 1 of them; empty is the network's own choice.
    """

    dims: int = 2
    in_channels: int = 1
    out_channels: int = 1
    depth: int = 4
    base: int = 16
    max_channels: int | None = 320
    convs: int = 2
    padding: str = "same"
    norm: str = "batch"
    up: str = "nearest"
    strides: tuple[tuple[int, ...], ...] = ()
    kernels: tuple[tuple[int, ...], ...] = ()
    wide_first: bool = False
    block: str = "plain"
    deep_supervision: bool = False
    blocks: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name, limit in LIMITS.items():
            value = getattr(self, name)
            if value is None and name == "max_channels":
                continue
            if type(value) is not int or not 1 <= value <= limit:
                raise UserError(f"A network with {name} = {value!r} is not possible.", f"Use 1 to {limit}.")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise UserError(
                    f"A network with {name} = {getattr(self, name)!r} is not possible.", f"Use one of {allowed}."
                )
        self._check_table("strides", self.strides, self.depth, (1, 2))
        self._check_table("kernels", self.kernels, self.depth + 1, (1, 3))
        self._check_blocks()
        if self.padding == "valid" and (self.block != "plain" or self.deep_supervision):
            raise UserError(
                "Without padding there are plain blocks and one output only.", "Use the padding 'same' for others."
            )

    def _check_table(self, name: str, table: tuple[tuple[int, ...], ...], rows: int, allowed: tuple[int, ...]) -> None:
        if not table:
            return
        if len(table) != rows or any(len(row) != self.dims or not set(row) <= set(allowed) for row in table):
            raise UserError(
                f"The {name} {table} do not fit a {self.dims}D network with {self.depth} poolings.",
                f"Give {rows} rows of {self.dims} numbers, each of them {allowed[0]} or {allowed[1]}.",
            )

    def _check_blocks(self) -> None:
        if not self.blocks:
            return
        if len(self.blocks) != self.depth + 1 or not set(self.blocks) <= set(range(1, MOST_BLOCKS + 1)):
            raise UserError(
                f"The blocks {self.blocks} do not fit a network with {self.depth} poolings.",
                f"Give {self.depth + 1} numbers from 1 to {MOST_BLOCKS}.",
            )

    def stride(self, level: int) -> tuple[int, ...]:
        """Give the pooling from `level` to the next coarser one, per axis."""
        return self.strides[level] if self.strides else (2,) * self.dims

    def kernel(self, level: int) -> tuple[int, ...]:
        """Give the kernel of a level's convolutions, per axis."""
        return self.kernels[level] if self.kernels else (3,) * self.dims

    def width(self, level: int) -> int:
        """Give the channels of a level."""
        wide = self.base << level
        return wide if self.max_channels is None else min(wide, self.max_channels)

    def multiple(self) -> tuple[int, ...]:
        """Give the number of voxels, per axis, that a tile has to be a multiple of."""
        sizes = [1] * self.dims
        for level in range(self.depth):
            sizes = [size * stride for size, stride in zip(sizes, self.stride(level), strict=True)]
        return tuple(sizes)

    def to_dict(self) -> dict[str, Any]:
        """Give plain values for a JSON file."""
        return asdict(self)

    @staticmethod
    def from_dict(values: dict[str, Any]) -> NetConfig:
        """Rebuild a configuration from a JSON file's values; what an older version did not write is as it was then.

        Raises
        ------
        UserError
            When a name is unknown or a value is out of bounds.
        """
        try:
            tables: dict[str, Any] = {
                name: tuple(tuple(int(n) for n in row) for row in values[name]) for name in TABLES if name in values
            }
            if "blocks" in values:
                tables["blocks"] = tuple(int(n) for n in values["blocks"])
            return NetConfig(**(values | tables))
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"The network of this model cannot be built: {error}.", "Is the model from a newer version?"
            ) from error
