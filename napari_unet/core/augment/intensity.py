"""Change brightness, contrast, gamma, sharpness and noise of normalised patches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

BLUR_RADIUS = 3
"""Voxels: enough for the largest sigma."""


@dataclass(frozen=True)
class IntensityRecipe:
    """Bounds of the intensity draws.

    Parameters
    ----------
    gain, gamma : (float, float)
        Bounds of the contrast and of the exponent.
    offset, noise : float
        Largest brightness change and noise, in units of the normalised image.
    blur : float, voxels
        Largest sigma, for `blur_share` of the patches.
    invert : float, 0..1
        Share of the patches that are inverted.
    colour : float
        Largest additional gain and offset of single channels.
    gray : float, 0..1
        Share of the patches whose channels are replaced by their mean.
    """

    gain: tuple[float, float] = (0.6, 1.6)
    offset: float = 0.15
    gamma: tuple[float, float] = (0.7, 1.4)
    noise: float = 0.05
    blur: float = 1.5
    blur_share: float = 0.2
    invert: float = 0.0
    colour: float = 0.0
    gray: float = 0.0


def change_intensity(recipe: IntensityRecipe, image: Tensor, generator: Generator) -> Tensor:
    """Change a batch of normalised patches (N, C, [Z,] Y, X); every patch gets its own draw."""
    n, channels, dims = image.shape[0], image.shape[1], image.ndim - 2

    def draw(low: float, high: float, width: int = 1) -> Tensor:
        values = low + (high - low) * torch.rand((n, width), generator=generator)
        return values.reshape(n, width, *(1,) * dims).to(image.device)

    if recipe.gray and channels > 1:
        image = torch.where(draw(0, 1) < recipe.gray, image.mean(1, keepdim=True), image)
    if recipe.invert:
        image = torch.where(draw(0, 1) < recipe.invert, 1 - image, image)
    if recipe.gamma != (1.0, 1.0):
        # Below 0 a power is not defined; those few voxels stay as they are.
        image = torch.where(image > 0, image.clamp_min(1e-6) ** draw(*recipe.gamma), image)
    image = image * draw(*recipe.gain) + draw(-recipe.offset, recipe.offset)
    if recipe.colour and channels > 1:
        image = image * draw(1 - recipe.colour, 1 + recipe.colour, channels)
        image = image + draw(-recipe.colour / 2, recipe.colour / 2, channels)
    if recipe.blur:
        sigma = torch.where(draw(0, 1) < recipe.blur_share, draw(0.3, recipe.blur), torch.zeros(()).to(image.device))
        image = _blur(image, sigma)
    noise = torch.randn(image.shape, generator=generator).to(image.device)
    return image + noise * draw(0, recipe.noise)


def _blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Blur each patch in XY by its own sigma (N, 1, ...); 0 leaves it alone."""
    chosen = torch.nonzero(sigma.flatten() > 0).flatten().tolist()
    if not chosen:
        return image
    image = image.clone()
    steps = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=image.device, dtype=image.dtype)
    for index in chosen:
        kernel = torch.exp(-0.5 * (steps / sigma.flatten()[index]) ** 2)
        kernel = kernel / kernel.sum()
        planes = image[index].reshape(-1, 1, *image.shape[-2:])
        planes = torch.nn.functional.pad(planes, (BLUR_RADIUS,) * 4, mode="replicate")
        planes = torch.nn.functional.conv2d(planes, kernel.view(1, 1, -1, 1))
        planes = torch.nn.functional.conv2d(planes, kernel.view(1, 1, 1, -1))
        image[index] = planes.reshape(image[index].shape)
    return image
