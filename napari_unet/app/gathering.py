"""Put together all labels so far: the open ones, and those that the versions before have learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import fastremap
import numpy as np

from napari_unet.app.annotations import unique_ids
from napari_unet.app.teaching import CUT, KNOWN, UNKNOWN
from napari_unet.app.training_set import Entry, Kept, Record, image_sha256, newest, now
from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_unet.core.store.training_set import Sample

SAME = 0.8
"""IoU from which on an object is the one that was learnt from before: redrawing its edge makes no new object."""

REPLACED = 0.5
"""Share of an older object that has to be annotated anew for it to be replaced; with less it is cut."""


@dataclass(frozen=True, eq=False)
class Taught:
    """A sample that somebody has just labelled.

    Parameters
    ----------
    sample : Sample
        What is known now.
    origin : str
        The open labels that it is made of; empty for files.
    time : int or None
        The time point of them; None where they have no time.
    """

    sample: Sample
    origin: str = ""
    time: int | None = None


@dataclass(frozen=True, eq=False)
class Gathered:
    """All labels so far.

    Parameters
    ----------
    kept : tuple of Kept
        What the new training set will hold, also what is left out.
    notes : tuple of str
        What could not be used, in words.
    """

    kept: tuple[Kept, ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Give what is learnt from."""
        return tuple(one.sample for one in self.kept if one.sample is not None and not one.record.left_out)


def gather(taught: Sequence[Taught], entries: Sequence[Entry], *, semantic: bool = False) -> Gathered:
    """Put together all labels so far, one sample for each image.

    Parameters
    ----------
    taught : sequence of Taught
        The open labels; they win over what was saved before.
    entries : sequence of Entry
        Of all training sets of the lineage, the oldest set first.
    semantic : bool
        The labels are classes.

    Notes
    -----
    Of one image the sample that was saved last holds what was saved before. Labels of the same origin replace it: what
    was taken back there is gone. Labels of another origin are merged into it.
    """
    notes: list[str] = []
    groups: dict[str, list[Entry]] = {}
    for entry in sorted(_with_keys(entries, notes), key=lambda one: one.record.date):
        groups.setdefault(entry.key, []).append(entry)
    kept: dict[str, Kept] = {}
    names: set[str] = set()
    for key, group in groups.items():
        found = _from_before(group[-1], names, notes)
        if found is not None:
            kept[key] = found
            names.add(found.record.name)
    for one in taught:
        key = image_sha256(one.sample.image)
        before, group = kept.get(key), groups.get(key, [])
        name = before.record.name if before is not None else _unique(one.sample.name, names)
        names.add(name)
        older = _older(one, before, group, notes)
        sample = replace(one.sample, name=name, image=replace(one.sample.image, name=name))
        if older is not None and older.labels.shape == sample.labels.shape:
            sample = merged(older, sample, semantic=semantic)
        cells = _count(sample, semantic=semantic)
        source = one.sample.image.source
        record = Record(name, key, cells, now(), source, one.origin, older is not None)
        kept[key] = Kept(record, sample, group[-1] if group else None, time=one.time)
    return Gathered(tuple(kept.values()), tuple(notes))


def _with_keys(entries: Sequence[Entry], notes: list[str]) -> list[Entry]:
    """Compute the checksum where a record has none: of sets without records."""
    found = []
    for entry in entries:
        if not entry.record.image:
            sample = _load(entry, notes)
            if sample is None:
                continue
            entry = replace(entry, record=replace(entry.record, image=image_sha256(sample.image)))
        found.append(entry)
    return found


def _load(entry: Entry, notes: list[str]) -> Sample | None:
    try:
        return entry.load()
    except UserError as error:
        note = f"The sample '{entry.record.name}' of '{entry.folder.name}' is not used: {error}"
        if note not in notes:
            notes.append(note)
        return None


def _from_before(entry: Entry, names: set[str], notes: list[str]) -> Kept | None:
    """Take a sample over as it is, under another name where one of another image has it."""
    name = _unique(entry.record.name, names)
    if entry.record.left_out and name == entry.record.name:
        return Kept(entry.record, None, entry, is_changed=False)
    sample = _load(entry, notes)
    if sample is None or name == entry.record.name:
        return None if sample is None else Kept(entry.record, sample, entry, is_changed=False)
    sample = replace(sample, name=name, image=replace(sample.image, name=name))
    return Kept(replace(entry.record, name=name), sample, entry)


def _older(one: Taught, before: Kept | None, group: Sequence[Entry], notes: list[str]) -> Sample | None:
    """Choose what labels are merged into: what was known of the image before these labels were opened."""
    if before is None or before.record.left_out:
        return None
    if not one.origin or before.record.origin != one.origin:
        return before.sample
    others = [entry for entry in group if entry.record.origin != one.origin and not entry.record.left_out]
    if others:
        return _load(others[-1], notes)
    # The set from before is gone: rather what was taken back since comes again than that older labels are lost.
    return before.sample if before.record.is_merged else None


def _unique(name: str, taken: set[str]) -> str:
    found, n = name, 2
    while found in taken:
        found, n = f"{name}-{n}", n + 1
    return found


def _count(sample: Sample, *, semantic: bool) -> int:
    return 0 if semantic else len(unique_ids(np.where(_annotated(sample) > 0, sample.labels, 0)))


def _annotated(sample: Sample) -> NDArray[np.uint8]:
    return np.full(sample.labels.shape, KNOWN, np.uint8) if sample.annotated is None else sample.annotated


def merged(older: Sample, newer: Sample, *, semantic: bool = False) -> Sample:
    """Put newer labels over older ones of the same image.

    Parameters
    ----------
    older, newer : Sample
        Of one image; the result has the name of the newer one.
    semantic : bool
        The labels are classes.

    Returns
    -------
    Sample
        The newer labels wherever anything is known by them, the older ones elsewhere. An older object that is mostly
        annotated anew is gone with its rest; one that only loses some voxels is cut.
    """
    new, old = _annotated(newer), _annotated(older)
    over = new > 0
    if semantic:
        labels = np.where(over, newer.labels, older.labels)
        return replace(newer, labels=labels, annotated=np.where(over, new, old).astype(np.uint8))
    # Numbers without gaps: counting must not depend on how large the largest is.
    before = fastremap.renumber(older.labels.astype(np.int64), preserve_zero=True)[0].astype(np.int64)
    sizes = np.bincount(before.ravel())
    lost = np.bincount(before[over], minlength=len(sizes))
    is_gone, is_cut = lost > REPLACED * sizes, lost > 0
    is_gone[0] = is_cut[0] = False
    rest = np.where(is_cut[before] & (old == KNOWN), CUT, old)
    rest[is_gone[before]] = UNKNOWN
    before = np.where(rest > 0, before, 0)
    # Numbers of their own, so that two objects never become one.
    before[before > 0] += int(newer.labels.max(initial=0))
    labels = np.where(over, newer.labels, before)
    kind = np.int32 if labels.max(initial=0) < 2**31 else np.int64
    return replace(newer, labels=labels.astype(kind), annotated=np.where(over, new, rest).astype(np.uint8))


def new_part(sample: Sample, learnt: Sample, *, semantic: bool = False) -> Sample:
    """Keep of a sample what a model has not learnt from.

    Parameters
    ----------
    sample : Sample
        All that is known of an image.
    learnt : Sample
        What the model has learnt of it.
    semantic : bool
        The labels are classes.

    Returns
    -------
    Sample
        With less annotated: objects that are new or were redrawn, and other voxels that were not known before.
    """
    from napari_unet.core.metrics.instances import overlaps  # loads an optimiser: not when the dock opens

    known, had = _annotated(sample), _annotated(learnt)
    fresh = (known > 0) & (had == UNKNOWN)
    if semantic:
        fresh |= (known > 0) & (sample.labels != learnt.labels)
        return replace(sample, annotated=np.where(fresh, known, UNKNOWN).astype(np.uint8))
    fresh |= (known > 0) & (sample.labels == 0) & (learnt.labels > 0)  # deleted since
    own = np.where(known == KNOWN, sample.labels, 0)
    ids, _, iou = overlaps(own, np.where(had == KNOWN, learnt.labels, 0))
    same = ids[iou >= SAME]
    fresh = np.where(own > 0, ~np.isin(own, same), fresh)
    return replace(sample, annotated=np.where(fresh, known, UNKNOWN).astype(np.uint8))


def new_since(gathered: Gathered, entries: Sequence[Entry], *, semantic: bool = False) -> tuple[Sample, ...]:
    """Keep of all labels what a model with this training set has not learnt from.

    Parameters
    ----------
    gathered : Gathered
        All labels so far.
    entries : sequence of Entry
        Of the model's training set.
    semantic : bool
        The labels are classes.

    Returns
    -------
    tuple of Sample
        Without those of which it knows all.
    """
    notes: list[str] = []
    learnt = {entry.key: entry for entry in newest(_with_keys(entries, notes)) if not entry.record.left_out}
    found = []
    for one in gathered.kept:
        entry = learnt.get(one.record.image)
        if (
            one.sample is None
            or one.record.left_out
            or (entry is not None and not one.is_changed and entry.record.date == one.record.date)
        ):
            continue
        before = None if entry is None else _load(entry, notes)
        part = one.sample if before is None else new_part(one.sample, before, semantic=semantic)
        if _annotated(part).any():
            found.append(part)
    return tuple(found)
