"""Models on disk: a folder with `model.json`, `weights.safetensors` and `card.md`. Opening one runs no code."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.base.files import sha256, write_atomic
from napari_unet.core.base.normalise import Normalisation
from napari_unet.core.nets import build
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.store.spec import CARD_FILE, SPEC_FILE, WEIGHTS_FILE, ModelSpec, read_spec
from napari_unet.core.targets import DecodeSettings, Target, get_target


@dataclass(frozen=True)
class Model:
    """A model in memory: its description and its weights.

    Parameters
    ----------
    spec : ModelSpec
        All that rebuilds it.
    weights : dict of str to Tensor
        The network's state, on the CPU, float32.
    """

    spec: ModelSpec
    weights: dict[str, Tensor] = field(repr=False)

    @property
    def net_config(self) -> NetConfig:
        """Give the network's configuration."""
        return NetConfig.from_dict(self.spec.net_config)

    @property
    def target(self) -> Target:
        """Give the target that encodes and decodes."""
        return get_target(self.spec.target)

    @property
    def decode(self) -> DecodeSettings:
        """Give the tuned decode settings."""
        return DecodeSettings.from_dict(self.spec.decode)

    @property
    def normalisation(self) -> Normalisation:
        """Give how images are normalised."""
        return Normalisation(**self.spec.normalisation)

    def build(self) -> nn.Module:
        """Build the network with its weights, in evaluation mode.

        Raises
        ------
        UserError
            When the weights do not fit the described network.
        """
        config = self.net_config
        outputs = self.target.n_outputs(self.spec.dims, len(self.spec.classes))
        if (config.dims, config.in_channels, config.out_channels) != (self.spec.dims, self.spec.channels, outputs):
            raise UserError(
                f"The network of '{self.spec.name}' does not fit its description: {config.dims}D, "
                f"{config.in_channels} channels in, {config.out_channels} out.",
                "The folder mixes two models: copy it once more.",
            )
        # Without memory first: a description must not be able to ask for more than its weights file holds.
        with torch.device("meta"):
            skeleton = build(self.spec.net, config)
        expected = {name: tuple(value.shape) for name, value in skeleton.state_dict().items()}
        found = {name: tuple(value.shape) for name, value in self.weights.items()}
        if expected != found:
            wrong = sorted(set(expected.items()) ^ set(found.items()))[0]
            raise UserError(
                f"The weights of '{self.spec.name}' do not fit its network (first at {wrong[0]}).",
                "The folder mixes two models: copy it once more.",
            )
        net = build(self.spec.net, config)
        net.load_state_dict(self.weights)
        return net.eval()


def initial_model(spec: ModelSpec, seed: int = 0) -> Model:
    """Make a model with random weights from its description, for training from scratch."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = build(spec.net, NetConfig.from_dict(spec.net_config))
    return Model(spec, {name: value.detach().clone() for name, value in net.state_dict().items()})


def save_model(model: Model, folder: Path, *, half: bool = False, overwrite: bool = False) -> ModelSpec:
    """Save a model as a folder; it appears whole or not at all.

    Parameters
    ----------
    model : Model
        What is saved.
    folder : Path
        Must not exist yet, unless `overwrite`.
    half : bool
        Store the weights in float16: half the size, for bundled models.
    overwrite : bool
        Replace a model that stands there.

    Returns
    -------
    ModelSpec
        With the SHA-256 of the weights.

    Raises
    ------
    UserError
        When weights are not finite, or something is there already.
    """
    folder = Path(folder)
    if folder.exists() and not overwrite:
        raise UserError(f"{folder} exists already.", "Choose another name.")
    if not all(bool(torch.isfinite(value).all()) for value in model.weights.values()):
        raise UserError(f"The model '{model.spec.name}' holds weights that are not numbers.", "It was not saved.")
    data = safetensors.torch.save({name: _stored(value, half) for name, value in model.weights.items()})
    spec = replace(model.spec, weights_sha256=sha256(data))
    folder.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, content in {
            WEIGHTS_FILE: data,
            SPEC_FILE: spec.to_json().encode(),
            CARD_FILE: make_card(spec).encode(),
        }.items():
            write_atomic(new / name, content)
        _swap(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return spec


def _swap(new: Path, folder: Path) -> None:
    new.chmod(0o755)  # mkdtemp makes it private; a model may be shared
    if not folder.exists():
        new.rename(folder)
        return
    # A folder cannot be replaced in one step; the old one keeps standing beside until the new one is there.
    old = folder.with_name(f".{folder.name}.{os.getpid()}.old")
    folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _stored(value: Tensor, half: bool) -> Tensor:
    value = value.detach().cpu().contiguous()
    return value.half() if half and value.is_floating_point() else value


def load_model(folder: Path) -> Model:
    """Load a model; the weights are checked against their SHA-256 and the network before they are used.

    Raises
    ------
    ReadError
        When a file is missing, truncated or was changed.
    UserError
        When the description and the weights do not fit.
    """
    folder = Path(folder)
    spec = read_spec(folder)
    path = folder / WEIGHTS_FILE
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ReadError(
            f"The weights of '{spec.name}' cannot be read: {error}.", "Copy the model's folder once more."
        ) from error
    if sha256(data) != spec.weights_sha256:
        raise ReadError(
            f"The weights of '{spec.name}' were changed or cut short: their SHA-256 is not the one in model.json.",
            "Copy the model's folder once more.",
        )
    try:
        weights = safetensors.torch.load(data)
    except safetensors.SafetensorError as error:
        raise ReadError(
            f"The weights of '{spec.name}' cannot be read: {error}.", "Copy the model's folder once more."
        ) from error
    model = Model(
        spec, {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    )
    # So that a model that does not fit is refused here, not in the middle of a job.
    model.build()
    _check_settings(model)
    return model


def _check_settings(model: Model) -> None:
    try:
        _ = model.decode, model.normalisation
    except TypeError as error:
        raise UserError(
            f"The model '{model.spec.name}' cannot be used: {error}.", "Is it from a newer version?"
        ) from error


def make_card(spec: ModelSpec) -> str:
    """Write the card of a model: what it is for, where it comes from, how good it is, in Markdown."""
    lines = [f"# {spec.title or spec.name}", "", spec.description or "No description.", ""]
    facts = {
        "Segments": spec.purpose,
        "Dimensions": f"{spec.dims}D, {spec.channels} channel{'s' * (spec.channels > 1)} ({spec.colour})",
        "Voxel size": "any" if spec.voxel_size is None else " x ".join(f"{v:.4g}" for v in spec.voxel_size) + " µm",
        "Object size": "any" if spec.object_size is None else f"{spec.object_size:.0f} px median diameter",
        "Network": f"{spec.net}, base {spec.net_config.get('base')}, depth {spec.net_config.get('depth')}",
        "Fine-tuned from": spec.parent or "nothing: trained from scratch",
        "Trained on": f"{len(spec.data)} image{'s' * (len(spec.data) != 1)}",
    }
    lines += [f"- **{key}**: {value}" for key, value in facts.items()]
    if spec.scores:
        lines += ["", "| score | value |", "|---|---|"]
        lines += [f"| {key} | {np.round(value, 3)} |" for key, value in spec.scores.items()]
    return "\n".join(lines) + "\n"
