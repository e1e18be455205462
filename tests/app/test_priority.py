"""A job's thread gives way to the window."""

from __future__ import annotations

import gc
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from queue import Queue

import pytest

from napari_unet.app import priority
from napari_unet.app.autosave_write import in_thread

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="priorities of single threads can be read on Linux")


@on_linux
def test_lower_priority_when_called_in_a_thread_then_only_that_thread_changes():
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def work() -> tuple[bool, int]:
        return priority.lower_priority(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    with ThreadPoolExecutor(1) as pool:
        lowered, niceness = pool.submit(work).result()
    assert lowered
    assert niceness >= priority.NICENESS
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


def test_waiting_threads_when_the_user_has_said_nothing_then_they_sleep(monkeypatch):
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    priority.let_waiting_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    monkeypatch.delenv("OMP_WAIT_POLICY")
    priority.let_waiting_threads_sleep()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"


@on_linux
def test_in_thread_when_a_save_runs_then_the_window_goes_before_it():
    seen: Queue[int] = Queue()
    in_thread(lambda: seen.put(os.getpriority(os.PRIO_PROCESS, threading.get_native_id())))
    assert seen.get(timeout=10) >= priority.NICENESS


def test_lower_priority_when_the_system_refuses_then_it_says_so(monkeypatch):
    def refuse(*args: object) -> None:
        raise OSError("not here")

    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(os, "setpriority", refuse, raising=False)
    assert priority.lower_priority() is False


class Library:
    """Any system library: every function gives the same and remembers its arguments."""

    def __init__(self, answer: int) -> None:
        self.answer, self.calls = answer, []

    def __getattr__(self, name: str) -> object:
        def call(*args: object) -> int:
            self.calls.append((name, args))
            return self.answer

        self.__dict__[name] = call
        return call


@pytest.mark.parametrize(
    ("system", "answer", "last"),
    [
        ("win32", 1, ("SetThreadPriority", (1, priority.WINDOWS_BELOW_NORMAL))),
        ("darwin", 0, ("pthread_set_qos_class_self_np", (priority.MACOS_UTILITY, 0))),
    ],
)
def test_lower_priority_when_on_another_system_then_its_own_call_is_made(monkeypatch, system, answer, last):
    library = Library(answer)
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.setattr(priority.ctypes, "CDLL", lambda name: library)
    assert priority.lower_priority()
    assert library.calls[-1] == last


def test_limit_torch_threads_when_called_then_one_core_is_left(monkeypatch):
    torch = pytest.importorskip("torch")
    before = torch.get_num_threads()
    try:
        monkeypatch.setattr(priority, "n_cores", lambda: 4)
        assert priority.limit_torch_threads() == 3 == torch.get_num_threads()
        monkeypatch.setattr(priority, "n_cores", lambda: 1)
        assert priority.limit_torch_threads() == 1
    finally:
        torch.set_num_threads(before)
    monkeypatch.undo()
    assert priority.n_cores() >= 1


def test_full_collections_when_a_job_fails_then_are_as_seldom_as_before():
    before = gc.get_threshold()
    seen: list[tuple[int, ...]] = []

    def job() -> None:
        with priority.without_full_collections():
            seen.append(gc.get_threshold())
            raise ValueError("job")

    with pytest.raises(ValueError, match="job"):
        job()
    assert seen[0][:2] == before[:2]
    assert seen[0][2] > before[2]
    assert gc.get_threshold() == before
