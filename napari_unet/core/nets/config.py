"""What rebuilds a network: numbers and names only, each of them checked."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from napari_unet.core.base.errors import UserError

LIMITS = {"in_channels": 64, "out_channels": 256, "depth": 7, "base": 256, "max_channels": 4096, "convs": 4}
"""Upper bounds: a shared file must not be able to ask for all of the memory."""


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
        `valid` convolutions shrink the output and crop the skips, as in the papers.
    norm : {"batch", "instance", "none"}
        `batch` can be tiled exactly; `instance` cannot.
    up : {"nearest", "transpose"}
        How the decoder gets back to a finer level.
    strides : tuple of tuples of int, or empty
        Pooling per level and axis; empty is 2 on every axis. ``(1, 2, 2)`` keeps a coarse Z.
    kernels : tuple of tuples of int, or empty
        Kernel per level and axis, `depth` + 1 of them; empty is 3 on every axis.
    wide_first : bool
        The first convolution of a level makes half of the channels (3D U-Net, Cicek 2016).
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

    def __post_init__(self) -> None:
        for name, limit in LIMITS.items():
            value = getattr(self, name)
            if value is None and name == "max_channels":
                continue
            if type(value) is not int or not 1 <= value <= limit:
                raise UserError(f"A network with {name} = {value!r} is not possible.", f"Use 1 to {limit}.")
        _one_of("dims", self.dims, (2, 3))
        _one_of("padding", self.padding, ("same", "valid"))
        _one_of("norm", self.norm, ("batch", "instance", "none"))
        _one_of("up", self.up, ("nearest", "transpose"))
        _one_of("wide_first", self.wide_first, (True, False))
        self._check_table("strides", self.strides, self.depth, (1, 2))
        self._check_table("kernels", self.kernels, self.depth + 1, (1, 3))

    def _check_table(self, name: str, table: tuple[tuple[int, ...], ...], rows: int, allowed: tuple[int, ...]) -> None:
        if not table:
            return
        if len(table) != rows or any(len(row) != self.dims or not set(row) <= set(allowed) for row in table):
            raise UserError(
                f"The {name} {table} do not fit a {self.dims}D network with {self.depth} poolings.",
                f"Give {rows} rows of {self.dims} numbers, each of them {allowed[0]} or {allowed[1]}.",
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
        """Rebuild a configuration from a JSON file's values.

        Raises
        ------
        UserError
            When a name is unknown or a value is out of bounds.
        """
        try:
            tables: dict[str, Any] = {
                name: tuple(tuple(int(n) for n in row) for row in values[name])
                for name in ("strides", "kernels")
                if name in values
            }
            return NetConfig(**(values | tables))
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"The network of this model cannot be built: {error}.", "Is the model from a newer version?"
            ) from error


def _one_of(name: str, value: object, allowed: tuple[object, ...]) -> None:
    if value not in allowed:
        raise UserError(f"A network with {name} = {value!r} is not possible.", f"Use one of {allowed}.")
