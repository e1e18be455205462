"""Scores as tables to read in a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_unet.cli.console import table

if TYPE_CHECKING:
    from collections.abc import Callable

SHOWN_AP = ("0.50", "0.75")
SHOWN_CLASSES = 8
INTERVAL = "  95 %"
"""Title of the line below each group's scores; together they stay narrow enough for a terminal."""


def score_tables(result: dict[str, Any]) -> str:
    """Lay out the scores of all images and of each group.

    Parameters
    ----------
    result : dict
        As `summarise` gives it, with ``groups``.
    """
    rows = {"all": result, **result["groups"]}
    keys = sorted(result["dice"], key=int)
    parts = []
    if result["ap"] is not None:
        header = ("objects", "images", *(f"AP {t}" for t in SHOWN_AP), "mean AP", "F1", "PQ")
        parts.append(table(header, _with_intervals(rows, _matches)))
        header = ("objects", "precision", "recall", "AJI", "SEG", "true", "predicted", "split", "merges")
        parts.append(table(header, _with_intervals(rows, _areas)))
    shown = keys[:SHOWN_CLASSES]
    header = ("Dice", "images", *(f"class {k}" for k in shown), "mean")
    parts.append(table(header, _with_intervals(rows, lambda one: _dice(one, shown))))
    parts.append(table(*_by_class(result, shown)))
    return "\n\n".join(parts)


Row = tuple[object, ...]


def _with_intervals(rows: dict[str, dict[str, Any]], cells: Callable[[dict[str, Any]], Row]) -> list[Row]:
    """Give the line of each group and, where there is one, its interval below."""
    lines = []
    for name, one in rows.items():
        lines.append((name, *cells(one)))
        if one["interval"] is not None:
            lines.append((INTERVAL, *(_between(cell) for cell in cells(one["interval"]))))
    return lines


def _between(ends: object) -> str:
    if not isinstance(ends, list) or any(end != end for end in ends):
        return ""
    return "-".join(f"{end:.2f}" for end in ends)


def _matches(one: dict[str, Any]) -> Row:
    return (one.get("n_images"), *(one["ap"][t] for t in SHOWN_AP), one["mean_ap"], one["f1"], one["pq"])


def _areas(one: dict[str, Any]) -> Row:
    numbers = (one.get(name) for name in ("n_true", "n_predicted", "over_segmented", "under_segmented"))
    return (one["precision"], one["recall"], one["aji"], one["seg"], *numbers)


def _dice(one: dict[str, Any], keys: list[str]) -> Row:
    return (one.get("n_images"), *(one["dice"].get(k) for k in keys), one["mean_dice"])


def _by_class(result: dict[str, Any], keys: list[str]) -> tuple[tuple[str, ...], list[Row]]:
    """List further scores of voxels and surfaces, one line for each class."""
    columns = {"IoU": result["iou"], "precision": result["voxel_precision"], "recall": result["voxel_recall"]}
    surface = result["surface"]
    if surface is not None:
        unit = "µm" if surface["unit"] == "um" else "voxels"
        columns |= {f"Hausdorff [{unit}]": surface["hausdorff"], f"HD95 [{unit}]": surface["hd95"]}
        columns[f"mean [{unit}]"] = surface["mean_distance"]
    if surface is not None and surface["tolerance"] is not None:
        columns[f"surface Dice {surface['tolerance']:g} µm"] = surface["dice"]
    return ("voxels", *columns), [(f"class {k}", *(column[k] for column in columns.values())) for k in keys]
