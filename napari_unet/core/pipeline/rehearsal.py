"""Rehearse what a model knew: generated images, with its own answers as the truth, among what it learns from.

References
----------
A. Robins: Catastrophic Forgetting, Rehearsal and Pseudorehearsal. Connection Science 1995,
doi:10.1080/09540099550039318.
Z. Li, D. Hoiem: Learning without Forgetting (the old model's answers as targets). ECCV 2016, arXiv:1606.09282.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from napari_unet.core.base.device import choose_device
from napari_unet.core.base.tiles import round_up
from napari_unet.core.pipeline.prepare import Prepared, prepare
from napari_unet.core.pipeline.sampler import cut
from napari_unet.core.store.training_set import Sample
from napari_unet.core.synthetic.mri import mri_classes
from napari_unet.core.synthetic.nuclei import nuclei_2d, nuclei_3d

if TYPE_CHECKING:
    from napari_unet.core.base.image import Image
    from napari_unet.core.store.models import Model
    from napari_unet.core.synthetic.sample import Synthetic

N_IMAGES = 4

WEIGHT = 0.2
"""Of what is remembered in the loss: it is known in every voxel, of corrections often a tenth is known."""


def can_rehearse(model: Model) -> bool:
    """Tell whether images can be generated for a model: they are gray."""
    return model.spec.colour != "exact" or model.spec.channels == 1


def recall(model: Model, *, device: str = "auto") -> list[Prepared]:
    """Make images of what a model may know, with what it says of them as the truth.

    Parameters
    ----------
    model : Model
        Whose answers are kept.
    device : str
        As in ``TrainOptions``.

    Returns
    -------
    list of Prepared
        Empty where `can_rehearse` says no.
    """
    if not can_rehearse(model):
        return []
    place = torch.device(choose_device(device).name)
    network = model.build().to(place)
    images = [prepare(sample, model.spec) for sample in _generate(model)]
    return [_answered(model, network, image) for image in images]


def imagine(model: Model) -> list[Image]:
    """Give images such as the model may know."""
    return [sample.image for sample in _generate(model)]


def rehearse(samples: Sequence[Prepared], memories: Sequence[Prepared], share: float) -> list[Prepared]:
    """Put what is remembered among what is learned, with a share of all patches of the training (0..1)."""
    if not memories or not share:
        return list(samples)
    each = share / (1 - share) * sum(sample.weight for sample in samples) / len(memories)
    return [*samples, *(replace(one, weight=each) for one in memories)]


def _answered(model: Model, network: nn.Module, image: Prepared) -> Prepared:
    """Put the answers of a network in the place of the truth."""
    shape = image.image.shape[1:]
    size = tuple(round_up(n, m) for n, m in zip(shape, model.net_config.multiple(), strict=True))
    device = next(network.parameters()).device
    with torch.inference_mode():
        logits = network(cut(image.image, [0] * len(size), size, mirror=True)[None].float().to(device))[0].cpu()
    answers = _answers(model, logits[(slice(None), *(slice(0, n) for n in shape))].clone())
    return replace(image, target=torch.cat((answers, torch.full((2, *shape), WEIGHT))).half())


def _generate(model: Model) -> list[Sample]:
    made = _made(model.spec.dims, model.spec.target)
    # The labels only give the size of the objects, and the middles of patches.
    return [Sample(one.image, one.labels.astype(np.int32), None, "generated") for one in made]


@lru_cache(maxsize=4)
def _made(dims: int, target: str) -> tuple[Synthetic, ...]:
    seeds = range(N_IMAGES)
    if dims == 2:
        return tuple(nuclei_2d(seed, (256, 256), 40) for seed in seeds)
    if target == "semantic":
        return tuple(mri_classes(seed) for seed in seeds)
    return tuple(nuclei_3d(seed, (24, 96, 96), 20) for seed in seeds)


def _answers(model: Model, logits: Tensor) -> Tensor:
    """Turn logits into what would be learned from them, in the order of `Prepared`."""
    if not model.target.vectors:
        return logits.argmax(0, keepdim=True).float()
    dims = model.spec.dims
    return torch.cat((logits[-dims:], logits[:1].sigmoid(), logits[1:2].clamp(0, 1)))
