"""Kill a process that edits labels at random moments, and see what its autosave gives back."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.measure import say
from benchmarks.record import Figure, Result, Settings
from napari_unet.app import annotations as notes
from napari_unet.app.autosave import LONGEST_S, SETTLE_S, Autosaver
from napari_unet.app.autosave_draft import Restored, load, take_draft
from napari_unet.app.merging import merge_prediction
from napari_unet.app.result import Result as Work
from napari_unet.core.base.image import Image
from napari_unet.core.store.autosave import Saved, identify
from napari_unet.core.store.journal_writer import JournalWriter

SHAPES = {2: (1024, 1024), 3: (32, 256, 256)}
ROUNDS = 50
STROKES_PER_SECOND = 20.0
LONGEST_RUN_S = 15.0
COMPACT_BYTES = 20_000  # so that generations begin often
FAST = (0.01, 0.05)
"""Seconds of rest and at most, instead of 2 and 8: nearly every kill meets a process that is writing."""

MISSING_TARGET_S = 10.0


@dataclass(frozen=True)
class Crash:
    """Say what one kill left.

    Parameters
    ----------
    is_whole : bool
        Labels and states came back as they were after some edit; or nothing had been saved yet, in time.
    missing : float, s
        From the first edit that did not come back to the kill.
    edits : int
        Made before the kill.
    was_torn : bool
        The kill hit a record that was being written.
    """

    is_whole: bool
    missing: float
    edits: int
    was_torn: bool


class Editor:
    """Edit labels at random, the same way for the same seed."""

    def __init__(self, dims: int, seed: int) -> None:
        self.image = Image(np.full(SHAPES[dims], seed % 251, np.uint8), "ZYX"[-dims:], name=f"image {seed}")
        self.rng = np.random.default_rng(seed)
        self.labels = np.zeros(SHAPES[dims], np.int32)
        self.work = Work(self.image, notes.start(self.labels), model="none")
        self.n = 0

    def edit(self) -> None:
        """Make one stroke, or say something about an object or a region."""
        rng, c = self.rng, self.work.corrections
        which, one = rng.random(), int(rng.integers(1, 60))
        if which < 0.7:
            self._stroke(0 if which < 0.15 else one)
        elif which < 0.8:
            c = notes.accept(c, [one])
        elif which < 0.88:
            c = notes.mark_unsure(c, [one])
        elif which < 0.92:
            c = notes.mark_done(c, self._box(40))
        elif which < 0.96:
            c = notes.mark_background(c, self._box(20))
        else:
            prediction = np.where(self.rng.random() < 0.5, self.labels, 0).astype(np.int32)
            prediction[self._box(60)] = 70
            self.labels, c = merge_prediction(c, self.labels, prediction)
        self.work = replace(self.work, corrections=c, confidence={one: which})
        self.n += 1

    def _stroke(self, value: int) -> None:
        for _ in range(int(self.rng.integers(1, 6))):
            self.labels[self._box(12)] = value

    def _box(self, edge: int) -> tuple[slice, ...]:
        return tuple(slice(int(at), int(at) + edge) for at in self.rng.integers(0, self.labels.shape))


def edit_until_killed(folder: Path, dims: int, seed: int, settle: float, longest: float) -> None:
    """Edit and save for ever; tells each edit's number and time."""
    assert JournalWriter.__init__.__kwdefaults__ is not None
    JournalWriter.__init__.__kwdefaults__["compact_bytes"] = COMPACT_BYTES
    editor, saver = Editor(dims, seed), Autosaver(folder, settle=settle, longest=longest)
    image = identify(editor.image)
    saver.watch("labels", image, lambda out: take_draft(image, editor.labels, editor.work, (), str(editor.n), out=out))
    pauses = np.random.default_rng(seed)
    while True:
        editor.edit()
        saver.touch("labels")
        saver.tick()
        print(editor.n, time.time(), flush=True)
        time.sleep(pauses.exponential(1 / STROKES_PER_SECOND))


def crash(
    folder: Path, dims: int, seed: int, edits: int, settle: float = SETTLE_S, longest: float = LONGEST_S
) -> Crash:
    """Start an editor, kill it when it has told so many edits, and compare what comes back with the same edits."""
    command = [sys.executable, "-m", "benchmarks.crash", *map(str, (folder, dims, seed, settle, longest))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = list(islice(process.stdout, edits))
        process.kill()
        killed = time.time()
        told += list(process.stdout)
    times = {int(n): float(at) for n, at in (line.split() for line in told if line.endswith("\n"))}
    editor = Editor(dims, seed)
    found = Autosaver(folder).found(identify(editor.image))
    back = load(found[0], editor.image) if found else None
    n = 0 if back is None else int(back.title)
    while editor.n < n:
        editor.edit()
    missing = max(0.0, killed - times.get(n + 1, killed))
    is_whole = missing <= longest + 2 if back is None else _is_same(back, editor)
    return Crash(is_whole, missing, len(times), any(_is_torn(one) for one in found))


def _is_same(back: Restored, editor: Editor) -> bool:
    one, other = back.result.corrections, editor.work.corrections
    arrays = [(back.labels, editor.labels), (one.predicted, other.predicted)]
    arrays += [(a, b) for a, b in ((one.background, other.background),) if a is not None or b is not None]
    said = [(c.accepted, c.unsure, c.edited, c.done) for c in (one, other)]
    return said[0] == said[1] and all(a is not None and b is not None and np.array_equal(a, b) for a, b in arrays)


def _is_torn(saved: Saved) -> bool:
    return bool(saved.damage) or any(saved.folder.glob(".*.part"))


def run(settings: Settings) -> Result:
    """Kill editors in 2D and 3D, half of them with the times of the program, half while they write all the time."""
    rng = np.random.default_rng(5)
    crashes: dict[str, list[Crash]] = {"as used": [], "writing all the time": []}
    for number in range(6 if settings.quick else ROUNDS):
        name = list(crashes)[number % 2]
        longest_run = 3.0 if settings.quick or number % 2 else LONGEST_RUN_S
        edits = int(rng.integers(1, STROKES_PER_SECOND * longest_run))
        times = FAST if number % 2 else (SETTLE_S, LONGEST_S)
        with tempfile.TemporaryDirectory() as folder:
            crashes[name].append(crash(Path(folder), 2 + number // 2 % 2, number, edits, *times))
        say(f"round {number + 1}, {name}: {crashes[name][-1]}")
    all_of_them = [one for part in crashes.values() for one in part]
    figures = [
        Figure("Kills", len(all_of_them)),
        Figure("Kills after which labels or states were not right", sum(not c.is_whole for c in all_of_them), "", 0),
        Figure("Kills in the middle of a record", sum(c.was_torn for c in all_of_them)),
        Figure("Work missing, the most", max(c.missing for c in all_of_them), "s", MISSING_TARGET_S),
    ]
    for name, part in crashes.items():
        figures.append(Figure(f"Work missing, median, {name}", median(c.missing for c in part), "s"))
    samples = {f"{name}: missing, s": [c.missing for c in part] for name, part in crashes.items()}
    return Result(tuple(figures), samples)


if __name__ == "__main__":
    place, *numbers = sys.argv[1:]
    edit_until_killed(Path(place), int(numbers[0]), int(numbers[1]), float(numbers[2]), float(numbers[3]))
