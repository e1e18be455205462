"""Where autosaved work lies: a folder for each image, in it one for each labels layer; never the user's own files."""

from __future__ import annotations

import json
import shutil
import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_unet.core.base.files import sha256
from napari_unet.core.store.journal_writer import newest_revision

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image
    from napari_unet.core.store.journal import Revision

CHECKED_VOXELS = 4_000_000


@dataclass(frozen=True)
class ImageId:
    """Know an image again.

    Parameters
    ----------
    name, source : str
        What the user calls it, and the file it came from (may be empty).
    axes : str
        A subset of ``TCZYX``.
    shape : tuple of int
        One length for each axis.
    dtype : str
        Of its voxels.
    checksum : str
        Of some of its voxels; empty where it is not in memory.
    """

    name: str
    source: str
    axes: str
    shape: tuple[int, ...]
    dtype: str
    checksum: str

    @property
    def key(self) -> str:
        """Give the name of its folder: from the file it came from, or from its voxels, or else from its name."""
        which = self.source or self.checksum or self.name
        return sha256(json.dumps([which, self.axes, self.shape]).encode())[:20]

    def to_json(self) -> dict[str, Any]:
        """Give it as JSON."""
        return {**asdict(self), "shape": list(self.shape)}


@dataclass(frozen=True, eq=False)
class Saved:
    """Say what was autosaved in a folder.

    Parameters
    ----------
    folder : Path
        Of the journal.
    revision : Revision
        Without its arrays.
    damage : str
        What of it cannot be read; an older revision is given then.
    is_other_image : bool
        The file of the image has other voxels now than when this was saved.
    """

    folder: Path
    revision: Revision
    damage: str = ""
    is_other_image: bool = False


def identify(image: Image) -> ImageId:
    """Make an image known again; reads some of it when it is in memory, nothing when it is not."""
    shape = tuple(int(n) for n in image.data.shape)
    return ImageId(image.name, image.source, image.axes, shape, str(image.data.dtype), checksum(image.data))


def checksum(data: Any) -> str:
    """Sum up an array in memory, a large one by planes that are spread over it; empty for any other array."""
    if not isinstance(data, np.ndarray):
        return ""
    part: NDArray[Any] = data
    for axis in range(part.ndim):
        step = max(1, -(-part.size // CHECKED_VOXELS))
        part = part[(slice(None),) * axis + (slice(None, None, step),)]
    return f"{zlib.crc32(np.ascontiguousarray(part).tobytes()):08x}"


def find_saved(folder: Path, image: ImageId | None = None) -> list[Saved]:
    """List what was autosaved for an image, the newest first.

    Parameters
    ----------
    folder : Path
        Of the image.
    image : ImageId or None
        Other channels of its file lie in the same folder and are left out. None takes whatever is there.
    """
    try:
        inside = [path for path in folder.iterdir() if path.is_dir() and path.name.isdigit()]
    except OSError:
        return []
    found = []
    for path in inside:
        journal = newest_revision(path)
        if journal.revision is None:
            continue
        was = journal.revision.about.get("image")
        was = was if isinstance(was, dict) else {}
        sums = {str(was.get("checksum", "")), image.checksum if image is not None else ""} - {""}
        is_other = len(sums) == 2
        if image is not None and is_other and was.get("name") != image.name:
            continue
        found.append(Saved(path, journal.revision, journal.damage, is_other))
    return sorted(found, key=lambda saved: saved.revision.time, reverse=True)


def new_slot(folder: Path) -> Path:
    """Make the folder of one more labels layer of an image.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    folder.mkdir(parents=True, exist_ok=True)
    n = 1
    while True:
        try:
            (folder / str(n)).mkdir()
        except FileExistsError:
            n += 1
        else:
            return folder / str(n)


def discard(slot: Path) -> None:
    """Delete what was autosaved for one labels layer, in one step first, so that no half of it is found.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    gone = slot.with_name(f".{slot.name}.discarded")
    shutil.rmtree(gone, ignore_errors=True)
    slot.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)
