"""One window writes the autosaved work of an image; a lock file says which, and one left by a crash does not count."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # published without types

LOCK_FILE = "lock"
ELSEWHERE_OLD_S = 3600.0
"""Of a lock from another computer nobody can ask whether its program still runs: it counts while it is renewed."""

HALF_WRITTEN_S = 10.0
SAME_START_S = 2.0


@dataclass(frozen=True)
class Holder:
    """Say who holds a lock.

    Parameters
    ----------
    pid : int
        The process.
    host : str
        The computer.
    started : float
        When the process began, seconds since 1970: a number of a process is used again after a while.
    since : float
        When it took the lock, seconds since 1970.
    token : str
        Differs for two windows of one process.
    """

    pid: int
    host: str
    started: float
    since: float
    token: str


class Held(Exception):
    """Raised when somebody else holds the lock.

    Parameters
    ----------
    holder : Holder or None
        None where it has just been taken and not written yet.
    """

    def __init__(self, holder: Holder | None) -> None:
        super().__init__("another window holds the lock")
        self.holder = holder


class Lock:
    """Hold the work of one image.

    Parameters
    ----------
    folder : Path
        Of the image; made when the lock is taken.
    clock : callable
        Gives the seconds since 1970.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.time) -> None:
        self._path, self._clock = folder / LOCK_FILE, clock
        self._token = uuid.uuid4().hex

    def take(self) -> None:
        """Take the lock, or make sure that it is still held and renew it.

        Raises
        ------
        Held
            When another window holds it.
        OSError
            When the disk refuses.
        """
        for _ in range(3):
            holder = read_holder(self._path)
            if holder is not None and holder.token == self._token:
                with suppress(OSError):
                    os.utime(self._path, (self._clock(), self._clock()))
                return
            if self._path.exists():
                if self._is_live(holder):
                    raise Held(holder)
                self._remove(holder)
            self._create()
        raise Held(read_holder(self._path))

    def is_held_by_another(self) -> Holder | None:
        """Give who else holds the lock; None where it is free or ours."""
        holder = read_holder(self._path)
        return holder if holder is not None and holder.token != self._token and self._is_live(holder) else None

    def is_left(self) -> bool:
        """Tell whether a window that is gone has left the lock: it did not close in order."""
        return self._path.exists() and not self._is_live(read_holder(self._path))

    def release(self) -> None:
        """Give the lock back, if it is ours."""
        holder = read_holder(self._path)
        if holder is not None and holder.token == self._token:
            with suppress(OSError):
                self._path.unlink()

    def _create(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        me = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "started": psutil.Process().create_time(),
            "since": self._clock(),
            "token": self._token,
        }
        with suppress(FileExistsError), self._path.open("x", encoding="utf-8") as file:
            file.write(json.dumps(me))

    def _remove(self, stale: Holder | None) -> None:
        """Take a stale lock away; put it back if it turns out to be a new one."""
        aside = self._path.with_name(f"{LOCK_FILE}.{self._token}")
        with suppress(FileNotFoundError):
            self._path.rename(aside)
        if read_holder(aside) != stale:
            with suppress(OSError):
                aside.rename(self._path)
        aside.unlink(missing_ok=True)

    def _is_live(self, holder: Holder | None) -> bool:
        try:
            age = self._clock() - self._path.stat().st_mtime
        except OSError:
            return False
        if holder is None:  # being written at this moment, or left half written by a crash
            return age < HALF_WRITTEN_S
        if holder.host != socket.gethostname():
            return age < ELSEWHERE_OLD_S
        try:
            started = psutil.Process(holder.pid).create_time()
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:
            return True
        return bool(abs(started - holder.started) < SAME_START_S)


def read_holder(path: Path) -> Holder | None:
    """Read who holds a lock; None where nobody does or it cannot be read."""
    try:
        said: Any = json.loads(path.read_text(encoding="utf-8"))
        return Holder(
            int(said["pid"]), str(said["host"]), float(said["started"]), float(said["since"]), str(said["token"])
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None
