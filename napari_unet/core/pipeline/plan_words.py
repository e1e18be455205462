"""A plan, and what it says in words: a sentence or two for each decision, with its figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari_unet.core.base.options import TrainOptions
    from napari_unet.core.nets.config import NetConfig
    from napari_unet.core.pipeline.fingerprint import Fingerprint

FEW_IMAGES = 3
NO_VOXELS = "Voxels are taken for cubes: where planes lie farther apart than pixels, save the voxel size in the files."
GIB = 2**30


@dataclass(frozen=True)
class Plan:
    """Say how a network is made for some data, and why.

    Parameters
    ----------
    net : str
        Name of the network.
    config : NetConfig
        Its configuration.
    patch : tuple of int, voxels
        Size of a training patch.
    batch : int
        Patches in a step.
    voxel_size : tuple of float, µm, or None
        That images are brought to; None where it is not known.
    words : tuple of str
        A sentence for each decision.
    memory : int, bytes
        Estimate of what the training takes.
    """

    net: str
    config: NetConfig
    patch: tuple[int, ...]
    batch: int
    voxel_size: tuple[float, ...] | None
    words: tuple[str, ...] = ()
    memory: int = 0


@dataclass(frozen=True)
class Decisions:
    """What the decisions were made from.

    Parameters
    ----------
    facts : Fingerprint
        Of the data.
    options : TrainOptions
        What the user fixed.
    device : str
        Where it will train.
    free : int, bytes
        Memory.
    shape : tuple of int, voxels
        Of a typical image at the plan's voxel size.
    sampling : tuple of float
        Relative voxel size.
    object_size : float, voxels of the finest axis, or None
        Median diameter.
    view : float, voxels of the finest axis
        How far the network sees across.
    widest : int
        Channels that the first level would have with enough memory.
    work : int or None
        Voxels in a step, where their number is bounded.
    """

    facts: Fingerprint
    options: TrainOptions
    device: str
    free: int
    shape: tuple[int, ...]
    sampling: tuple[float, ...]
    object_size: float | None
    view: float
    widest: int
    work: int | None


def explain(plan: Plan, why: Decisions) -> tuple[str, ...]:
    """Say what was decided and why."""
    return (
        _data(why),
        _voxels(plan, why),
        *_anisotropy(plan, why),
        _patch(plan, why),
        _depth(plan, why),
        _width(plan, why),
        _norm(plan, why),
        _batch(plan, why),
        f"Memory: a training takes about {plan.memory / GIB:.1f} of the {why.free / GIB:.1f} GB that are free.",
    )


def _by(numbers: Sequence[float], form: str = "") -> str:
    return " x ".join(format(n, form) for n in numbers)


def _count(n: int, what: str) -> str:
    return f"{n} {what}{'s' * (n != 1)}"


def _data(why: Decisions) -> str:
    facts = why.facts
    channels = "colour" if facts.colour == "repeat" else _count(facts.channels, "channel")
    images = _count(len(facts.shapes), "image")
    text = f"Data: {images} in {facts.dims}D, {channels}, typically {_by(why.shape)} voxels."
    if len(facts.shapes) < FEW_IMAGES:
        text += " So few images teach little about others: look at the result on one that it has not learnt from."
    return text


def _voxels(plan: Plan, why: Decisions) -> str:
    if plan.voxel_size is None:
        text = "Voxel size: not known of every image, so "
        if why.object_size is None:
            text += "all are taken as they are."
        else:
            text += f"images with objects far from the median size of {why.object_size:.0f} voxels are rescaled to it."
        return text if plan.config.dims == 2 else f"{text} {NO_VOXELS}"
    text = f"Voxel size: {_by(plan.voxel_size, '.4g')} µm, the median; images that are far from it are rescaled to it."
    if plan.voxel_size != why.facts.voxel_size:
        text += " Along the coarse axis it is that of the finest tenth instead, so that no slices are thrown away."
    return text


def _anisotropy(plan: Plan, why: Decisions) -> tuple[str, ...]:
    strides = plan.config.strides
    ratio = max(why.sampling)
    axes = "ZYX"[-plan.config.dims :]
    coarse = axes[why.sampling.index(ratio)]
    n_flat = sum(1 for row in strides if row[axes.index(coarse)] == 1)
    if ratio == 1 or not n_flat:
        return ()
    if strides[0][axes.index(coarse)] != 1:
        return (f"Poolings: not all axes are long enough for all of them; one level deep {coarse} stays as it is.",)
    times = "the first pooling leaves" if n_flat == 1 else f"the first {n_flat} poolings leave"
    return (
        f"Anisotropy: a voxel is {ratio:.1f} times longer along {coarse} than along the finest axis, so {times} "
        f"{coarse} as it is and the convolutions before stay in the plane, until voxels are about cubes.",
    )


def _patch(plan: Plan, why: Decisions) -> str:
    text = f"Patch: {_by(plan.patch)} voxels"
    if why.options.patch:
        return f"{text}: the edge was chosen by you."
    if all(edge >= n for edge, n in zip(plan.patch, why.shape, strict=True)):
        text += ", a whole typical image"
    elif why.work is not None and prod(plan.patch) * 2 * plan.batch > why.work:
        text += f" of a typical image of {_by(why.shape)}: as many as a step can take in about a second without a GPU"
    else:
        text += f" of a typical image of {_by(why.shape)}: as many as the memory holds"
    if why.object_size is not None:
        across = min(n * s for n, s in zip(plan.patch, why.sampling, strict=True)) / why.object_size
        text += f"; it is at least {across:.1f} objects wide (median diameter {why.object_size:.0f} voxels)"
    return f"{text}."


def _depth(plan: Plan, why: Decisions) -> str:
    config = plan.config
    coarsest = [edge // m for edge, m in zip(plan.patch, config.multiple(), strict=True)]
    text = f"Network: U-Net with {_count(config.depth, 'pooling')}, down to maps of {_by(coarsest)} voxels. "
    text += f"It sees {why.view:.0f} voxels across"
    if why.object_size is not None:
        return f"{text}, {why.view / why.object_size:.0f} objects."
    return f"{text}; with more poolings large images would need much more context at the edges of their tiles."


def _width(plan: Plan, why: Decisions) -> str:
    text = f"Channels: {plan.config.base} at first, twice as many after each pooling"
    if plan.config.base < why.widest:
        return f"{text}; {why.widest} would not fit into the memory."
    return f"{text}; more would make it slow without a GPU." if why.work is not None else f"{text}."


def _norm(plan: Plan, why: Decisions) -> str:
    text = f"Normalisation: {plan.config.norm}"
    if why.options.norm != "auto":
        return f"{text}, chosen by you."
    return f"{text}, with which a large image in tiles gives the same result as at once."


def _batch(plan: Plan, why: Decisions) -> str:
    text = f"Batch: {plan.batch} patch{'es' * (plan.batch != 1)}"
    if why.options.batch:
        return f"{text}, chosen by you."
    return f"{text}: {plan.batch * prod(plan.patch) / 1e6:.2g} million voxels in a step."
