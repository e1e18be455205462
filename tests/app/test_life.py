"""A life of a labels layer at random: whatever happens, what comes back is what was shown at the last save.

``NAPARI_UNET_EXAMPLES=500`` lives so many lives instead of 25.
"""

from __future__ import annotations

import os
import shutil
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from napari_unet.app.autosave import LONGEST_S, RETRY_S, SETTLE_S, Autosaver
from napari_unet.app.autosave_draft import Draft, load, take_draft
from napari_unet.app.history import CallStep
from napari_unet.app.jobs import InlineRunner
from napari_unet.app.project import new_project, open_project
from napari_unet.app.renaming import renamed
from napari_unet.app.requests import KeptOutput, SegmentResult
from napari_unet.app.session import Session
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.edits import EDITS, apply_edit
from napari_unet.core.store.autosave import identify
from napari_unet.core.store.autosave_lock import LOCK_FILE
from napari_unet.core.store.journal import MAGIC
from napari_unet.core.store.journal_writer import generations
from napari_unet.core.targets.basins import split_basins
from tests.app.strategies import boxes, same

if TYPE_CHECKING:
    from napari_unet.app.result import Result

EXAMPLES = int(os.environ.get("NAPARI_UNET_EXAMPLES", "25"))
SHAPE = (4, 9, 11)
IMAGE = Image(np.arange(396, dtype=np.float32).reshape(SHAPE), "ZYX", name="cells")
ID = identify(IMAGE)
BOX = boxes(SHAPE)
OBJECT = st.integers(1, 6)
VOXEL = st.tuples(*(st.integers(0, n - 1) for n in SHAPE))


def is_same(one: tuple[np.ndarray, Result], other: tuple[np.ndarray, Result]) -> bool:
    (labels, a), (other_labels, b) = one, other
    told = [(result.model, {k: round(v, 5) for k, v in result.confidence.items()}) for result in (a, b)]
    return np.array_equal(labels, other_labels) and same(a.corrections, b.corrections) and told[0] == told[1]


def first_labels() -> np.ndarray:
    """Draw objects on which each tool has something to do: a hole, a notch, two pieces, an empty slice between."""
    labels = np.zeros(SHAPE, np.int32)
    labels[:, 1:6, 1:5] = 1
    labels[1, 3, 2:4] = labels[2, 4, 4] = 0
    labels[:2, 1:4, 6:8] = labels[:2, 1:3, 9] = 2
    labels[[0, 2], 7:, 6:9] = 3
    labels[3, 8, 0:2] = 4
    return labels


class Maps:
    """What a network that saw the labels would have said of them."""

    def __init__(self, labels: np.ndarray) -> None:
        inside = np.where(labels > 0, 0.9, 0.6).astype(np.float32)
        self.values = np.stack([inside, 1 - inside])

    def __getitem__(self, box: tuple[slice, ...]) -> np.ndarray:
        return self.values[(slice(None), *box)]


def drawn(tool: str, labels: np.ndarray, at: tuple[int, ...], other: tuple[int, ...]) -> dict[str, object]:
    """Give what a person draws for a tool."""
    z, top, left = at
    outline = [(z, top, left), (z, top, left + 4), (z, top + 4, left + 4), (z, top + 4, left)]
    return {
        "draw": {"outline": outline},
        "copy_on": {"at": z},
        "shrink": {"by": 1.0},
        "split": {"seeds": [at, other]} if labels[at] and labels[at] == labels[other] else {},
        "magic": {
            "add": [[at]],
            "remove": [[other]] if labels[at] != labels[other] else [],
            "maps": Maps(labels),
            "basins": lambda height, mask, prominence: split_basins(height, mask, seed=-1.0, prominence=prominence),
        },
    }.get(tool, {})


class Life(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(mkdtemp())
        self.now = 1000.0
        self.keys = count()
        self.folder: Path | None = None  # of the project
        self.taken: tuple[np.ndarray, Result] | None = None
        self.safe: tuple[np.ndarray, Result] | None = None
        self.begin()

    def teardown(self) -> None:
        shutil.rmtree(self.root)

    # ------------------------------------------------------------ a window

    def begin(self) -> None:
        """Open the image, and restore what was saved."""
        self.key = str(next(self.keys))
        self.session = Session(InlineRunner())
        self.saver = Autosaver(self.root / "own", clock=lambda: self.now, run=lambda call: call())
        self.saver.saved.connect(self.on_saved)
        if self.folder is None:
            found = self.saver.found(ID)
        else:
            project = open_project(self.folder)
            (ref,) = project.images
            found = project.saved(ref)
            project.bind(ref, ID)
            self.saver.move(project, 60)
        assert len(found) == 1 or (not found and self.safe is None)
        self.labels, slot = first_labels(), None
        self.session.open_result(self.key, IMAGE, self.labels)
        if found:
            back, slot = load(found[0], IMAGE), found[0].folder
            # What was just being written may be there already.
            assert any(one is not None and is_same((back.labels, back.result), one) for one in (self.safe, self.taken))
            self.labels = back.labels
            self.session.bring_back(self.key, back.result)
            self.safe = back.labels.copy(), back.result
        self.taken = None
        self.saver.watch(self.key, ID, self.take, slot)
        self.session.result_changed.connect(self.saver.touch)
        self.session.history.changed.connect(lambda: self.saver.touch(self.key))

    def take(self, out: np.ndarray | None) -> Draft:
        result = self.session.result(self.key)
        self.taken = self.labels.copy(), result
        return take_draft(ID, self.labels, result, out=out)

    def on_saved(self, key: str, number: int) -> None:
        self.safe = self.taken

    def write(self, labels: np.ndarray, name: str = "Paint") -> None:
        """Change the labels in place, as a layer with a history of its own does."""
        before, after = self.labels.copy(), labels.copy()
        np.copyto(self.labels, after)
        target = self.labels
        self.session.history.push(
            CallStep(name, lambda: np.copyto(target, before), lambda: np.copyto(target, after), self.key)
        )

    # ------------------------------------------------------------ what a person does

    @rule(box=BOX, value=st.integers(0, 6))
    def paint_or_erase(self, box, value):
        labels = self.labels.copy()
        labels[box] = value
        self.write(labels)

    @rule(one=OBJECT, other=st.integers(0, 6))
    def fill(self, one, other):
        self.write(np.where(self.labels == one, other, self.labels))

    @rule(
        name=st.sampled_from(sorted(EDITS)),
        picks=st.lists(st.integers(0, 9), min_size=1, max_size=2),
        at=VOXEL,
        other=VOXEL,
    )
    def use_a_tool(self, name, picks, at, other):
        tool, there = EDITS[name], np.unique(self.labels[self.labels > 0]).tolist()
        chosen = sorted({there[pick % len(there)] for pick in picks}) if there else []
        try:
            edit = tool(self.labels, chosen, **drawn(name, self.labels, at, other))
        except UserError:
            return  # it says what is missing
        before, after = self.labels.copy(), apply_edit(self.labels, edit)
        with self.session.history.group(tool.title, self.key):
            if name in ("relabel", "renumber"):
                changed = before != after
                names = dict(zip(before[changed].tolist(), after[changed].tolist(), strict=True))
                self.session.rename(self.key, renamed(self.session.result(self.key), before, names))
            self.write(after, tool.title)

    @rule(one=OBJECT, verb=st.sampled_from(["accept", "unaccept", "mark_unsure", "mark_sure"]))
    def say(self, one, verb):
        getattr(self.session, verb)(self.key, [one])

    @rule(box=BOX, verb=st.sampled_from(["mark_done", "mark_background"]))
    def say_of_a_region(self, box, verb):
        getattr(self.session, verb)(self.key, box)

    @rule(seed=st.integers(0, 99), box=st.none() | BOX)
    def segment(self, seed, box):
        shape = self.labels[box or ...].shape
        found = np.repeat(np.random.default_rng(seed).integers(0, 4, (*shape[:-1], 1)), shape[-1], -1).astype(np.int32)
        kept = KeptOutput(None, box, confidence=np.linspace(0.1, 0.9, 4, dtype=np.float32))  # type: ignore[arg-type]
        with self.session.history.group("Segment", self.key):
            merged = self.session.merge_result(self.key, self.labels, SegmentResult(found, kept, box, f"model {seed}"))
            self.write(merged)

    @rule(verb=st.sampled_from(["undo", "redo"]))
    def go_back_or_forth(self, verb):
        getattr(self.session.history, verb)()

    # ------------------------------------------------------------ what happens to it

    @rule(seconds=st.sampled_from([0.5, SETTLE_S, RETRY_S, LONGEST_S]))
    def wait(self, seconds):
        self.now += seconds
        self.saver.tick()

    @rule()
    def the_disk_is_full_for_a_while(self):
        with mock.patch("os.fsync", side_effect=OSError(28, "No space left on device")):
            for _ in range(3):
                self.wait(LONGEST_S)

    @rule(torn=st.integers(0, 20))
    def kill(self, torn):
        for lock in self.root.rglob(LOCK_FILE):
            lock.unlink()
        if self.safe is not None and torn:
            (slot,) = {path.parent for path in (self.folder or self.root / "own").rglob("*.journal")}
            with generations(slot)[0].open("ab") as file:
                file.write((MAGIC + bytes(20))[:torn])
        self.begin()

    @rule()
    def save_as_a_project(self):
        self.folder = self.root / f"project {next(self.keys)}"
        project = new_project(self.folder)
        project.add(IMAGE, ID, "ZYX", None, "")
        project.finish()
        assert self.saver.move(project, 60)
        assert not list((self.root / "own").rglob("*.journal"))

    @rule()
    def close(self):
        assert self.saver.close(60)
        self.begin()

    # ------------------------------------------------------------ what always holds

    @invariant()
    def what_is_called_saved_is_what_is_shown(self):
        if self.saver.status.kind == "saved" and self.safe is not None:
            assert is_same(self.safe, (self.labels, self.session.result(self.key)))


Life.TestCase.settings = settings(max_examples=EXAMPLES, stateful_step_count=30, deadline=None)
TestLife = Life.TestCase
