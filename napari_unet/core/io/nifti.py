"""NIfTI: volumes of MRI and CT. Arrays are turned to Z, Y, X; labels go back on exactly the grid of their image."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import write_atomic
from napari_unet.core.io.guard import check_memory, reading
from napari_unet.core.io.paths import suffix
from napari_unet.core.io.stored import Stored

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.core.base.image import Image

NIFTI_AXES = "XYZTC"  # the order in which nibabel gives them; the fifth holds vectors or channels
SUFFIXES = (".nii", ".nii.gz")
MM = 1000.0  # µm
UM_BY_UNIT = {"unknown": MM, "meter": 1e6, "mm": MM, "micron": 1.0}  # what gives no unit is in mm everywhere


def read(path: Path) -> Stored:
    """Read a NIfTI-1 or NIfTI-2 file, ``.nii`` or ``.nii.gz`` (see `Reader`).

    Returns
    -------
    Stored
        Axes reversed to ``[C][T]ZYX``; values with the header's slope and intercept, as float32 where those apply.
    """
    image = _load(path)
    stored_type = image.header.get_data_dtype()
    if stored_type.names:
        raise UserError(f"'{path.name}' holds colours of the type {stored_type}.", "Export it in gray values.")
    if len(image.shape) > len(NIFTI_AXES):
        raise UserError(f"'{path.name}' has {len(image.shape)} axes {image.shape}.", "Save the part that is wanted.")
    check_memory(path, int(np.prod(image.shape, dtype=object)) * max(stored_type.itemsize, 4))
    data = np.asanyarray(image.dataobj)
    if data.dtype == np.float64 and stored_type != np.float64:
        data = data.astype(np.float32)
    axes = NIFTI_AXES[: len(image.shape)]
    lengths = zip(axes, image.header.get_zooms(), strict=False)
    factor = _um(image)
    size = {a: float(v) * factor for a, v in lengths if a in "XYZ" and np.isfinite(v) and v > 0}
    return Stored(np.ascontiguousarray(data.T), axes[::-1], size)


def read_affine(path: str | Path) -> NDArray[np.float64]:
    """Read how the voxels lie in the scanner.

    Parameters
    ----------
    path : str or Path
        A NIfTI file.

    Returns
    -------
    (4, 4) float64
        From voxel indices in the order Z, Y, X to µm in the order superior, anterior, right (NIfTI's own world axes,
        reversed like the array).

    Raises
    ------
    ReadError
        When it cannot be read.
    """
    path = Path(path)
    with reading(path):
        image = _load(path)
        affine = np.array(image.affine, np.float64)
        affine[:3] *= _um(image)
        order = [2, 1, 0, 3]
        return affine[np.ix_(order, order)]


def write_labels(path: Path, labels: NDArray[np.integer], like: Image | None) -> None:
    """Write labels as NIfTI on the grid of their image; the same labels give the same bytes.

    Parameters
    ----------
    path : Path
        ``.nii.gz`` is compressed.
    labels : array of uint8, uint16 or uint32, ([T,] [Z,] Y, X)
        Written as uint8, int16 or int32: other tools do not read 16-bit types without a sign everywhere.
    like : Image or None
        Where its source is a NIfTI file, the header with both affines (qform and sform) and their codes is taken from
        there; otherwise the voxel size makes the affine.

    Raises
    ------
    UserError
        When the labels do not fit the grid of the source, or are too many.
    """
    array = _signed(labels).T
    origin = _origin(like)
    image = _on_grid(array, origin) if origin is not None else _new_grid(array, like)
    data: bytes = image.to_bytes()
    write_atomic(path, gzip.compress(data, compresslevel=6, mtime=0) if suffix(path) == ".nii.gz" else data)


def _signed(labels: NDArray[np.integer]) -> NDArray[np.integer]:
    high = int(labels.max()) if labels.size else 0
    if high >= 2**31:
        raise UserError(f"The largest label is {high}; NIfTI takes labels below 2^31.", "Renumber them.")
    return labels.astype(np.uint8 if high < 2**8 else np.int16 if high < 2**15 else np.int32)


def _origin(like: Image | None) -> Any:
    """Open the file that the image came from; None where it is no NIfTI or is not there any more."""
    if like is None or not like.source or suffix(like.source) not in SUFFIXES or not Path(like.source).is_file():
        return None
    with reading(Path(like.source)):
        return _load(Path(like.source))


def _on_grid(array: NDArray[np.integer], origin: Any) -> Any:
    spatial = tuple(origin.shape[:3])
    n_times = origin.shape[3] if len(origin.shape) > 3 else 1
    shape = (*spatial, n_times) if array.size == int(np.prod(spatial)) * n_times and n_times > 1 else spatial
    if array.size != int(np.prod(shape)):
        raise UserError(
            f"Labels of the shape {array.shape[::-1]} do not fit the grid {spatial} of their image.",
            "Write labels of the whole image.",
        )
    header = origin.header.copy()
    header.extensions.clear()  # they may hold names of patients
    header["cal_min"] = header["cal_max"] = 0
    image = type(origin)(array.reshape(shape), None, header)
    return _as_label_map(image, array.dtype)


def _new_grid(array: NDArray[np.integer], like: Image | None) -> Any:
    size = like.voxel_size if like is not None and like.voxel_size is not None else None
    mm = [v / MM for v in reversed(size)] if size is not None else [1.0] * 3
    affine = np.diag([*mm, *[1.0] * (4 - len(mm))])
    if like is not None and "T" in like.label_axes and "Z" not in like.label_axes:
        array = array[:, :, np.newaxis]  # the third axis of a NIfTI is always Z
    import nibabel as nib  # slow to load, and the dock opens without it

    image: Any = nib.Nifti1Image(array, affine)  # type: ignore[no-untyped-call]  # published half typed
    image.header.set_xyzt_units("mm")
    return _as_label_map(image, array.dtype)


def _as_label_map(image: Any, dtype: np.dtype[Any]) -> Any:
    image.set_data_dtype(dtype)
    image.header.set_slope_inter(1, 0)
    image.header.set_intent("label", name="labels")
    return image


def _load(path: Path) -> Any:
    import nibabel as nib  # slow to load, and the dock opens without it

    image = nib.load(path)
    if not isinstance(image, nib.Nifti1Image | nib.Nifti2Image):
        raise UserError(f"'{path.name}' is no NIfTI file but {type(image).__name__}.", "Convert it to NIfTI.")
    return image


def _um(image: Any) -> float:
    return UM_BY_UNIT.get(image.header.get_xyzt_units()[0], MM)
