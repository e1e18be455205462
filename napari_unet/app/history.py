"""One undo list for everything the user does; voxel edits delegate to the layer's own history."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from psygnal import Signal

T = TypeVar("T")


class Step(Protocol):
    """One thing the user did."""

    @property
    def name(self) -> str:
        """Say what it was, for the tooltip of Undo."""
        ...

    @property
    def owner(self) -> str:
        """Name what it belongs to, such as a layer's key; may be empty."""
        ...

    @property
    def n_bytes(self) -> int:
        """Give the memory that only this step keeps alive."""
        ...

    def undo(self) -> None:
        """Take it back."""
        ...

    def redo(self) -> None:
        """Do it once more."""
        ...


@dataclass(frozen=True)
class CallStep:
    """A step whose owner keeps the data, such as a labels layer with its own history.

    Parameters
    ----------
    name : str
        What the user did.
    undo_call, redo_call : callable
        Take it back, and do it once more.
    owner : str
        The layer's key.
    n_bytes : int
        Memory that only this step keeps alive.
    """

    name: str
    undo_call: Callable[[], None]
    redo_call: Callable[[], None]
    owner: str = ""
    n_bytes: int = 0

    def undo(self) -> None:
        """Take it back."""
        self.undo_call()

    def redo(self) -> None:
        """Do it once more."""
        self.redo_call()


@dataclass(frozen=True)
class StateStep(Generic[T]):
    """A change of an immutable state: undo puts the old one back.

    Parameters
    ----------
    name : str
        What the user did.
    set_state : callable
        Puts a state in place.
    before, after : frozen objects
        The two states.
    owner : str
        The layer's key.
    n_bytes : int
        Memory that only this step keeps alive: that of `before`, where `after` does not share it.
    """

    name: str
    set_state: Callable[[T], None]
    before: T
    after: T
    owner: str = ""
    n_bytes: int = 0

    def undo(self) -> None:
        """Take it back."""
        self.set_state(self.before)

    def redo(self) -> None:
        """Do it once more."""
        self.set_state(self.after)


@dataclass(frozen=True)
class CompositeStep:
    """Several steps that the user sees as one."""

    name: str
    steps: tuple[Step, ...]
    owner: str = ""

    @property
    def n_bytes(self) -> int:
        """Give the memory of all its steps."""
        return sum(step.n_bytes for step in self.steps)

    def undo(self) -> None:
        """Take all back, the last first."""
        for step in reversed(self.steps):
            step.undo()

    def redo(self) -> None:
        """Do all once more, the first first."""
        for step in self.steps:
            step.redo()


class History:
    """Keep what can be undone and redone.

    Parameters
    ----------
    limit : int
        The number of steps kept; the oldest is forgotten. napari's layers keep 100 as well.
    max_bytes : int
        The memory that steps may keep alive; the oldest are forgotten, never the last one.
    """

    changed = Signal()
    happened = Signal(str, str)
    """What was done, such as "Paint" or "Undo: Paint", and to what it belongs."""

    def __init__(self, limit: int = 100, max_bytes: int = 1_000_000_000) -> None:
        self._limit, self._max_bytes = limit, max_bytes
        self._undone: list[Step] = []
        self._done: list[Step] = []
        self._group: list[Step] | None = None
        self._is_replaying = False

    @property
    def can_undo(self) -> bool:
        """Tell whether there is something to take back."""
        return bool(self._done)

    @property
    def can_redo(self) -> bool:
        """Tell whether there is something to do once more."""
        return bool(self._undone)

    @property
    def undo_name(self) -> str:
        """Name the step that undo takes back; empty without one."""
        return self._done[-1].name if self._done else ""

    @property
    def redo_name(self) -> str:
        """Name the step that redo does once more; empty without one."""
        return self._undone[-1].name if self._undone else ""

    def push(self, step: Step) -> None:
        """Add what the user has just done.

        A step pushed while another is undone or redone is ignored: it is its echo (a layer emits the same events
        when it is painted and when painting is taken back).
        """
        if self._is_replaying:
            return
        if self._group is not None:
            self._group.append(step)
            return
        self._done.append(step)
        self._undone.clear()
        del self._done[: -self._limit]
        while len(self._done) > 1 and sum(one.n_bytes for one in self._done) > self._max_bytes:
            del self._done[0]
        self.changed.emit()
        self.happened.emit(step.name, step.owner)

    def undo(self) -> str:
        """Take the last step back; gives its name, empty where there is none."""
        return self._move("Undo", self._done, self._undone, lambda step: step.undo())

    def redo(self) -> str:
        """Do the step undone last once more; gives its name, empty where there is none."""
        return self._move("Redo", self._undone, self._done, lambda step: step.redo())

    def _move(self, what: str, source: list[Step], target: list[Step], act: Callable[[Step], None]) -> str:
        if not source or self._is_replaying or self._group is not None:
            return ""
        step = source[-1]
        self._is_replaying = True
        try:
            act(step)
        finally:
            self._is_replaying = False
        target.append(source.pop())
        self.changed.emit()
        self.happened.emit(f"{what}: {step.name}", step.owner)
        return step.name

    @contextmanager
    def group(self, name: str, owner: str = "") -> Iterator[None]:
        """Make one step of all that is pushed inside; nothing pushed, no step.

        What was pushed before an error inside is kept as a step, so that it can be taken back. A group inside a
        group belongs to the outer one.
        """
        if self._group is not None:
            yield
            return
        self._group = []
        try:
            yield
        finally:
            steps, self._group = tuple(self._group), None
            if steps:
                self.push(steps[0] if len(steps) == 1 and steps[0].name == name else CompositeStep(name, steps, owner))

    def forget(self, owner: str) -> None:
        """Drop the steps of an owner that is gone, such as a removed layer."""
        self._done = [step for step in self._done if step.owner != owner]
        self._undone = [step for step in self._undone if step.owner != owner]
        self.changed.emit()

    def clear(self) -> None:
        """Forget all steps."""
        self._done.clear()
        self._undone.clear()
        self.changed.emit()
