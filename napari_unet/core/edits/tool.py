"""What a tool tells about itself: title, key, and the parameters that a person chooses, read from its signature."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, make_dataclass
from inspect import getdoc, signature
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from napari_unet.core.base.errors import UserError
from napari_unet.core.edits.edit import LabelEdit

EditFunction = Callable[..., LabelEdit]
"""``(labels, selection, **parameters) -> LabelEdit``; pure, raises `UserError` where it cannot be done."""


def asks(label: str, help: str, **metadata: Any) -> dict[str, Any]:
    """Describe a parameter that a person chooses, inside ``Annotated[type, asks(...)]``.

    Parameters
    ----------
    label, help : str
        What a form shows.
    **metadata
        `unit`, `min`, `max`, `step`, `choices`, as in ``core.base.options``.
    """
    return {"label": label, "help": help, **metadata}


Unit = Annotated[
    str,
    asks("In", "px: voxels along each axis; µm: true lengths, from the voxel size.", choices=("px", "µm")),
]
Reach = Annotated[float, asks("Distance", "How far the boundary moves.", min=0.1, max=1000.0, step=0.5)]

Needs = Literal["one", "some", "any", "none"]
"""How many objects have to be selected: exactly one, one or more, none or more (none is all of them), none at all."""

Span = Literal["chosen", "steps", "all"]
"""What of the labels a tool is given."""


@dataclass(frozen=True)
class Tool:
    """A correction tool; called like its function.

    Parameters
    ----------
    edit : function
        ``(labels, selection, **parameters) -> LabelEdit``.
    title : str
        What its button says.
    key : str
        Its shortcut as napari writes it; empty without one.
    needs : str
        How many objects have to be selected.
    no_classes : str
        Why it makes no sense where labels are classes; empty where it does.
    span : str
        What it is given: the objects in the shown slice or in the stack, as the user chose; the whole stack or series,
        with the axis from slice to slice; or all labels.
    is_whole : bool
        It reads all of what it is given, or changes very much of it: beside the window, where that is large.
    """

    edit: EditFunction
    title: str
    key: str = ""
    needs: Needs = "some"
    no_classes: str = ""
    span: Span = "chosen"
    is_whole: bool = False

    def __call__(self, *args: Any, **parameters: Any) -> LabelEdit:
        """Do what the function does."""
        return self.edit(*args, **parameters)

    @property
    def tip(self) -> str:
        """Say what it does: the first line of the function's docstring."""
        return (getdoc(self.edit) or "").partition("\n")[0]

    def takes(self) -> frozenset[str]:
        """Name all parameters, those of the form and those that are filled in."""
        return frozenset(signature(self.edit).parameters) - {"labels", "selection"}

    def parameters(self) -> type | None:
        """Make a dataclass of the parameters that a person chooses, as a form reads it; None without any."""
        hints = get_type_hints(self.edit, include_extras=True)
        asked = [
            (name, hint, parameter.default)
            for name, parameter in signature(self.edit).parameters.items()
            if get_origin(hint := hints[name]) is Annotated
        ]
        rows: list[tuple[str, Any, Any]] = []
        for name, hint, default in asked:
            kind, described = get_args(hint)
            rows.append((name, kind, field(default=default, metadata=described)))
        return make_dataclass("Parameters", rows, frozen=True) if rows else None


def sampling_of(unit: str, voxel_size: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    """Give the length of a voxel's edges in a unit: 1 in px, the voxel size in µm.

    Raises
    ------
    UserError
        When the unit is unknown, or is µm and the voxel size is not known.
    """
    if unit == "px":
        return (1.0,) * ndim
    if unit != "µm":
        raise UserError(f"'{unit}' is no unit of length here.", "Use px or µm.")
    if voxel_size is None:
        raise UserError("The voxel size of this image is not known.", "Give it in the Segment tab, or use px.")
    if len(voxel_size) != ndim or min(voxel_size) <= 0:
        raise UserError(
            f"The voxel size {tuple(voxel_size)} does not fit {ndim}D labels.", "Give one length for each axis."
        )
    return tuple(float(edge) for edge in voxel_size)


def check_length(value: float, name: str) -> None:
    """Refuse a length that is not above 0.

    Raises
    ------
    UserError
        Naming the parameter.
    """
    if not 0 < value < float("inf"):
        raise UserError(f"{name} is {value:g}.", "Give a number above 0.")
