"""Packages that only some users need: imported where they are used, with words where they are missing."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from napari_unet.core.base.errors import UserError


def need(package: str, *, extra: str, what: str) -> Any:
    """Import a package that one of our extras installs.

    Parameters
    ----------
    package : str
        The module's name.
    extra : str
        Of ours, that installs it.
    what : str
        What needs it, in the words of the user.

    Returns
    -------
    module
        The package.

    Raises
    ------
    UserError
        When it is not installed; says how to install it.
    """
    try:
        return import_module(package)
    except ImportError as error:
        hint = f'Install it: pip install "napari-unet[{extra}]"'
        raise UserError(f"{what} needs {package}, which is not installed.", hint) from error
