"""Change brightness, contrast, colour, sharpness and noise of normalised patches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from napari_unet.core.augment import changes


@dataclass(frozen=True)
class IntensityRecipe:
    """Bounds of the intensity draws.

    Parameters
    ----------
    gain, gamma : (float, float)
        Bounds of the factor of all intensities and of the exponent.
    offset, noise : float
        Largest brightness change and Gaussian noise, in units of the normalised image.
    blur : float, voxels
        Largest sigma, for `blur_share` of the patches.
    invert : float, 0..1
        Share of the patches that are inverted.
    colour : float
        Largest additional gain and offset of single channels.
    gray : float, 0..1
        Share of the patches whose channels are replaced by their mean.
    contrast : (float, float)
        Bounds of the factor of what differs from the patch's mean; the brightness stays.
    shot : float
        Largest standard deviation of the photons' noise where the normalised image is 1.
    coarse : float, at least 1
        Largest factor by which voxels are made larger, along Z in a stack; for `coarse_share` of the patches.
    mix : float, 0..1
        Largest share of the other channels in a channel.
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
    contrast: tuple[float, float] = (1.0, 1.0)
    shot: float = 0.0
    coarse: float = 1.0
    coarse_share: float = 0.25
    mix: float = 0.0


def change_intensity(recipe: IntensityRecipe, image: Tensor, generator: Generator) -> Tensor:
    """Change a batch of normalised patches; every patch gets its own draw.

    Parameters
    ----------
    recipe : IntensityRecipe
        The bounds.
    image : (N, C, [Z,] Y, X) float, normalised
        On any device, where it stays; it is not changed.
    generator : Generator
        On the CPU; the same state gives the same result on the same kind of device.

    Returns
    -------
    (N, C, [Z,] Y, X) float

    Notes
    -----
    In the order in which an image is made: light and colour, then the optics, then the camera. A change that is
    switched off draws nothing, so that a checkpoint from before the change was there goes on to the same result.
    """
    image = _change_light(recipe, image, generator)
    image = _change_sharpness(recipe, image, generator)
    if recipe.shot:
        image = changes.add_shot_noise(image, _draw(image, generator, 0, recipe.shot), generator)
    noise = changes.noise_like(image, generator)
    return image + noise * _draw(image, generator, 0, recipe.noise)


def _change_light(recipe: IntensityRecipe, image: Tensor, generator: Generator) -> Tensor:
    channels = image.shape[1]
    if recipe.gray and channels > 1:
        is_gray = _draw(image, generator, 0, 1) < recipe.gray
        image = torch.where(is_gray, image.mean(1, keepdim=True), image)
    if recipe.mix and channels > 1:
        image = changes.mix(image, _draw(image, generator, 0, recipe.mix), _draw_rows(image, generator))
    if recipe.invert:
        image = torch.where(_draw(image, generator, 0, 1) < recipe.invert, 1 - image, image)
    if recipe.gamma != (1.0, 1.0):
        image = changes.raise_to(image, _draw(image, generator, *recipe.gamma))
    if recipe.contrast != (1.0, 1.0):
        image = changes.spread(image, _draw(image, generator, *recipe.contrast))
    image = image * _draw(image, generator, *recipe.gain) + _draw(image, generator, -recipe.offset, recipe.offset)
    if recipe.colour and channels > 1:
        image = image * _draw(image, generator, 1 - recipe.colour, 1 + recipe.colour, channels)
        image = image + _draw(image, generator, -recipe.colour / 2, recipe.colour / 2, channels)
    return image


def _change_sharpness(recipe: IntensityRecipe, image: Tensor, generator: Generator) -> Tensor:
    if recipe.blur:
        is_blurred = _draw(image, generator, 0, 1) < recipe.blur_share
        sigma = _draw(image, generator, 0.3, recipe.blur)
        image = changes.blur(image, torch.where(is_blurred, sigma, torch.zeros_like(sigma)))
    if recipe.coarse > 1:
        is_coarse = _draw(image, generator, 0, 1) < recipe.coarse_share
        factor = _draw(image, generator, 1, recipe.coarse)
        image = changes.coarsen(image, torch.where(is_coarse, factor, torch.ones_like(factor)))
    return image


def _draw(image: Tensor, generator: Generator, low: float, high: float, width: int = 1) -> Tensor:
    """Draw uniformly, (N, width, 1, ...) on the image's device."""
    values = low + (high - low) * torch.rand((len(image), width), generator=generator)
    return values.reshape(len(image), width, *(1,) * (image.ndim - 2)).to(image.device)


def _draw_rows(image: Tensor, generator: Generator) -> Tensor:
    """Draw the weights with which channels are mixed, (N, C, C); each row sums to 1."""
    n, channels = image.shape[:2]
    rows = torch.rand((n, channels, channels), generator=generator) + 1e-3
    return (rows / rows.sum(-1, keepdim=True)).to(image.device)
