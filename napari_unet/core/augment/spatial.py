"""Flip, turn, scale and bend patches, image and targets alike.

References
----------
Elastic deformation from a coarse grid of displacements: O. Ronneberger et al., U-Net, MICCAI 2015, section 3.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, cos, exp, log, radians, sin

import torch
from torch import Generator, Tensor

ELASTIC_KNOTS = 4
"""Knots per axis of the displacement grid."""

OVERSHOOT = 1.3
"""Between its knots a cubic displacement goes beyond them, by less than this."""

ISOTROPIC = 1.25
"""Voxels whose longest edge is longer than this times the shortest are no cubes: Z is then never turned into XY."""


@dataclass(frozen=True)
class SpatialRecipe:
    """Bounds of the spatial draws.

    Parameters
    ----------
    flip, quarter_turns : bool
        Mirror any axis; turn by 90 degrees in the XY plane.
    rotation : float, degrees
        Largest turn in the XY plane.
    scale : (float, float)
        Bounds of the enlargement, drawn log-uniformly.
    elastic : float, 0..1
        Share of the patches that are bent.
    bend : float, voxels
        Standard deviation of the displacements, in voxels of the finest axis.
    tilt : float, degrees
        Largest turn out of the XY plane, for stacks whose voxels are known to be cubes.
    """

    flip: bool = True
    quarter_turns: bool = True
    rotation: float = 30.0
    scale: tuple[float, float] = (0.75, 1.35)
    elastic: float = 0.1
    bend: float = 4.0
    tilt: float = 0.0

    def for_voxels(self, voxel_size: tuple[float, ...] | None) -> SpatialRecipe:
        """Give the recipe for voxels of a size: without tilt, unless they are known to be cubes."""
        is_cube = voxel_size is not None and max(voxel_size) <= ISOTROPIC * min(voxel_size)
        return self if is_cube or not self.tilt else replace(self, tilt=0.0)


@dataclass(frozen=True)
class SpatialDraw:
    """The parameters of one batch.

    Parameters
    ----------
    matrix : (N, D, D) float
        Maps an offset from the patch's middle, in voxels, to one in the source.
    displacement : (N, D, knots, ...) float or None
        Additional offsets in voxels on a coarse grid.
    """

    matrix: Tensor
    displacement: Tensor | None

    def __getitem__(self, index: int) -> SpatialDraw:
        """Give the parameters of one patch, as a batch of one."""
        part = slice(index, index + 1)
        return SpatialDraw(self.matrix[part], None if self.displacement is None else self.displacement[part])

    def margin(self, index: int, patch: tuple[int, ...]) -> tuple[int, ...]:
        """Give how far a patch reaches out of its place, in voxels on each side of each axis.

        Less than 0 where it is enlarged: then not all of its place is seen.
        """
        half = torch.tensor([(n - 1) / 2 for n in patch])
        reach = self.matrix[index].abs() @ half
        if self.displacement is not None:
            reach = reach + OVERSHOOT * self.displacement[index].flatten(1).abs().amax(1)
        return tuple(ceil(float(r) - n / 2) + 1 for r, n in zip(reach, patch, strict=True))


def draw_spatial(
    recipe: SpatialRecipe, n: int, dims: int, generator: Generator, voxel_size: tuple[float, ...] | None = None
) -> SpatialDraw:
    """Draw the parameters of `n` patches.

    Parameters
    ----------
    recipe : SpatialRecipe
        The bounds.
    n, dims : int
        Patches, and their axes: 2 or 3.
    generator : Generator
        On the CPU.
    voxel_size : tuple of float, any unit, or None
        The edges of a voxel. Turns stay in the XY plane unless they are equal (`SpatialRecipe.for_voxels`), and a
        coarse Z is bent by fewer voxels. None is unknown: turns stay in XY, all axes are bent alike.
    """
    recipe = recipe.for_voxels(voxel_size)
    matrices = torch.stack([_matrix(recipe, dims, generator) for _ in range(n)])
    bent = torch.rand(n, generator=generator) < recipe.elastic
    if not bent.any():
        return SpatialDraw(matrices, None)
    shape = (n, dims, *(ELASTIC_KNOTS,) * dims)
    displacement = torch.randn(shape, generator=generator) * recipe.bend
    displacement[~bent] = 0
    if voxel_size is not None:
        edges = torch.tensor(voxel_size, dtype=torch.float32)
        displacement = displacement / (edges / edges.min()).reshape(1, dims, *(1,) * dims)
    return SpatialDraw(matrices, displacement)


def _uniform(low: float, high: float, generator: Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _matrix(recipe: SpatialRecipe, dims: int, generator: Generator) -> Tensor:
    matrix = torch.eye(dims)
    if recipe.flip:
        matrix = matrix * torch.where(torch.rand(dims, generator=generator) < 0.5, -1.0, 1.0)
    angle = radians(_uniform(-recipe.rotation, recipe.rotation, generator))
    turn = _turned(dims, dims - 2, dims - 1, angle)
    if recipe.quarter_turns and float(torch.rand((), generator=generator)) < 0.5:
        quarter = torch.eye(dims)
        quarter[-2:, -2:] = torch.tensor([[0.0, -1.0], [1.0, 0.0]])
        turn = turn @ quarter
    if recipe.tilt and dims == 3:
        for axis in (1, 2):
            turn = turn @ _turned(dims, 0, axis, radians(_uniform(-recipe.tilt, recipe.tilt, generator)))
    enlargement = exp(_uniform(log(recipe.scale[0]), log(recipe.scale[1]), generator))
    return matrix @ turn / enlargement


def _turned(dims: int, one: int, other: int, angle: float) -> Tensor:
    """Give the matrix that turns the plane of two axes."""
    turn = torch.eye(dims)
    turn[one, one] = turn[other, other] = cos(angle)
    turn[one, other], turn[other, one] = -sin(angle), sin(angle)
    return turn


def apply_spatial(
    draw: SpatialDraw, image: Tensor, target: Tensor, patch: tuple[int, ...], *, vectors: bool
) -> tuple[Tensor, Tensor]:
    """Cut patches out of larger pieces.

    Parameters
    ----------
    draw : SpatialDraw
        From `draw_spatial`.
    image : (N, C, [Z,] Y, X) float
        Sampled linearly, mirrored at the edges.
    target : (N, K, [Z,] Y, X) float
        Targets and weights, sampled at the nearest voxel, 0 outside: nothing is known there.
    patch : tuple of int, voxels
        Size of the result, around the middle of the pieces.
    vectors : bool
        The first D channels of `target` are vectors and are turned along.

    Returns
    -------
    (N, C, *patch) and (N, K, *patch) float
    """
    grid = _grid(draw, image.shape[2:], patch, image.device)
    sample = torch.nn.functional.grid_sample
    image = sample(image, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    target = sample(target, grid, mode="nearest", padding_mode="zeros", align_corners=False)
    if vectors:
        target = torch.cat((_turn(draw, target), target[:, image.ndim - 2 :]), dim=1)
    return image, target


def _grid(draw: SpatialDraw, source: torch.Size, patch: tuple[int, ...], device: torch.device) -> Tensor:
    """Give the source position of each voxel of the patch, as `grid_sample` wants it: -1..1, X first."""
    dims = len(patch)
    axes = [torch.arange(n, dtype=torch.float32) - (n - 1) / 2 for n in patch]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).to(device)
    position = torch.einsum("nij,...j->n...i", draw.matrix.to(device), offsets)
    if draw.displacement is not None:
        mode = "bicubic" if dims == 2 else "trilinear"
        bend = torch.nn.functional.interpolate(draw.displacement.to(device), patch, mode=mode, align_corners=True)
        position = position + bend.movedim(1, -1)
    size = torch.tensor(list(source), dtype=torch.float32, device=device)
    return (position * 2 / size).flip(-1)


def _turn(draw: SpatialDraw, target: Tensor) -> Tensor:
    dims = draw.matrix.shape[-1]
    inverse = torch.linalg.inv(draw.matrix)
    # Vectors are in units of the object's radius, so scaling does not change them: only the turn is kept.
    inverse = inverse / torch.linalg.det(inverse).abs().pow(1 / dims)[:, None, None]
    return torch.einsum("nij,nj...->ni...", inverse.to(target.device), target[:, :dims])
