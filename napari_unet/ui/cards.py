"""The card of a model: what it is for, where it comes from, how good it is, as rich text."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from html import escape
from typing import TYPE_CHECKING

from napari_unet.app.lineage import HELD_OUT_AFTER, HELD_OUT_BEFORE

if TYPE_CHECKING:
    from napari_unet.app.library import ModelEntry
    from napari_unet.app.lineage import Version
    from napari_unet.core.store.spec import ModelSpec

LINEAGE_SCORES = (HELD_OUT_BEFORE, HELD_OUT_AFTER)
COLOUR_WORDS = {
    "repeat": "gray or colour",
    "luminance": "gray, or colour as its luminance",
    "exact": "exactly so many channels",
}


def card(entry: ModelEntry, versions: Sequence[Version] = ()) -> str:
    """Write a model's card.

    A model may come from anyone: all its texts are escaped, and nothing in them is a link or a picture.

    Parameters
    ----------
    entry : ModelEntry
        The model.
    versions : sequence of Version
        Its lineage, the base first, the model itself last.
    """
    spec = entry.spec
    lines = [f"<h3>{escape(spec.title or spec.name)}</h3>"]
    if spec.description:
        lines.append(f"<p>{escape(spec.description)}</p>")
    rows = "".join(f"<tr><td><b>{k}</b>&nbsp;&nbsp;</td><td>{escape(v)}</td></tr>" for k, v in facts(entry).items())
    lines.append(f"<table cellspacing='2'>{rows}</table>")
    if len(versions) > 1:
        lines.append(f"<p><b>Lineage</b></p><table cellspacing='2'>{''.join(_row(one) for one in versions)}</table>")
    told = LINEAGE_SCORES if len(versions) > 1 else ()  # they stand in the lineage
    shown = {k: score for k, score in spec.scores.items() if k not in told}
    if shown:
        scores = "".join(
            f"<tr><td>{escape(str(k))}&nbsp;&nbsp;</td><td>{score:.3f}</td></tr>" for k, score in shown.items()
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


def _row(version: Version) -> str:
    """Write a version as two lines of a narrow table: its name, and how it became what it is."""
    made = "came with the plugin" if version.entry.bundled else date_words(version.date)
    what = [made, size_words(version.n_bytes)]
    if version.n_cells is not None:
        what.insert(0, f"{version.n_cells} cells")
    if version.scores is not None:
        what.insert(0, change_words(*version.scores, version.interval))
    return f"<tr><td><b>{escape(version.entry.name)}</b><br>{escape(', '.join(what))}</td></tr>"


def change_words(before: float, after: float, interval: tuple[float, float] | None = None) -> str:
    """Write two scores, and the interval of their difference where there is one."""
    text = f"{before:.3f} \u2192 {after:.3f}"
    return text if interval is None else f"{text} ({interval[0]:+.3f} to {interval[1]:+.3f})"


def date_words(date: str) -> str:
    """Write a day as people do; empty where it is not known."""
    try:
        return f"{datetime.fromisoformat(date).astimezone():%d %b %Y}".lstrip("0")
    except ValueError:
        return ""


def size_words(n_bytes: int) -> str:
    """Write a size on the disk."""
    return f"{n_bytes / 1e9:.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:.1f} MB"


def _voxel_size(spec: ModelSpec) -> str:
    return "any" if spec.voxel_size is None else " x ".join(f"{v:.4g}" for v in spec.voxel_size) + " µm"
