"""The errors that a user may meet, in words a user can act on."""

from __future__ import annotations


class UserError(Exception):
    """Say what was found, what was expected and what to do.

    Parameters
    ----------
    message : str
        What was found and what was expected, in one sentence.
    hint : str
        The next step for the user; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class ReadError(UserError):
    """Raised when a file cannot be read as what it claims to be."""


class Cancelled(Exception):
    """Raised inside a job, at its next report, after the user pressed Cancel."""


class Interrupted(Cancelled):
    """Raised instead where the window was closed: what is needed to go on another day is kept."""
