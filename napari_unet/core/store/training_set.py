"""Training sets on disk: `images/`, `labels/` and, where not all is annotated, `annotated/`, of the same names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fastremap
import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import link_file, sha256
from napari_unet.core.base.parts import check_image

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image

IMAGES, LABELS, ANNOTATED = "images", "labels", "annotated"


@dataclass(frozen=True)
class Sample:
    """One image that teaches.

    Parameters
    ----------
    image : Image
        Without a time axis.
    labels : array, the image's spatial shape, int
        0 = background.
    annotated : array of uint8 of the same shape, or None
        0 unknown, 1 known, 2 class known but the object is cut; None is known everywhere.
    name : str
        Unique in its training set.

    Raises
    ------
    UserError
        When labels or annotated do not fit the image.
    """

    image: Image
    labels: NDArray[Any]
    annotated: NDArray[np.uint8] | None = None
    name: str = "sample"

    def __post_init__(self) -> None:
        for what, array in (("labels", self.labels), ("annotated mask", self.annotated)):
            if array is not None and array.shape != self.image.spatial_shape:
                raise UserError(
                    f"The {what} of '{self.name}' have the shape {array.shape}, its image {self.image.spatial_shape}.",
                    "Give labels of the image's own shape.",
                )
        if np.dtype(self.labels.dtype).kind not in "biu":
            raise UserError(f"The labels of '{self.name}' are {self.labels.dtype}.", "Labels are whole numbers.")
        if self.labels.size and int(self.labels.min()) < 0:
            raise UserError(f"The labels of '{self.name}' go below 0.", "0 is background, objects count from 1.")
        if self.annotated is not None and self.annotated.size and int(self.annotated.max()) > 2:
            raise UserError(
                f"The annotated mask of '{self.name}' goes up to {int(self.annotated.max())}.",
                "0 is unknown, 1 known, 2 known class of a cut object.",
            )

    def digest(self) -> str:
        """Give the SHA-256 of the image and the labels."""
        parts = (self.image.volume(), self.labels)
        return sha256(*(np.ascontiguousarray(part).reshape(-1).view(np.uint8).data for part in parts))


def load_samples(
    folder: Path, *, limit: int | None = None, labels: str = LABELS, channels: Sequence[str] = ()
) -> list[Sample]:
    """Load a training set.

    Parameters
    ----------
    folder : Path
        Holds ``images/`` and ``labels/`` with the same names (or ``train/`` with them), optionally ``annotated/``.
    limit : int or None
        Take the first so many by name.
    labels : str
        Name of the folder with the labels.
    channels : sequence of str
        Suffixes of files that are the channels of one image: ``("_FLAIR", "_T1")``.

    Raises
    ------
    UserError
        When a folder is missing, names do not match or occur twice, or an image or its labels cannot be used.
    """
    from napari_unet.core.io import by_stem  # slow to load, and the dock opens without it

    folder = Path(folder)
    root = folder if (folder / IMAGES).is_dir() else folder / "train"
    if not (root / IMAGES).is_dir() or not (root / labels).is_dir():
        raise UserError(f"{folder} holds no training set.", f"It needs the folders {IMAGES}/ and {labels}/.")
    label_files = by_stem(root / labels)
    image_files = by_stem(root / IMAGES)
    wanted = sorted(label_files)[:limit]
    files = {name: [image_files.get(name + suffix) for suffix in (channels or ("",))] for name in wanted}
    missing = [name for name, paths in files.items() if None in paths]
    if missing:
        raise UserError(
            f"No image for the labels {', '.join(missing[:5])}.", f"Each file of {labels}/ needs one in {IMAGES}/."
        )
    annotated = by_stem(root / ANNOTATED) if (root / ANNOTATED).is_dir() else {}
    # One of a sample that a crash left without labels may be there as well; of none at all the names are wrong.
    if annotated and not annotated.keys() & label_files.keys():
        raise UserError(
            f"No labels for the masks {', '.join(sorted(annotated)[:5])}.",
            f"Give each mask of {ANNOTATED}/ the name of its labels in {labels}/.",
        )
    return [
        _load(name, [p for p in files[name] if p is not None], label_files[name], annotated.get(name))
        for name in wanted
    ]


def load_sample(folder: Path, name: str) -> Sample:
    """Load one sample of a training set that `save_sample` made.

    Raises
    ------
    UserError
        When one of its files is missing, damaged or does not fit the others.
    """
    image, labels, annotated = sample_files(folder, name)
    for path in (image, labels):
        if not path.is_file():
            raise UserError(
                f"The file {path.parent.name}/{path.name} is missing.", "Put it back, or remove the sample."
            )
    return _load(name, [image], labels, annotated if annotated.is_file() else None)


def sample_files(folder: Path, name: str) -> tuple[Path, Path, Path]:
    """Give where `save_sample` puts the image, the labels and what is annotated."""
    image, labels, annotated = (Path(folder) / part / f"{name}.tif" for part in (IMAGES, LABELS, ANNOTATED))
    return image, labels, annotated


def _load(name: str, paths: list[Path], labels: Path, annotated: Path | None) -> Sample:
    from napari_unet.core.io import read_image, read_labels  # slow to load, and the dock opens without it

    images = [read_image(path) for path in paths]
    image = images[0] if len(images) == 1 else stack_channels(images)
    check_image(image)
    # What is too large for the type must not come round to a value that means something.
    mask = None if annotated is None else read_labels(annotated).clip(max=np.iinfo(np.uint8).max).astype(np.uint8)
    return Sample(replace(image, name=name), read_labels(labels), mask, name)


def stack_channels(images: Sequence[Image]) -> Image:
    """Join images of one channel each, on the same grid, to one image with all their time points.

    Raises
    ------
    UserError
        When their shapes differ.
    """
    first = images[0]
    grids = {(one.label_axes, one.label_shape) for one in images}
    if len(grids) > 1 or any(one.n_channels != 1 for one in images):
        shapes = ", ".join(f"{one.name} {one.axes} {tuple(one.data.shape)}" for one in images)
        raise UserError(
            f"The channels have different shapes: {shapes}.", "Give images of one grid and one channel each."
        )
    frames = [np.stack([one.volume(time)[0] for one in images]) for time in range(first.n_times)]
    if "T" not in first.axes:
        return replace(first, data=frames[0], axes="C" + first.spatial_axes)
    return replace(first, data=np.stack(frames), axes="TC" + first.spatial_axes)


def save_sample(folder: Path, sample: Sample, image_file: Path | None = None) -> Path:
    """Add a sample to a training set; the three files are written atomically.

    Parameters
    ----------
    folder : Path
        The training set; made where it is missing.
    sample : Sample
        What is added, or replaced. Objects with numbers that no file of labels holds get others.
    image_file : Path or None
        A file that `save_sample` wrote for the same image: it is linked, so that it takes no room twice.

    Returns
    -------
    Path
        The image's file.
    """
    from napari_unet.core.io import write_image, write_labels

    image, labels, mask = sample_files(folder, sample.name)
    for path in (image, labels, mask):
        path.parent.mkdir(parents=True, exist_ok=True)
    annotated = np.ones(sample.labels.shape, np.uint8) if sample.annotated is None else sample.annotated
    if image_file is None:
        write_image(image, sample.image)
    else:
        link_file(image_file, image)
    write_labels(mask, annotated, sample.image)
    # The labels come last: an image without labels is not a sample, so a crash leaves no half sample.
    write_labels(labels, _numbered(sample.labels), sample.image)
    return image


def _numbered(labels: NDArray[Any]) -> NDArray[Any]:
    """Give objects other numbers where one is too large to be written; classes never are so many."""
    if int(labels.max(initial=0)) <= np.iinfo(np.int32).max:  # what every reader, and napari, takes
        return labels
    numbered: NDArray[Any] = fastremap.renumber(labels, preserve_zero=True, in_place=False)[0]
    return numbered


def copy_sample(source: Path, name: str, folder: Path) -> None:
    """Take a sample over from another training set; its files take no room twice where the disk can link them."""
    old, new = sample_files(source, name), sample_files(folder, name)
    for index in (0, 2, 1):  # the labels last, as `save_sample` does
        if index == 2 and not old[index].is_file():
            continue  # all is annotated
        new[index].parent.mkdir(parents=True, exist_ok=True)
        link_file(old[index], new[index])
