"""Who made labels: kept inside the file where the format can hold it, else in a JSON file beside it.

OME-Zarr keeps it in its attributes, with what is said of each object as NGFF's ``image-label`` properties; TIFF in its
description, which Fiji shows as the image's info. NIfTI and NumPy files get ``FILE.provenance.json``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tifffile

from napari_unet.core.base.errors import ReadError
from napari_unet.core.base.files import sha256, write_atomic
from napari_unet.core.io.formats import READERS
from napari_unet.core.io.paths import STORES, suffix
from napari_unet.core.io.tiff import read as read_tiff

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY = "napari-unet"
ENDING = ".provenance.json"


def write_provenance(path: Path, told: Mapping[str, Any]) -> None:
    """Write who made labels, into a store or beside a file; TIFF takes it when it is written (`write_labels`).

    Parameters
    ----------
    path : Path
        Of the labels, which are there.
    told : mapping of str to JSON
        ``objects``, by their numbers as text, says what is known of each.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    if suffix(path) not in STORES:
        text = json.dumps({**told, "labels_sha256": sha256(path.read_bytes())}, indent=1, ensure_ascii=False)
        write_atomic(_beside(path), text.encode())
        return
    import zarr  # slow to load, and the dock opens without it

    group = zarr.open_group(path.absolute(), mode="r+")
    objects = told.get("objects", {})
    known: Any = group.attrs.get("image-label", {})
    properties = [{"label-value": int(one), **said} for one, said in objects.items()]
    rest = {name: value for name, value in told.items() if name != "objects"}
    group.attrs.update({KEY: rest, "image-label": {**known, "properties": properties}})


def read_provenance(path: Path) -> dict[str, Any]:
    """Read who made labels; empty where nobody wrote it.

    Raises
    ------
    ReadError
        When it is damaged, or the file beside belongs to other labels.
    """
    try:
        if suffix(path) in STORES:
            return _in_store(path)
        if READERS.get(suffix(path)) is read_tiff:
            return _in_tiff(path)
        if not _beside(path).is_file():
            return {}
        told: dict[str, Any] = json.loads(_beside(path).read_text(encoding="utf-8"))
        is_of_these = told.pop("labels_sha256") == sha256(path.read_bytes())
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ReadError(
            f"What '{path.name}' says of its origin cannot be read: {error}.", "Export it again."
        ) from error
    if not is_of_these:
        raise ReadError(f"'{_beside(path).name}' belongs to other labels than '{path.name}'.", "Export them again.")
    return told


def _in_store(path: Path) -> dict[str, Any]:
    import zarr

    attrs: Any = zarr.open_group(path.absolute(), mode="r").attrs
    if KEY not in attrs:
        return {}
    properties = [dict(one) for one in attrs["image-label"].get("properties", ())]
    return {**attrs[KEY], "objects": {str(one.pop("label-value")): one for one in properties}}


def _in_tiff(path: Path) -> dict[str, Any]:
    with tifffile.TiffFile(path) as file:
        if file.is_imagej:
            text = (file.imagej_metadata or {}).get("Info", "")
        else:
            ome = tifffile.xml2dict(file.ome_metadata or "<OME/>")["OME"]
            text = ome.get("Image", {}).get("Description", "") if isinstance(ome, dict) else ""
    found = json.loads(text) if isinstance(text, str) and text.startswith("{") else {}
    return dict(found.get(KEY, {}))


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}{ENDING}")
