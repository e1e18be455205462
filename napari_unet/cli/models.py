"""`napari-unet models`: what is on this computer, and the card of one. Needs no torch."""

# No `from __future__ import annotations`: typer reads them.

from dataclasses import asdict
from typing import Annotated

import typer

from napari_unet.app import library
from napari_unet.cli.console import note, say, say_json, table
from napari_unet.cli.options import JsonOption
from napari_unet.core.base.errors import UserError
from napari_unet.core.store.spec import CARD_FILE, read_spec

HEADER = ("name", "segments", "dims", "channels", "object size", "from")


def build_app() -> typer.Typer:
    """Make the group of commands."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="List the models, or show the card of one.")
    app.command("list")(list_models)
    app.command("show")(show_model)
    return app


def list_models(as_json: JsonOption = False) -> None:
    """List the models that came with the package and your own."""
    entries = library.list_models()
    rows = [
        (
            one.name,
            "objects" if one.spec.target == "instances" else ", ".join(one.spec.classes),
            f"{one.spec.dims}D",
            one.spec.channels,
            "-" if one.spec.object_size is None else f"{one.spec.object_size:.0f} px",
            "the package" if one.bundled else one.spec.parent or "scratch",
        )
        for one in entries
    ]
    say(table(HEADER, rows) if rows else "There are no models yet.")
    say(f"\nYour own models are in {library.models_folder()}")
    for folder, reason in library.unreadable_models():
        note(f"{folder.name} cannot be read: {reason}")
    if as_json:
        found = [{"name": e.name, "folder": e.folder, "bundled": e.bundled, "title": e.spec.title} for e in entries]
        say_json({"folder": library.models_folder(), "models": found})


def show_model(
    name: Annotated[str, typer.Argument(metavar="NAME_OR_FOLDER", help="A model of the library, or its folder.")],
    as_json: JsonOption = False,
) -> None:
    """Show a model's card."""
    folder = library.find_model(name)
    spec = read_spec(folder)
    card = folder / CARD_FILE
    try:
        text = card.read_text(encoding="utf-8") if card.is_file() else f"# {spec.name}\n\n{spec.description}\n"
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The card of '{spec.name}' cannot be read: {error}.", "Copy the model once more.") from error
    say(text.rstrip())
    if as_json:
        say_json({"folder": folder, **asdict(spec)})
