"""Options of commands from the dataclasses that the dock makes its forms of, so that nothing is typed twice."""

from __future__ import annotations

import functools
import inspect
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_type_hints

import typer

from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable

DataArgument = Annotated[
    Path,
    typer.Argument(
        metavar="DATA", help="A folder with images/ and labels/ of the same names, or with train/ that has them."
    ),
]
InputsArgument = Annotated[list[str], typer.Argument(metavar="INPUT...", help="Images, folders of them, or patterns.")]
ModelFolderOption = Annotated[
    Path, typer.Option(metavar="MODEL_DIR", help="The new model's folder; it must not exist yet.")
]
LimitOption = Annotated[int | None, typer.Option(metavar="N", min=1, help="Use the first N images by name.")]
LabelsOption = Annotated[str, typer.Option(metavar="FOLDER", help="Folder of the labels inside DATA.")]
ChannelsOption = Annotated[
    str, typer.Option(metavar="_FLAIR,_T1", help="Ends of file names that are the channels of one image.")
]
AxesOption = Annotated[
    str | None, typer.Option(metavar="ZYX", help="A letter of TCZYX for each axis, where files do not tell.")
]
VoxelSizeOption = Annotated[
    str | None, typer.Option(metavar="0.5,0.2,0.2", help="µm for each spatial axis; wins over the files.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="End with one line of JSON.")]


def with_options(kind: type[Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command one option for each field of a dataclass.

    Parameters
    ----------
    kind : type
        A frozen dataclass whose fields have `label`, `help` and, where they have one, `unit` and `choices` in their
        metadata.

    Returns
    -------
    callable
        Decorates a command that takes the dataclass as `options`. An option that is not given keeps its default.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = {n: p for n, p in inspect.signature(command).parameters.items() if n != "options"}
        hints = get_type_hints(command, include_extras=True)
        made = _annotations(kind)

        @functools.wraps(command)
        def run(**given: Any) -> None:
            chosen = {name: value for name in made if (value := given.pop(name)) is not None}
            command(**given, options=kind(**chosen))

        # typer reads the signature and the annotations of what it is given, and follows __wrapped__ to the original.
        del run.__wrapped__
        keyword = inspect.Parameter.KEYWORD_ONLY
        parameters = [p.replace(annotation=hints[n], kind=keyword) for n, p in own.items()]
        parameters += [inspect.Parameter(n, keyword, default=None, annotation=a) for n, a in made.items()]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # a documented attribute
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _annotations(kind: type[Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {one.name: Annotated[hints[one.name] | None, _option(one, hints[one.name])] for one in fields(kind)}


def _option(one: Any, hint: Any) -> Any:
    """Describe one field: its choices or its unit stand where the value goes."""
    meta = one.metadata
    plain = next((t for t in get_args(hint) if t is not type(None)), hint)
    names = {int: "INTEGER", float: "NUMBER"}
    value = "|".join(meta["choices"]) if "choices" in meta else names.get(plain, "TEXT")
    if meta.get("unit"):
        value = meta["unit"].upper()
    default = "automatic" if one.default is None else one.default
    return typer.Option(f"--{one.name.replace('_', '-')}", metavar=value, help=f"{meta['help']} Default: {default}.")


def parse_channels(text: str) -> tuple[str, ...]:
    """Read ``_FLAIR,_T1``: the ends of file names that are the channels of one image; none where there is no text.

    Raises
    ------
    UserError
        When an end is empty or there twice: a file would be two channels.
    """
    ends = tuple(part.strip() for part in text.split(",")) if text else ()
    if "" in ends or len(set(ends)) < len(ends):
        raise UserError(f"The channels '{text}' cannot be used.", "Write different ends of names, such as _FLAIR,_T1.")
    return ends


def parse_voxel_size(text: str | None) -> tuple[float, ...] | None:
    """Read ``0.5,0.2,0.2``: µm for each spatial axis.

    Raises
    ------
    UserError
        When it is no list of numbers.
    """
    if text is None:
        return None
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError as error:
        raise UserError(
            f"The voxel size '{text}' cannot be read.", "Write µm for each spatial axis, such as 0.5,0.2,0.2."
        ) from error
