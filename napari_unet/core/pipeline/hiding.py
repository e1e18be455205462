"""Hide parts of a network's input while it learns, and let it give its error there.

References
----------
Masked blocks: K. He et al.: Masked Autoencoders Are Scalable Vision Learners. CVPR 2022,
doi:10.1109/CVPR52688.2022.01553. Noise and blur on what is left: Z. Zhou et al.: Models Genesis. MICCAI 2019,
doi:10.1007/978-3-030-32251-9_42.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import ceil

import torch
from torch import Generator, Tensor, nn

from napari_unet.core.augment.changes import blur
from napari_unet.core.store.models import Model

BLOCKS: dict[int, tuple[int, ...]] = {2: (4, 8, 16), 3: (4, 8)}
"""Edges of the blocks by dimensions, in voxels of the finest axis: one is drawn for each batch."""


@dataclass(frozen=True)
class Hiding:
    """Say how an image is spoilt.

    Parameters
    ----------
    sampling : tuple of float
        Relative voxel size per axis: blocks are cubes in µm.
    share : float, 0..1
        Of the voxels that are hidden.
    noise : float
        Largest standard deviation of the noise on what is left, in units of the patch's own.
    blur : float, voxels
        Largest sigma of the blur of what is left, for half of the patches.
    """

    sampling: tuple[float, ...]
    share: float = 0.6
    noise: float = 0.2
    blur: float = 1.0

    def spoil(self, image: Tensor, generator: Generator | None = None) -> tuple[Tensor, Tensor]:
        """Hide blocks of each patch and spoil the rest a little.

        Parameters
        ----------
        image : (N, C, [Z,] Y, X) float
            Normalised.
        generator : Generator or None
            On the CPU; None is torch's own, which ``train`` seeds and checkpoints keep, as for dropout.

        Returns
        -------
        spoilt : (N, C, [Z,] Y, X) float
            With the mean of its channel where a patch is hidden.
        hidden : (N, 1, [Z,] Y, X) float
            1 where it is hidden, else 0.
        """
        hidden = self._blocks(image, generator)
        n, axes = len(image), tuple(range(2, image.ndim))
        one = (n, 1, *(1,) * len(axes))
        deviation, mean = torch.std_mean(image, dim=axes, keepdim=True)
        sigma = torch.rand(one, generator=generator) * 2 * self.blur - self.blur  # below 0 nothing is blurred
        spoilt = blur(image, sigma.to(image.device))
        noise = torch.randn(image.shape, generator=generator) * torch.rand(one, generator=generator) * self.noise
        spoilt = spoilt + noise.to(image.device) * deviation
        return torch.where(hidden > 0, mean, spoilt), hidden

    def _blocks(self, image: Tensor, generator: Generator | None) -> Tensor:
        shape = image.shape[2:]
        choices = BLOCKS[len(shape)]
        edge = choices[int(torch.randint(len(choices), (), generator=generator))]
        edges = [max(1, round(edge / step)) for step in self.sampling]
        # One more block than there is room for, so that the grid can begin anywhere.
        counts = [ceil(size / block) + 1 for size, block in zip(shape, edges, strict=True)]
        hidden = (torch.rand((len(image), 1, *counts), generator=generator) < self.share).to(image.dtype)
        for axis, (size, block) in enumerate(zip(shape, edges, strict=True), start=2):
            first = int(torch.randint(block, (), generator=generator))
            hidden = hidden.repeat_interleave(block, dim=axis).narrow(axis, first, size)
        return hidden.to(image.device)


@dataclass(frozen=True)
class HidingModel(Model):
    """A model whose network does not see all of its input while it learns.

    Parameters
    ----------
    hiding : Hiding
        How its input is spoilt.

    Notes
    -----
    In training mode the network gives, instead of the restored image, its error where the image was hidden, and 0
    elsewhere: what is asked for is then 0, and the image itself need not be known to the loss.
    """

    hiding: Hiding = field(default_factory=lambda: Hiding((1.0, 1.0)))

    def build(self) -> nn.Module:
        """Build the network and hook the hiding to it; its weights have the names of the plain network's."""
        network = super().build()
        kept: list[tuple[Tensor, Tensor]] = []

        def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            if not module.training:
                return None
            spoilt, hidden = self.hiding.spoil(inputs[0])
            kept.append((inputs[0], hidden))
            return (spoilt,)

        def after(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor | None:
            if not module.training:
                return None
            image, hidden = kept.pop()
            return (output - image) * hidden

        network.register_forward_pre_hook(before)
        network.register_forward_hook(after)
        return network
