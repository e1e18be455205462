"""`napari-unet models`: what is on this computer, the card of one, and the networks that can be trained."""

# No `from __future__ import annotations`: typer reads them.

from dataclasses import asdict
from typing import Annotated

import typer

from napari_unet.app import library, lineage
from napari_unet.cli.console import note, say, say_json, table
from napari_unet.cli.options import JsonOption
from napari_unet.core.base.catalogue import NETS
from napari_unet.core.base.errors import UserError
from napari_unet.core.store.spec import CARD_FILE, read_spec

HEADER = ("name", "segments", "dims", "channels", "object size", "from")
COST_HEADER = ("network", "dims", "size", "million parameters", "GFLOP")
SIZE = {2: 256, 3: 64}
"""px; of the image that operations are counted for: a usual training patch."""


def build_app() -> typer.Typer:
    """Make the group of commands."""
    app = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Models and networks.")
    app.command("list")(list_models)
    app.command("show")(show_model)
    app.command("architectures")(list_architectures)
    return app


def list_models(as_json: JsonOption = False) -> None:
    """List the models that came with the package and your own."""
    entries = library.list_models()
    rows = [
        (
            one.name,
            one.spec.purpose,
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
    names = [entry.name for entry in lineage.trace(folder)]
    if len(names) > 1:
        say(f"\nLineage: {' -> '.join(names)}")
    if as_json:
        say_json({"folder": folder, **asdict(spec), "lineage": names})


def list_architectures(
    dims: Annotated[int | None, typer.Option(min=2, max=3, help="Only networks for 2D or 3D.")] = None,
    size: Annotated[
        int | None, typer.Option(min=1, max=8192, help="Edge of the image in px. [default: 256 in 2D, 64 in 3D]")
    ] = None,
    channels: Annotated[int, typer.Option(min=1, max=64, help="Channels of the image.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """List the networks with their parameters and operations, at the widths of the preset 'fast'."""
    from napari_unet.core.nets import preset
    from napari_unet.core.nets.cost import count_cost

    found = []
    for n_dims in (2, 3) if dims is None else (dims,):
        for name in NETS:
            net, config = preset(name, dims=n_dims, in_channels=channels, out_channels=1)
            found.append((net, n_dims, count_cost(net, config, size or SIZE[n_dims])))
    rows = [
        (net, f"{n}D", " x ".join(map(str, cost.shape)), cost.parameters / 1e6, cost.flop / 1e9)
        for net, n, cost in found
    ]
    say(table(COST_HEADER, rows))
    say("\nGFLOP: billions of operations for one image; a multiplication and an addition are two.")
    if as_json:
        networks = [
            {"name": net, "dims": n, "shape": c.shape, "parameters": c.parameters, "gflop": c.flop / 1e9}
            for net, n, c in found
        ]
        say_json({"channels": channels, "networks": networks})
