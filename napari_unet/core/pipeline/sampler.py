"""Draw training patches around annotated cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Generator, Tensor

from napari_unet.core.augment import (
    IntensityRecipe,
    SpatialRecipe,
    apply_spatial,
    change_intensity,
    draw_spatial,
)
from napari_unet.core.base.catalogue import AUGMENTS, look_up
from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from napari_unet.core.pipeline.prepare import Prepared

ON_OBJECTS = 0.75
"""Share of the patches that are centred on an object; the others on any annotated voxel."""


@dataclass(frozen=True)
class Batch:
    """What one step learns from: (N, C, ...) image, (N, K, ...) target, (N, 2, ...) weight, float32."""

    image: Tensor
    target: Tensor
    weight: Tensor


class Sampler:
    """Draw batches of augmented patches; the same seed draws the same batches.

    Parameters
    ----------
    samples : sequence of Prepared
        At least one with an annotated voxel.
    patch : tuple of int, voxels
        Size of the patches.
    batch : int
        Patches in a batch.
    augment : str or pair of recipes
        A key of ``core.base.catalogue.AUGMENTS``, or the recipes themselves.
    vectors : bool
        The target's first channels are vectors.
    seed : int
        Of all draws.
    voxel_size : tuple of float, any unit, or None
        Of the samples as they are prepared; None is unknown. See ``draw_spatial``.
    device : torch.device or str
        Where the network is; with CUDA patches are moved and changed there, and the batches are there.

    Raises
    ------
    UserError
        When nothing is annotated, or there is no augmentation of that name.
    """

    def __init__(
        self,
        samples: Sequence[Prepared],
        patch: tuple[int, ...],
        batch: int,
        *,
        augment: str | tuple[SpatialRecipe, IntensityRecipe],
        vectors: bool,
        seed: int,
        voxel_size: tuple[float, ...] | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.samples = [sample for sample in samples if len(sample.known)]
        if not self.samples:
            raise UserError("There is nothing to learn from: no voxel is annotated.", "Accept or correct some objects.")
        self.patch, self.batch, self.vectors = patch, batch, vectors
        pair = look_up(AUGMENTS, augment, "augmentation") if isinstance(augment, str) else augment
        self.spatial, self.intensity = pair[0].for_voxels(voxel_size), pair[1]
        # Apple's GPUs sample no volumes and mirror no edges: there the CPU draws.
        self.voxel_size, self.device = voxel_size, torch.device(device if "cuda" in str(device) else "cpu")
        self.generator = Generator().manual_seed(seed)
        weights = torch.tensor([sample.weight for sample in self.samples], dtype=torch.float64)
        self.shares = weights / weights.sum()

    def draw(self) -> Batch:
        """Draw one batch."""
        chosen = torch.multinomial(self.shares, self.batch, replacement=True, generator=self.generator).tolist()
        starts = [self._place(self.samples[index]) for index in chosen]
        dims = len(self.patch)
        draw = draw_spatial(self.spatial, self.batch, dims, self.generator, self.voxel_size)
        patches = []
        for index, (number, start) in enumerate(zip(chosen, starts, strict=True)):
            pieces = self._piece(self.samples[number], start, draw.margin(index, self.patch))
            patches.append(apply_spatial(draw[index], *pieces, self.patch, vectors=self.vectors))
        image, target = (torch.cat(parts) for parts in zip(*patches, strict=True))
        image = change_intensity(self.intensity, image, self.generator)
        if self.vectors:
            # Sampled with the vectors in front; the network's order has them behind.
            target = torch.cat((target[:, dims:-2], target[:, :dims], target[:, -2:]), dim=1)
        return Batch(image, target[:, :-2], target[:, -2:])

    def _place(self, sample: Prepared) -> list[int]:
        """Draw where a patch begins."""
        on_object = len(sample.centres) > 0 and float(torch.rand((), generator=self.generator)) < ON_OBJECTS
        points = sample.centres if on_object else sample.known
        point = points[int(torch.randint(len(points), (), generator=self.generator))]
        jitter = [int(torch.randint(-(n // 4), n // 4 + 1, (), generator=self.generator)) for n in self.patch]
        start = []
        for middle, shift, size, patch in zip(point, jitter, sample.image.shape[1:], self.patch, strict=True):
            # The patch stays inside of the image where it fits; a smaller image lies in its middle.
            first = int(middle) + shift - patch // 2
            first = min(max(first, 0), size - patch) if size > patch else (size - patch) // 2
            start.append(first)
        return start

    def _piece(self, sample: Prepared, start: list[int], margin: tuple[int, ...]) -> tuple[Tensor, Tensor]:
        """Cut out what a patch is made of, no more than that: the same margin on both sides keeps its middle."""
        size = tuple(n + 2 * m for n, m in zip(self.patch, margin, strict=True))
        begin = [first - m for first, m in zip(start, margin, strict=True)]
        image, target = cut(sample.image, begin, size, mirror=True), cut(sample.target, begin, size, mirror=False)
        return image[None].to(self.device).float(), target[None].to(self.device).float()


def cut(volume: Tensor, start: Sequence[int], size: tuple[int, ...], *, mirror: bool) -> Tensor:
    """Cut (C, *size) out of a volume (C, [Z,] Y, X) from `start` on; beyond its edges it is mirrored, or 0."""
    box, index, inside = [slice(None)], [], []
    for first, n, length in zip(start, size, volume.shape[1:], strict=True):
        position = np.arange(first, first + n)
        inside.append((position >= 0) & (position < length))
        period = max(1, 2 * (length - 1))
        folded = position % period
        folded = np.minimum(folded, period - folded).clip(0, length - 1)
        low = int(folded.min())
        box.append(slice(low, int(folded.max()) + 1))
        index.append(torch.from_numpy(folded - low))
    # First the box, which copies nothing: mirroring then touches the piece only, not whole rows of a large image.
    out = volume[tuple(box)]
    for axis, (where, known) in enumerate(zip(index, inside, strict=True), start=1):
        if known.all():
            continue
        out = out.index_select(axis, where)
        if not mirror:
            shape = [-1 if a == axis else 1 for a in range(out.ndim)]
            out = out * torch.from_numpy(known).reshape(shape)
    return out
