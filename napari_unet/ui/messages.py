"""What the user is told outside of the dock: napari's notifications, always with the next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from napari.utils import notifications

from napari_unet.app.errors import describe_error
from napari_unet.core.base.errors import UserError


def show_error(message: str, hint: str = "") -> None:
    """Notify about something that did not work: what was found and what to do."""
    notifications.show_error(f"{message} {hint}".strip())


def show_info(message: str, hint: str = "") -> None:
    """Notify about something worth knowing."""
    notifications.show_info(f"{message} {hint}".strip())


def show_user_error(error: UserError) -> None:
    """Notify about a refused input."""
    show_error(error.message, error.hint)


@contextmanager
def told() -> Iterator[None]:
    """Tell about a refused action, or a disk that refuses, instead of raising: the outermost call of every button."""
    try:
        yield
    except (UserError, OSError) as error:
        show_error(*describe_error(error))
