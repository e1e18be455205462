"""Single changes of intensity: what is drawn goes in as numbers, so that each does just what it says.

All take normalised patches (N, C, [Z,] Y, X) and give new ones of the same shape. A parameter has the shape
(N, 1, ...), or (N, C, ...) where the channels differ.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import conv2d, interpolate, pad

BLUR_RADIUS = 3
"""Voxels: enough for the largest sigma."""

LEAST_SHOT = 1e-3
"""Standard deviation below which nobody sees the shot noise: the Poisson law needs a finite number of photons."""


def raise_to(image: Tensor, exponent: Tensor) -> Tensor:
    """Raise to a power (gamma); below 0 a power is not defined, those few voxels stay as they are."""
    return torch.where(image > 0, image.clamp_min(1e-6) ** exponent, image)


def spread(image: Tensor, factor: Tensor) -> Tensor:
    """Change the contrast of each channel about its mean in the patch, so that its brightness stays."""
    mean = image.mean(dim=tuple(range(2, image.ndim)), keepdim=True)
    return mean + (image - mean) * factor


def mix(image: Tensor, share: Tensor, other: Tensor) -> Tensor:
    """Replace a share of each channel by a mean of all channels, as where one dye is seen in another's channel.

    Parameters
    ----------
    image : (N, C, ...) float
        Normalised.
    share : (N, 1, ...) float, 0..1
        0 leaves the patch alone.
    other : (N, C, C) float
        Not negative, each row with the sum 1: grey stays grey.
    """
    blend = torch.einsum("nij,nj...->ni...", other.to(image.dtype), image)
    return image + share * (blend - image)


def blur(image: Tensor, sigma: Tensor) -> Tensor:
    """Blur each patch in XY by its own sigma (N, 1, ...), in voxels; 0 leaves it alone."""
    chosen = torch.nonzero(sigma.flatten() > 0).flatten().tolist()
    if not chosen:
        return image
    image = image.clone()
    steps = torch.arange(-BLUR_RADIUS, BLUR_RADIUS + 1, device=image.device, dtype=image.dtype)
    for index in chosen:
        kernel = torch.exp(-0.5 * (steps / sigma.flatten()[index]) ** 2)
        kernel = kernel / kernel.sum()
        planes = image[index].reshape(-1, 1, *image.shape[-2:])
        planes = pad(planes, (BLUR_RADIUS,) * 4, mode="replicate")
        planes = conv2d(planes, kernel.view(1, 1, -1, 1))
        planes = conv2d(planes, kernel.view(1, 1, 1, -1))
        image[index] = planes.reshape(image[index].shape)
    return image


def coarsen(image: Tensor, factor: Tensor) -> Tensor:
    """Show each patch as if its voxels had been larger: along Z in a stack, along Y and X in a plane.

    Parameters
    ----------
    image : (N, C, [Z,] Y, X) float
        Normalised.
    factor : (N, 1, ...) float, at least 1
        How many times larger; 1 leaves the patch alone.

    Notes
    -----
    A thick slice sees the mean of the thin ones in it; between the thick slices the result is linear.
    """
    chosen = torch.nonzero(factor.flatten() > 1).flatten().tolist()
    if not chosen:
        return image
    image = image.clone()
    shape = tuple(image.shape[2:])
    for index in chosen:
        larger = float(factor.flatten()[index])
        few = tuple(max(1, round(n / larger)) for n in (shape if len(shape) == 2 else shape[:1]))
        thick = interpolate(image[index : index + 1], (*few, *shape[len(few) :]), mode="area")
        image[index] = interpolate(thick, shape, mode="bilinear" if len(shape) == 2 else "trilinear")[0]
    return image


def add_shot_noise(image: Tensor, deviation: Tensor, generator: Generator) -> Tensor:
    """Count photons: noise that follows the Poisson law, its variance growing with the brightness.

    Parameters
    ----------
    image : (N, C, ...) float
        What is below 0 has no photons and stays.
    deviation : (N, 1, ...) float
        Standard deviation of the noise where the image is 1: there come ``1 / deviation ** 2`` photons.
    generator : Generator
        On the CPU.
    """
    light = image.clamp_min(0)
    photons = deviation.clamp_min(LEAST_SHOT) ** -2
    place = _place_of_draws(image)
    counts = torch.poisson((light * photons).to(place), generator=generator_on(place, generator)).to(image.device)
    return image + torch.where(deviation > 0, counts / photons - light, torch.zeros_like(image))


def noise_like(image: Tensor, generator: Generator) -> Tensor:
    """Draw Gaussian noise with the standard deviation 1 for each voxel."""
    place = _place_of_draws(image)
    return torch.randn(image.shape, generator=generator_on(place, generator), device=place).to(image.device)


def generator_on(place: torch.device, generator: Generator) -> Generator:
    """Give a generator for a device that follows from the one on the CPU, whose state is what checkpoints keep."""
    if place.type == "cpu":
        return generator
    seed = int(torch.randint(2**62, (), generator=generator))
    return Generator(place).manual_seed(seed)


def _place_of_draws(image: Tensor) -> torch.device:
    """Choose where a number for each voxel is drawn: of the accelerators, only CUDA has all that is needed."""
    return image.device if image.is_cuda else torch.device("cpu")
