"""What is autosaved of a labels layer, and how it becomes labels and states again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_unet.app.annotations import Corrections, checked_box
from napari_unet.app.copies import copied
from napari_unet.app.large import crop
from napari_unet.app.result import Result
from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.store.journal_writer import newest_revision

if TYPE_CHECKING:
    from napari_unet.app.annotations import Box, Labels
    from napari_unet.core.base.image import Image
    from napari_unet.core.store.autosave import ImageId, Saved
    from napari_unet.core.store.journal import Arrays, Revision

VERSION = 1
SETS = ("accepted", "unsure", "edited")


@dataclass(frozen=True, eq=False)
class Draft:
    """Keep what is to be written, as it was at one moment.

    Parameters
    ----------
    about : mapping of str to JSON
        The image, and counts to tell the user what there is.
    state : mapping of str to JSON
        What the user said, and the model.
    arrays : dict of str to array
        The labels, a copy; the prediction they are compared with; background strokes and painted classes.
    """

    about: Mapping[str, Any]
    state: Mapping[str, Any] = field(repr=False)
    arrays: Arrays = field(repr=False)

    @property
    def is_blank(self) -> bool:
        """Tell whether there is nothing to lose: no label, and nothing that the user said."""
        said = any(self.state[name] for name in (*SETS, "done")) or "background" in self.arrays
        return not said and not self.arrays["labels"].any() and not self.arrays["predicted"].any()


@dataclass(frozen=True, eq=False)
class Restored:
    """Give a labels layer back.

    Parameters
    ----------
    labels : integer array
        As they were shown.
    result : Result
        What belonged to them, without the network's output.
    classes : tuple of str
        Names of the classes 1..K; empty for objects.
    title : str
        The name of the layer.
    box : Box or None
        Of a large image, the part that the labels are of; `result.image` is that part.
    """

    labels: Labels = field(repr=False)
    result: Result
    classes: tuple[str, ...] = ()
    title: str = ""
    box: Box | None = None


def take_draft(
    image: ImageId,
    labels: Labels,
    result: Result,
    classes: Sequence[str] = (),
    title: str = "",
    box: Box | None = None,
    out: Labels | None = None,
) -> Draft:
    """Copy what is to be saved; the user may go on painting.

    Parameters
    ----------
    image : ImageId
        Of the image that the labels belong to, the whole where they are of a part.
    labels : integer array
        The layer's array; copied.
    result : Result
        What is kept for the layer.
    classes, title, box
        As in `Restored`.
    out : integer array or None
        Takes the copy if it fits, as in `copied`.
    """
    c = result.corrections
    arrays: Arrays = {"labels": copied(labels, out), "predicted": c.predicted}
    arrays |= {k: a for k, a in (("background", c.background), ("painted", c.painted)) if a is not None}
    state = {
        "version": VERSION,
        "title": title,
        "box": None if box is None else _bounds(box),
        "model": result.model,
        "made_by": dict(result.made_by),
        "semantic": c.semantic,
        "classes": list(classes),
        **{name: sorted(getattr(c, name)) for name in SETS},
        "done": [_bounds(one) for one in c.done],
        "confidence": {str(one): round(value, 6) for one, value in result.confidence.items()},
    }
    counts = {"accepted": len(c.accepted), "unsure": len(c.unsure), "done": len(c.done)}
    return Draft({"image": image.to_json(), "title": title, **counts}, state, arrays)


def load(saved: Saved, image: Image) -> Restored:
    """Read what was saved; the files stay.

    Raises
    ------
    UserError
        As in `restore`, or when nothing of it can be read any more.
    """
    found = newest_revision(saved.folder, arrays=True)
    if found.revision is None:
        raise ReadError(f"The saved labels cannot be read: {found.damage}.", f"The files are in '{saved.folder}'.")
    return restore(found.revision, image)


def restore(revision: Revision, image: Image) -> Restored:
    """Make labels and states of what was saved.

    Parameters
    ----------
    revision : Revision
        With its arrays.
    image : Image
        That the labels belong to, whole.

    Raises
    ------
    UserError
        When they do not fit the image.
    ReadError
        When what was saved is not what this version writes.
    """
    state, arrays = revision.state, revision.arrays
    if state.get("version") != VERSION:
        raise ReadError(
            f"The saved labels are of the version {state.get('version')}; {VERSION} can be read.",
            "Open them with the version of napari-unet that saved them.",
        )
    try:
        box = None if state["box"] is None else checked_box(_slices(state["box"]), image.label_shape)
        image = image if box is None else crop(image, box)
        labels, predicted = arrays["labels"], arrays["predicted"]
        shapes = {array.shape for array in arrays.values()}
        if shapes != {image.label_shape}:
            raise UserError(
                f"The saved labels have the shape {labels.shape}; '{image.name}' needs {image.label_shape}.",
                "Read the axes of the image as they were, in the Segment tab.",
            )
        masks = {name: arrays[name].astype(bool) for name in ("background", "painted") if name in arrays}
        for array in (predicted, *masks.values()):
            array.flags.writeable = False
        accepted, unsure, edited = (frozenset(int(one) for one in state[name]) for name in SETS)
        corrections = Corrections(
            predicted,
            accepted=accepted,
            unsure=unsure,
            edited=edited,
            background=masks.get("background"),
            painted=masks.get("painted"),
            done=tuple(checked_box(_slices(one), labels.shape) for one in state["done"]),
            semantic=bool(state["semantic"]),
        )
        sure = {int(one): float(value) for one, value in state["confidence"].items()}
        result = Result(image, corrections, None, str(state["model"]), sure, dict(state["made_by"]))
        return Restored(labels, result, tuple(str(name) for name in state["classes"]), str(state["title"]), box)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ReadError(f"The saved labels cannot be read: {error}.", "Please report it; the file is kept.") from error


def _bounds(box: Box) -> list[list[int]]:
    return [[int(part.start), int(part.stop)] for part in box]


def _slices(bounds: Sequence[tuple[int, int]]) -> Box:
    return tuple(slice(int(start), int(stop)) for start, stop in bounds)
