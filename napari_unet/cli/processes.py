"""One command in several processes, as torchrun starts it: they work together, and one of them speaks and writes."""

from __future__ import annotations

import functools
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.world import World, world_around

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

T = TypeVar("T")


def one_speaks(command: Callable[..., None]) -> Callable[..., None]:
    """Let only the first of several processes report what is wrong; the others end quietly."""

    @functools.wraps(command)
    def run(**given: Any) -> None:
        try:
            command(**given)
        except UserError:
            if world_around().is_first:
                raise
            raise typer.Exit from None

    return run


@contextmanager
def joined(around: World, device: str) -> Iterator[Callable[[Callable[[], T]], T]]:
    """Join the processes that torchrun has started; give what runs a function in all, or fails in all."""
    if around.size == 1:
        yield lambda give: give()
        return
    from napari_unet.core.pipeline import distributed

    with distributed.joined(around, device):
        yield distributed.together


@contextmanager
def workplace(around: World, out: Path) -> Iterator[Path]:
    """Give the folder of the new model; all processes but the first write theirs where it is thrown away."""
    if around.is_first:
        yield out
        return
    with TemporaryDirectory(prefix="napari-unet-") as folder:
        yield Path(folder) / out.name
