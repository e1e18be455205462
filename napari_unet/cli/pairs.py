"""Which prediction belongs to which truth, and which group an image is in."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.io import by_stem, read_image, stem

if TYPE_CHECKING:
    from collections.abc import Iterable

KEY_COLUMNS = ("id", "name")
MOST_NAMES = 10


@dataclass(frozen=True)
class Pair:
    """Two label files of the same stem."""

    name: str
    pred: Path
    truth: Path


def find_pairs(pred: Path, truth: Path) -> list[Pair]:
    """Pair the label files of two folders by their stems.

    Parameters
    ----------
    pred, truth : Path
        Folders, or two files that belong together whatever their names are.

    Returns
    -------
    list of Pair
        Sorted by name.

    Raises
    ------
    UserError
        When a file of one folder has no partner in the other; names them.
    """
    if pred.is_file() and truth.is_file():
        return [Pair(stem(truth), pred, truth)]
    files = by_stem(pred), by_stem(truth)
    lonely = (pred, sorted(files[0].keys() - files[1].keys())), (truth, sorted(files[1].keys() - files[0].keys()))
    parts = [f"only in {folder}: {_listed(names)}" for folder, names in lonely if names]
    if parts:
        raise UserError(f"The folders hold different files; {'; '.join(parts)}.", "Compare the same images.")
    return [Pair(name, files[0][name], files[1][name]) for name in sorted(files[0])]


def read_voxel_sizes(pairs: Iterable[Pair]) -> dict[str, tuple[float, ...] | None]:
    """Read the voxel size of each pair, of the truth or else of the prediction.

    Parameters
    ----------
    pairs : iterable of Pair
        Their files.

    Returns
    -------
    dict of str to tuple of float, µm, or None
        By name; None where neither file tells it.

    Raises
    ------
    UserError
        When a file is a time series: time is no length.
    """
    return {pair.name: _voxel_size(pair.truth, pair.name) or _voxel_size(pair.pred, pair.name) for pair in pairs}


def _voxel_size(path: Path, name: str) -> tuple[float, ...] | None:
    try:
        image = read_image(path)
    except UserError:  # a file of labels need not tell its axes
        return None
    if "T" in image.axes:
        raise UserError(f"'{name}' is a time series: its objects have no size.", "Compare its time points one by one.")
    return image.voxel_size


def read_groups(text: str, names: Iterable[str]) -> dict[str, str]:
    """Read the group of each image from a column of a CSV file.

    Parameters
    ----------
    text : str
        ``FILE.csv:COLUMN``. The image's name, with or without suffix, stands in the first column or in one called
        `id` or `name`.
    names : iterable of str
        Stems of the images.

    Returns
    -------
    dict of str to str
        Name to group.

    Raises
    ------
    UserError
        When the file or the column is not there, or an image has no group.
    """
    file, _, column = text.rpartition(":")
    if not file or not column:
        raise UserError(f"The groups '{text}' cannot be read.", "Write FILE.csv:COLUMN.")
    rows, header = _rows(Path(file))
    if column not in header:
        raise UserError(f"'{file}' has no column '{column}'.", f"It has: {', '.join(header)}.")
    keys = [header[0], *(one for one in header if one.lower() in KEY_COLUMNS)]
    wanted = list(names)
    known: dict[str, str] = {}
    for key in keys:
        values = {row[key] or "": row[column] or "" for row in rows}
        known = {stem(name): group for name, group in values.items()} | values
        if all(name in known for name in wanted):
            return {name: known[name] for name in wanted}
    missing = sorted(name for name in wanted if name not in known)
    raise UserError(f"'{file}' has no row for {_listed(missing)}.", "Add them, or leave --groups out.")


def _rows(path: Path) -> tuple[list[dict[str, str | None]], list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, header = list(reader), list(reader.fieldnames or ())
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReadError(f"'{path}' cannot be read: {error}.", "Give a CSV file with a header.") from error
    if not header:
        raise ReadError(f"'{path}' is empty.", "Give a CSV file with a header.")
    return rows, header


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
