"""Work is found again by its image, and one window at a time writes it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import numpy as np
import psutil
import pytest

from napari_unet.core.base.image import Image
from napari_unet.core.store.autosave import discard, find_saved, identify, new_slot
from napari_unet.core.store.autosave_lock import ELSEWHERE_OLD_S, HALF_WRITTEN_S, LOCK_FILE, Held, Lock
from napari_unet.core.store.journal_writer import JournalWriter

PIXELS = np.arange(600, dtype=np.float32).reshape(20, 30)


def image(data=PIXELS, axes="YX", name="cells", source="") -> Image:
    return Image(data, axes, name=name, source=source)


def save(root, image, time=1.0):
    slot = new_slot(root / identify(image).key)
    JournalWriter(slot).write(time, {"image": identify(image).to_json()}, {}, {})
    return slot


def find(root, image):
    return find_saved(root / identify(image).key, identify(image))


def test_saved_when_the_image_without_a_file_is_renamed_then_it_is_found_by_its_voxels(tmp_path):
    slot = save(tmp_path, image())
    assert [one.folder for one in find(tmp_path, image(PIXELS.copy(), name="other"))] == [slot]
    assert find(tmp_path, image(PIXELS + 1)) == []
    assert find(tmp_path, image(PIXELS.T)) == []


def test_saved_when_the_file_has_other_voxels_now_then_it_is_found_and_told(tmp_path):
    save(tmp_path, image(source="/a/cells.tif"))
    assert not find(tmp_path, image(source="/a/cells.tif"))[0].is_other_image
    assert find(tmp_path, image(PIXELS + 1, source="/a/cells.tif"))[0].is_other_image
    assert find(tmp_path, image(source="/b/cells.tif")) == []


def test_saved_when_two_channels_come_from_one_file_then_each_finds_its_own(tmp_path):
    one, two = (image(PIXELS + i, name=f"channel {i}", source="/a/cells.tif") for i in (1, 2))
    slots = [save(tmp_path, channel) for channel in (one, two)]
    assert [[s.folder for s in find(tmp_path, channel)] for channel in (one, two)] == [[slot] for slot in slots]


def test_saved_when_the_image_is_not_in_memory_then_its_voxels_are_not_read(tmp_path):
    class Lazy:
        shape, dtype = (20, 30), np.dtype(np.float32)

    save(tmp_path, image(source="/a/cells.zarr"))
    found = find(tmp_path, image(Lazy(), source="/a/cells.zarr"))
    assert len(found) == 1
    assert not found[0].is_other_image


def test_checksum_when_the_image_is_large_then_its_planes_count():
    large = np.zeros((20, 700, 900), np.uint8)
    before = identify(image(large, "ZYX")).checksum
    large[:] = 1
    assert identify(image(large, "ZYX")).checksum != before


def test_saved_when_there_are_several_then_the_newest_is_first_and_what_is_broken_is_left_out(tmp_path):
    slots = [save(tmp_path, image(), time) for time in (1.0, 3.0, 2.0)]
    folder = slots[0].parent
    broken = new_slot(folder)
    (broken / "000001.journal").write_bytes(b"nothing")
    (folder / "notes").mkdir()
    assert [one.folder for one in find(tmp_path, image())] == [slots[1], slots[2], slots[0]]


def test_discard_when_done_then_nothing_is_left_of_it(tmp_path):
    slot, other = save(tmp_path, image()), save(tmp_path, image())
    discard(slot)
    assert list(slot.parent.iterdir()) == [other]


# ---------------------------------------------------------------- the lock


class Clock:
    def __init__(self) -> None:
        self.now = psutil.boot_time() + 1e6

    def __call__(self) -> float:
        return self.now


def write_lock(folder, clock, **changes):
    folder.mkdir(exist_ok=True)
    me = {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": psutil.Process().create_time(),
        "since": clock(),
        "token": "other",
    }
    (folder / LOCK_FILE).write_text(json.dumps({**me, **changes}))
    os.utime(folder / LOCK_FILE, (clock(), clock()))


def test_lock_when_another_window_has_it_then_it_says_who_until_it_is_given_back(tmp_path):
    one, two = Lock(tmp_path / "image"), Lock(tmp_path / "image")
    one.take()
    one.take()
    with pytest.raises(Held) as held:
        two.take()
    assert held.value.holder.pid == os.getpid()
    assert two.is_held_by_another() == held.value.holder
    assert one.is_held_by_another() is None
    two.release()
    one.release()
    two.take()
    assert [path.name for path in (tmp_path / "image").iterdir()] == [LOCK_FILE]


def dead_pid() -> int:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.parametrize("changes", ["dead", "number used again", "not JSON", "elsewhere, not renewed"])
def test_lock_when_the_other_window_is_gone_then_it_is_taken(tmp_path, changes):
    clock = Clock()
    if changes == "dead":
        write_lock(tmp_path, clock, pid=dead_pid())
    elif changes == "number used again":
        write_lock(tmp_path, clock, started=1000.0)
    elif changes == "elsewhere, not renewed":
        write_lock(tmp_path, clock, host="another-computer")
        clock.now += ELSEWHERE_OLD_S + 1
    else:
        (tmp_path / LOCK_FILE).write_text("{")
        os.utime(tmp_path / LOCK_FILE, (clock(), clock()))
        clock.now += HALF_WRITTEN_S + 1
    lock = Lock(tmp_path, clock)
    assert lock.is_held_by_another() is None
    lock.take()
    lock.take()
    assert [path.name for path in tmp_path.iterdir()] == [LOCK_FILE]


def test_lock_when_the_other_computer_renews_it_then_it_holds(tmp_path):
    clock = Clock()
    write_lock(tmp_path, clock, host="another-computer")
    with pytest.raises(Held):
        Lock(tmp_path, clock).take()


def test_lock_when_just_being_written_then_it_holds(tmp_path):
    clock = Clock()
    (tmp_path / LOCK_FILE).write_text("")
    os.utime(tmp_path / LOCK_FILE, (clock(), clock()))
    with pytest.raises(Held) as held:
        Lock(tmp_path, clock).take()
    assert held.value.holder is None


def test_lock_when_lost_then_the_former_holder_notices(tmp_path):
    lock = Lock(tmp_path)
    lock.take()
    write_lock(tmp_path, Clock(), token="other")
    with pytest.raises(Held):
        lock.take()
