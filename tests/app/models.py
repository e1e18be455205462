"""Tiny models on disk, made in a moment."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from napari_unet.core.store.spec import ModelSpec


def tiny_spec(name: str = "tiny", *, dims: int = 2, target: str = "instances", **changes: object) -> ModelSpec:
    """Describe a U-Net of four base channels."""
    config = {"dims": dims, "in_channels": 1, "out_channels": 1, "base": 4, "depth": 1}
    spec = ModelSpec(
        name, net="unet", net_config=config, target=target, dims=dims, channels=1,
        classes=("tissue", "bone") if target == "semantic" else (),
    )  # fmt: skip
    return replace(spec, **changes)


def write_spec(folder: Path, name: str, **changes: object) -> Path:
    """Write only the description: enough for all that needs no weights."""
    place = folder / name
    place.mkdir(parents=True)
    (place / "model.json").write_text(tiny_spec(name, **changes).to_json(), encoding="utf-8")
    (place / "card.md").write_text(f"# {name}\n\nNo description.\n", encoding="utf-8")
    return place


def save_tiny(folder: Path, name: str = "tiny", **changes: object) -> Path:
    """Save a tiny model with random weights."""
    from napari_unet.core.store.models import initial_model, save_model
    from napari_unet.core.targets import get_target

    spec = tiny_spec(name, **changes)
    n_out = get_target(spec.target).n_outputs(spec.dims, len(spec.classes))
    save_model(initial_model(replace(spec, net_config={**spec.net_config, "out_channels": n_out})), folder / name)
    return folder / name
