"""`napari-unet demo`: the whole round, segment - correct - fine-tune - segment again, on a real image."""

# No `from __future__ import annotations`: typer reads them.

import csv
import io
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage as ndi

from napari_unet.app import annotations, commands, library
from napari_unet.app.merging import merge_prediction
from napari_unet.app.requests import FineTuneRequest, SegmentRequest, SegmentResult, Training
from napari_unet.app.teaching import take_snapshot
from napari_unet.cli import stand_in
from napari_unet.cli.console import progress_line, say, say_json
from napari_unet.cli.options import JsonOption
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import write_atomic
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.io import write_labels
from napari_unet.core.metrics.semantic import dice

MODEL = "nuclei-2d"
# Four regions that hold glands and the tissue between them: enough to keep one out of the training and judge on it.
REGIONS = (
    (slice(335, 455), slice(190, 310)),
    (slice(60, 160), slice(395, 495)),
    (slice(290, 390), slice(50, 150)),
    (slice(190, 290), slice(240, 340)),
)
BUDGET = "15s"
DEFAULT_FOLDER = Path("napari-unet-demo")
OUTLINE = (255, 235, 0)
REGION_OUTLINE = (0, 200, 255)


@dataclass(frozen=True, eq=False)
class Demo:
    """What the demo made.

    Parameters
    ----------
    image : Image
        The section.
    labels : (Y, X) int32
        Its nuclei after the whole round.
    files : tuple of Path
        Labels, picture and table.
    n_before, n_after : int
        Nuclei found at first and at the end.
    agreement_before, agreement_after : float, 0 to 1
        Dice with the blue stain outside the corrected regions.
    training : Training
        How the fine-tuning ended.
    """

    image: Image
    labels: NDArray[np.int32]
    files: tuple[Path, ...]
    n_before: int
    n_after: int
    agreement_before: float
    agreement_after: float
    training: Training


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where labels, picture and table go.")] = DEFAULT_FOLDER,
    as_json: JsonOption = False,
) -> None:
    """Segment an image that comes with scikit-image, correct, fine-tune, segment again."""
    found = run(out)
    if as_json:
        say_json(
            {
                "files": found.files,
                "n_before": found.n_before,
                "n_after": found.n_after,
                "agreement_before": found.agreement_before,
                "agreement_after": found.agreement_after,
                "accepted": found.training.accepted,
            }
        )


def run(out: Path, model: str | Path = MODEL, budget: str = BUDGET) -> Demo:
    """Go through the whole round without a window, and say what happens.

    Parameters
    ----------
    out : Path
        Folder for ``labels.tif``, ``overlay.png`` and ``objects.csv``; those of an earlier demo are replaced.
    model : str or Path
        The model to begin with.
    budget : str
        Of the fine-tuning.

    Returns
    -------
    Demo
        Also what the window shows.

    Raises
    ------
    UserError
        When there is no such model, or the files cannot be written.
    """
    folder = library.find_model(model)
    image = section()
    say(f"{image.name}: {image.describe()}, from scikit-image")
    first = _segment(image, folder)
    say(f"Segmented with '{first.model}': {_n_objects(first.labels)} nuclei.")
    blue = stand_in.blue_nuclei(image)
    labels, counts = stand_in.correct(first.labels, blue, REGIONS)
    say(
        "Nobody has drawn the truth of this image. In four regions a rule plays the person who corrects, by what the "
        f"blue stain shows: {counts['kept']} nuclei kept, {counts['deleted']} deleted, {counts['drawn']} drawn."
    )
    corrections = annotations.start(first.labels)
    for region in REGIONS:
        corrections = annotations.mark_done(corrections, region)
    with tempfile.TemporaryDirectory() as place:
        request = FineTuneRequest(
            folder,
            (take_snapshot(image, labels, corrections),),
            options=TrainOptions(budget=budget),
            out_folder=Path(place) / f"{folder.name}-demo",
        )
        with progress_line("fine-tuning") as show:
            training = commands.fine_tune(request, show, lambda: False)
        say(_judgement(training))
        second = first if training.folder is None else _segment(image, training.folder)
    merged, corrections = merge_prediction(corrections, labels, second.labels)
    final = merged.astype(np.int32)
    files = _write(out, image, final, annotations.states(corrections, merged))
    found = Demo(
        image,
        final,
        files,
        _n_objects(first.labels),
        _n_objects(final),
        _agreement(first.labels, blue),
        _agreement(second.labels, blue),
        training,
    )
    say(f"Segmented again, with the corrected regions kept as they are: {found.n_after} nuclei.")
    say(
        f"Agreement with the blue stain outside those regions (Dice): {found.agreement_before:.2f} before, "
        f"{found.agreement_after:.2f} after."
    )
    say("Wrote " + ", ".join(str(path) for path in files))
    return found


def section() -> Image:
    """Load the immunohistochemistry section that scikit-image carries: nuclei blue, a membrane protein brown.

    Raises
    ------
    UserError
        When this scikit-image carries it no more.
    """
    from skimage import data

    try:
        pixels = data.immunohistochemistry()  # type: ignore[no-untyped-call] # scikit-image has no types
    except (OSError, ImportError, ValueError) as error:
        raise UserError(f"scikit-image could not load its image: {error}.", "Install it once more.") from error
    return Image(np.ascontiguousarray(np.moveaxis(pixels, -1, 0)), "CYX", name="immunohistochemistry", rgb=True)


def _segment(image: Image, folder: Path) -> SegmentResult:
    with progress_line("segmenting") as show:
        return commands.segment(SegmentRequest(image, folder), show, lambda: False)


def _judgement(training: Training) -> str:
    scores = f"{training.before:.2f} before, {training.after:.2f} after"
    if training.folder is None:
        return f"Fine-tuned, but it scored lower on held-out corrections ({scores}): the old model stays."
    if np.isnan(training.before):
        return "Fine-tuned on the regions; they hold too little to keep some of it out for a comparison."
    return f"Fine-tuned. Score on {training.n_held_out} held-out corrections ({training.held_out}): {scores}."


def _n_objects(labels: NDArray[np.int32]) -> int:
    return len(annotations.unique_ids(labels))


def _agreement(labels: NDArray[np.int32], blue: NDArray[np.int32]) -> float:
    outside = ~stand_in.mask_of(REGIONS, labels.shape)
    return dice(labels[outside], blue[outside])


def _write(out: Path, image: Image, labels: NDArray[np.int32], states: Mapping[int, str]) -> tuple[Path, ...]:
    files = (out / "labels.tif", out / "overlay.png", out / "objects.csv")
    write_labels(files[0], labels, image)
    picture = io.BytesIO()
    Picture.fromarray(overlay(image, labels)).save(picture, "PNG")
    for path, data in zip(files[1:], (picture.getvalue(), _table(image, labels, states)), strict=True):
        try:
            write_atomic(path, data)
        except OSError as error:
            raise UserError(f"'{path}' cannot be written: {error}.", "Choose another folder with --out.") from error
    return files


def overlay(image: Image, labels: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Draw the outlines of the objects, and the corrected regions, over a colour image at twice its size: (Y, X, 3)."""
    pixels: NDArray[np.uint8] = np.moveaxis(image.data, 0, -1).repeat(2, axis=0).repeat(2, axis=1)
    large = labels.repeat(2, axis=0).repeat(2, axis=1)
    inner = ndi.grey_erosion(large, 3) != ndi.grey_dilation(large, 3)
    pixels[inner & (large > 0)] = OUTLINE
    frame = stand_in.mask_of(REGIONS, labels.shape).repeat(2, axis=0).repeat(2, axis=1)
    pixels[frame & ~ndi.binary_erosion(frame, iterations=2)] = REGION_OUTLINE
    return pixels


def _table(image: Image, labels: NDArray[np.int32], states: Mapping[int, str]) -> bytes:
    """List the objects: number, state, area, diameter, centre and mean luminance."""
    ids = np.array(sorted(states))
    area = ndi.sum_labels(np.ones(labels.shape), labels, ids)
    centres = ndi.center_of_mass(np.ones(labels.shape), labels, ids)
    gray = ndi.mean(image.data.mean(axis=0), labels, ids)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["label", "state", "area_px", "diameter_px", "centre_y_px", "centre_x_px", "mean_intensity"])
    for one, size, (y, x), value in zip(ids, area, centres, gray, strict=True):
        diameter = 2 * np.sqrt(size / np.pi)
        writer.writerow([int(one), states[int(one)], int(size), *(f"{v:.1f}" for v in (diameter, y, x, value))])
    return text.getvalue().encode()
