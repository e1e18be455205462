"""What the user did, line by line, for people and scripts: kept while the window is open, written by a project."""

from __future__ import annotations

import json
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_unet.app.commands import Training
    from napari_unet.app.session import Session

MOST = 20_000
"""Of a window without a project the oldest lines go."""


class ActionLog:
    """Listen to the session.

    Parameters
    ----------
    session : Session
        Its undo list, its models and its trainings are listened to.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lines: deque[str] = deque(maxlen=MOST)
        session.history.happened.connect(self._on_step)
        session.model_changed.connect(self._on_model)
        session.trainer.ended.connect(self._on_trained)

    def note(self, action: str, **more: Any) -> None:
        """Add a line.

        Parameters
        ----------
        action : str
            What was done.
        **more
            In JSON's types; what is empty is left out.
        """
        when = datetime.now(UTC).isoformat(timespec="seconds")
        told = {name: value for name, value in more.items() if value not in ("", None)}
        self._lines.append(json.dumps({"time": when, "action": action, **told}, ensure_ascii=False))

    def take(self) -> list[str]:
        """Give all lines, and keep them no longer."""
        lines = list(self._lines)
        self._lines.clear()
        return lines

    def _on_step(self, action: str, owner: str) -> None:
        result = self._session.result(owner) if self._session.has(owner) else None
        model = result.model if result is not None and action == "Segment" else ""
        self.note(action, image="" if result is None else result.image.name, model=model)

    def _on_model(self, name: str) -> None:
        self.note("Use model", model=name)

    def _on_trained(self, training: Training) -> None:
        self.note("Train", model=training.name, kept=training.accepted)
