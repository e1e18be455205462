"""The card of a model: what it is for, where it comes from, how good it is, as rich text."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet.app.library import ModelEntry
    from napari_unet.core.store.spec import ModelSpec

COLOUR_WORDS = {
    "repeat": "gray or colour",
    "luminance": "gray, or colour as its luminance",
    "exact": "exactly so many channels",
}


def card(entry: ModelEntry) -> str:
    """Write a model's card.

    A model may come from anyone: all its texts are escaped, and nothing in them is a link or a picture.
    """
    spec = entry.spec
    lines = [f"<h3>{escape(spec.title or spec.name)}</h3>"]
    if spec.description:
        lines.append(f"<p>{escape(spec.description)}</p>")
    rows = "".join(f"<tr><td><b>{k}</b>&nbsp;&nbsp;</td><td>{escape(v)}</td></tr>" for k, v in facts(entry).items())
    lines.append(f"<table cellspacing='2'>{rows}</table>")
    if spec.scores:
        scores = "".join(
            f"<tr><td>{escape(str(k))}&nbsp;&nbsp;</td><td>{score:.3f}</td></tr>" for k, score in spec.scores.items()
        )
        lines.append(f"<p><b>Scores</b> on what it did not learn from</p><table cellspacing='2'>{scores}</table>")
    return "".join(lines)


def facts(entry: ModelEntry) -> dict[str, str]:
    """Give the facts of a model by name, in words."""
    spec = entry.spec
    n = len(spec.data)
    return {
        "Segments": spec.purpose,
        "Images": f"{spec.dims}D, {spec.channels} channel{'s' * (spec.channels != 1)}: {COLOUR_WORDS[spec.colour]}",
        "Voxel size": _voxel_size(spec),
        "Object size": "any" if spec.object_size is None else f"{spec.object_size:.0f} px",
        "Network": f"{spec.net}, {spec.net_config.get('base', '?')} base channels",
        "Comes from": spec.parent or "trained from scratch",
        "Trained on": f"{n} image{'s' * (n != 1)}" if n else "not recorded",
        "Kept in": "the plugin" if entry.bundled else str(entry.folder),
    }


def _voxel_size(spec: ModelSpec) -> str:
    return "any" if spec.voxel_size is None else " x ".join(f"{v:.4g}" for v in spec.voxel_size) + " µm"
