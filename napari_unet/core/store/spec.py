"""`model.json`: all that rebuilds a model and says where it comes from; plain values, checked when read."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.normalise import Normalisation

FORMAT = 1
PRETRAINED = "restoration"
"""The target of models that have learnt from images alone."""

SPEC_FILE, WEIGHTS_FILE, CARD_FILE = "model.json", "weights.safetensors", "card.md"
MAX_SPEC_BYTES = 1_000_000
"""A description is a few kilobytes; a giant one is not read."""


@dataclass(frozen=True)
class ModelSpec:
    """Describe a model.

    Parameters
    ----------
    name, title, description : str
        The folder's name, one line for people, and the card's first paragraph.
    net : str
        A key of ``core.nets.NETS``.
    net_config : dict
        The values of a ``NetConfig``.
    target : {"instances", "semantic", "restoration"}
        What it segments; `restoration` is pre-trained on images alone, to start trainings from, and segments nothing.
    classes : tuple of str
        Names of the classes 1..K of a semantic model; of the channels that a pre-trained one restores.
    dims : {2, 3}
        Spatial axes it was trained on.
    channels : int
        Image channels it takes.
    colour : {"repeat", "luminance", "exact"}
        How an image becomes those channels: a gray image is repeated, a colour image becomes its luminance, or the
        number of channels has to fit.
    voxel_size : tuple of float, µm, or None
        Of the training images, where they had one in common.
    object_size : float, px, or None
        Median diameter of the training objects as the network saw them.
    normalisation : dict
        The values of a ``Normalisation``.
    decode : dict
        The values of a ``DecodeSettings``, tuned on the training's annotations.
    parent : str
        The model it was fine-tuned from; empty for one trained from scratch.
    seed : int
        Of the training.
    data : dict
        SHA-256 of each training image, by name.
    scores : dict
        Figures by name, measured on what it did not learn from.
    training : dict
        Steps, seconds and options of the training.
    weights_sha256 : str
        Of the weights file; filled in when saved.
    """

    name: str
    net: str
    net_config: dict[str, Any]
    target: str
    dims: int
    channels: int
    title: str = ""
    description: str = ""
    classes: tuple[str, ...] = ()
    colour: str = "luminance"
    voxel_size: tuple[float, ...] | None = None
    object_size: float | None = None
    normalisation: dict[str, Any] = field(default_factory=lambda: asdict(Normalisation()))
    decode: dict[str, Any] = field(default_factory=dict)
    parent: str = ""
    seed: int = 0
    data: dict[str, str] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    weights_sha256: str = ""
    format: int = FORMAT

    def __post_init__(self) -> None:
        problem = _problem(self)
        if problem:
            raise UserError(f"The model '{self.name}' cannot be used: {problem}.", "Is it from a newer version?")

    @property
    def can_segment(self) -> bool:
        """Tell whether it makes labels; else it can only be started from."""
        return self.target != PRETRAINED

    @property
    def purpose(self) -> str:
        """Say what it segments, in words."""
        if not self.can_segment:
            return "nothing yet: to start trainings from"
        return "single objects" if self.target == "instances" else ", ".join(self.classes)

    def to_json(self) -> str:
        """Write as JSON text."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"


def check_can_segment(spec: ModelSpec) -> None:
    """Refuse a model that makes no labels.

    Raises
    ------
    UserError
        When it is pre-trained only.
    """
    if not spec.can_segment:
        raise UserError(
            f"The model '{spec.name}' has learnt from images alone: it cannot segment yet.",
            "Train a new model on annotated images that starts from it.",
        )


TEXTS = ("name", "title", "description", "net", "target", "colour", "parent", "weights_sha256")
TABLES = ("net_config", "normalisation", "decode", "data", "scores", "training")


def _problem(spec: ModelSpec) -> str:
    if spec.format != FORMAT:
        return f"its format is {spec.format!r}, this version reads {FORMAT}"
    for kind, names in ((str, TEXTS), (dict, TABLES), (int, ("seed",))):
        wrong = [name for name in names if not isinstance(getattr(spec, name), kind)]
        if wrong:
            return f"its {wrong[0]} is {getattr(spec, wrong[0])!r}"
    if not all(isinstance(value, (int, float)) for value in spec.scores.values()):
        return f"its scores are {spec.scores!r}"
    if spec.target not in ("instances", "semantic", PRETRAINED) or spec.colour not in ("repeat", "luminance", "exact"):
        return f"its target is {spec.target!r} and its colour {spec.colour!r}"
    if type(spec.dims) is not int or spec.dims not in (2, 3):
        return f"it is for {spec.dims!r} dimensions"
    if type(spec.channels) is not int or not 1 <= spec.channels <= 64:
        return f"it is for {spec.channels!r} channels"
    if spec.colour == "luminance" and spec.channels != 1:
        return f"it takes the luminance, which is one channel, but is for {spec.channels}"
    if spec.object_size is not None and not _is_positive(spec.object_size):
        return f"its object size is {spec.object_size!r}"
    size = spec.voxel_size
    if size is not None and (len(size) != spec.dims or not all(_is_positive(v) for v in size)):
        return f"its voxel size is {size!r}"
    if spec.target == "semantic" and not spec.classes:
        return "it names no classes"
    if not spec.can_segment and len(spec.classes) != spec.channels:
        return f"it restores {len(spec.classes)} of {spec.channels} channels"
    return ""


def _is_positive(value: object) -> bool:
    return isinstance(value, (int, float)) and 0 < value < 1e9


def parse_spec(text: str, where: str = "model.json") -> ModelSpec:
    """Read a description from JSON text.

    Raises
    ------
    ReadError
        When it is not JSON, or values are missing, unknown, of the wrong type or out of bounds.
    """
    try:
        values = json.loads(text)
        if not isinstance(values, dict):
            raise TypeError("it is not an object")
        unknown = set(values) - {one.name for one in fields(ModelSpec)}
        if unknown:
            raise TypeError(f"unknown entries {sorted(unknown)}")
        values["classes"] = tuple(str(name) for name in values.get("classes", ()))
        if values.get("voxel_size") is not None:
            values["voxel_size"] = tuple(float(v) for v in values["voxel_size"])
        return ModelSpec(**values)
    except UserError as error:  # such as one of a newer version: no list of models may end with it
        raise ReadError(f"{where}: {error.message}", error.hint) from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ReadError(f"{where} does not describe a model: {error}.", "Copy the model's folder once more.") from error


def read_spec(folder: Path) -> ModelSpec:
    """Read a model's description; needs neither torch nor the weights.

    Raises
    ------
    ReadError
        When the folder holds no readable model.
    """
    path = Path(folder) / SPEC_FILE
    try:
        if path.stat().st_size > MAX_SPEC_BYTES:
            raise ReadError(f"{path} is {path.stat().st_size} bytes: too large for a description.", "Is it a model?")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReadError(f"There is no model in {folder}: {error}.", "Give the folder that holds model.json.") from error
    return parse_spec(text, str(path))
