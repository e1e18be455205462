"""The training sets of fine-tuned models on disk: what each sample is, left out or removed; damage is told in words.

The set of a version holds all that it learnt from, so the newest one of a lineage holds all labels so far. Files that
did not change are links to those of the version before: they take no room twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_unet.core.base.errors import UserError
from napari_unet.core.base.files import sha256, write_atomic
from napari_unet.core.base.progress import Progress, Report
from napari_unet.core.store.training_set import LABELS, Sample, copy_sample, load_sample, sample_files, save_sample

if TYPE_CHECKING:
    from napari_unet.app.job import Stop
    from napari_unet.core.base.image import Image

RECORDS = "samples.json"
UNKNOWN = -1


@dataclass(frozen=True)
class Record:
    """Say what a sample is.

    Parameters
    ----------
    name : str
        Of its files.
    image : str
        SHA-256 of the image, by which the same image is known again; empty where nobody has computed it.
    cells : int
        Objects that teach; -1 where nobody has counted.
    date : str
        When its labels were learnt from first, as ISO 8601; empty where that is not known.
    source : str
        The file that the image came from; may be empty.
    origin : str
        Of the open labels that it is made of: the same again replace it, others are merged into it.
    is_merged : bool
        It holds labels of other origin as well.
    left_out : bool
        It is kept, but not learnt from.
    """

    name: str
    image: str = ""
    cells: int = UNKNOWN
    date: str = ""
    source: str = ""
    origin: str = ""
    is_merged: bool = False
    left_out: bool = False


@dataclass(frozen=True)
class Entry:
    """One sample in one training set.

    Parameters
    ----------
    folder : Path
        The training set.
    record : Record
        What it is.
    problem : str
        What is missing or damaged, in words; empty where nothing is.
    """

    folder: Path
    record: Record
    problem: str = ""

    @property
    def key(self) -> str:
        """Say which image it is of: the same in all sets of a lineage."""
        return self.record.image or str(self.folder / self.record.name)

    def load(self) -> Sample:
        """Read it.

        Raises
        ------
        UserError
            When a file is missing or damaged.
        """
        try:
            return load_sample(self.folder, self.record.name)
        except OSError as error:
            raise UserError(f"'{self.record.name}' cannot be read: {error}.", "Remove the sample.") from error


@dataclass(frozen=True, eq=False)
class Kept:
    """A sample that a new training set holds.

    Parameters
    ----------
    record : Record
        What it is.
    sample : Sample or None
        What is learnt; None for one that is left out, which is not read.
    entry : Entry or None
        Where the same image lies already.
    is_changed : bool
        Its labels are not those of `entry`.
    time : int or None
        The time point of the open labels that it is made of; None where they have no time.
    """

    record: Record
    sample: Sample | None = field(repr=False)
    entry: Entry | None = None
    is_changed: bool = True
    time: int | None = None


def now() -> str:
    """Give the time for a record."""
    return as_date(time.time())


def as_date(seconds: float) -> str:
    """Write a time of the system's clock as ISO 8601 in UTC: texts that sort by time."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")


def image_sha256(image: Image) -> str:
    """Give the SHA-256 of an image without a time axis: of its values, their type and its shape."""
    data = np.ascontiguousarray(image.volume())
    what = f"{data.dtype.str} {data.shape}".encode()
    return sha256(what, data.reshape(-1).view(np.uint8).data)


def read_set(folder: Path) -> tuple[list[Entry], str]:
    """List the samples of a training set; nothing large is read.

    Returns
    -------
    entries : list of Entry
        Empty where there is no training set.
    parent : str
        The model whose training made it, or was to make it; empty where that is not known.
    """
    values = _read_json(folder / RECORDS)
    found = values.get("samples", [])
    known = {one.name: one for one in map(_as_record, found if isinstance(found, list) else []) if one is not None}
    labels = folder / LABELS
    stems = sorted(path.stem for path in labels.glob("*.tif") if path.name[0] != ".") if labels.is_dir() else []
    for stem in stems:
        known.setdefault(stem, Record(stem))
    return [Entry(folder, one, _missing(folder, one.name)) for one in known.values()], str(values.get("parent", ""))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}  # the samples themselves say enough to go on
    return values if isinstance(values, dict) else {}


def _as_record(values: object) -> Record | None:
    if not isinstance(values, dict):
        return None
    fresh = Record("")
    kept = {f.name: values[f.name] for f in fields(Record) if type(values.get(f.name)) is type(getattr(fresh, f.name))}
    # A name is a file's name and nothing else, whatever somebody wrote there.
    name = kept.get("name", "")
    return Record(**kept) if name and Path(name).name == name and name not in (".", "..") else None


def _missing(folder: Path, name: str) -> str:
    image, labels, _ = sample_files(folder, name)
    gone = [path.parent.name for path in (image, labels) if not path.is_file()]
    return f"Its file in {' and '.join(gone)} is missing." if gone else ""


def newest(entries: Iterable[Entry]) -> list[Entry]:
    """Keep of each image the entry that was labelled last; of several alike the last one listed."""
    best: dict[str, Entry] = {}
    for entry in entries:
        if entry.key not in best or entry.record.date >= best[entry.key].record.date:
            best[entry.key] = entry
    return list(best.values())


def write_set(folder: Path, parent: str, records: Sequence[Record]) -> None:
    """Write down what the samples of a training set are."""
    values = {"parent": parent, "samples": [asdict(one) for one in records]}
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / RECORDS, json.dumps(values, indent=2, ensure_ascii=False).encode())


def keep(folder: Path, parent: str, kept: Sequence[Kept]) -> None:
    """Save a training set; what is there already is linked.

    Raises
    ------
    OSError
        When the disk refuses.
    """
    for one in kept:
        entry, name = one.entry, one.record.name
        if entry is not None and not one.is_changed and entry.record.name == name:
            copy_sample(entry.folder, name, folder)
        elif one.sample is not None:
            there = None if entry is None else sample_files(entry.folder, entry.record.name)[0]
            save_sample(folder, one.sample, there if there is not None and there.is_file() else None)
    write_set(folder, parent, [one.record for one in kept])


def leave_out(folders: Iterable[Path], key: str, left_out: bool) -> None:
    """Keep an image's sample without learning from it, or learn from it again, in all sets of a lineage."""
    for folder in folders:
        entries, parent = read_set(folder)
        records = [replace(e.record, left_out=left_out) if e.key == key else e.record for e in entries]
        if records != [e.record for e in entries]:
            write_set(folder, parent, records)


def remove(folders: Iterable[Path], key: str) -> None:
    """Remove an image's sample for good from all sets of a lineage; ask before."""
    for folder in folders:
        entries, parent = read_set(folder)
        gone = [entry for entry in entries if entry.key == key]
        for entry in gone:
            for path in reversed(sample_files(folder, entry.record.name)):
                path.unlink(missing_ok=True)
        if gone:
            write_set(folder, parent, [entry.record for entry in entries if entry.key != key])


def holds_all(newer: Iterable[Entry], older: Iterable[Entry]) -> bool:
    """Tell whether nothing is lost with an older set: a newer one has a sample of each of its images, as much used."""
    there = {(entry.key, entry.record.left_out) for entry in newer if not entry.problem}
    return all((entry.key, entry.record.left_out) in there for entry in older)


def load_entry(entry: Entry, report: Report, stop: Stop) -> Sample:
    """Read a sample to look at it; a job function.

    Raises
    ------
    UserError
        When a file is missing or damaged.
    """
    report(Progress(0, 1, f"reading '{entry.record.name}'"))
    return entry.load()
