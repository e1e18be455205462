"""Derive network, patch, batch and voxel size from the data and the memory, each with its reason.

References
----------
F. Isensee et al.: nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation. Nat
Methods 2021, doi:10.1038/s41592-020-01008-z: supplementary note 2, the rule-based parameters. What differs here: a
bound on the depth (tiles have to see all of a network's context), a bound on the work of a step where there is no
GPU, and objects, which a patch has to hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, prod
from typing import TYPE_CHECKING

import numpy as np

from napari_unet.core.base.device import choose_device
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.memory import free_bytes as measure_free
from napari_unet.core.base.tiles import round_up
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline.cost import training_bytes
from napari_unet.core.pipeline.fingerprint import Fingerprint, look_at
from napari_unet.core.pipeline.plan_words import Decisions, Plan, explain
from napari_unet.core.pipeline.scale import sampling_of, voxel_factors, zoomed_shape
from napari_unet.core.pipeline.topology import SMALLEST_MAP, context, target_voxel_size, topology
from napari_unet.core.targets import get_target

if TYPE_CHECKING:
    from napari_unet.core.base.options import TrainOptions
    from napari_unet.core.store.training_set import Sample

__all__ = ["Plan", "make_plan"]

DEEPEST = {2: 5, 3: 4}
"""Poolings by dimensions: the context that every tile needs doubles with each."""

VIEW = 10
"""Object diameters across which a network has seen enough to know an object from its surroundings."""

BEYOND = 1.25
"""How much farther than a patch is long a network sees at most: it cannot learn what to do with more."""

OBJECTS_ACROSS = {2: 3, 3: 2}
"""Object diameters that a patch holds along each axis."""

LEAST_EDGE = 32
"""Voxels below which a patch is not made smaller for the sake of time, or of a wider network."""

LEAST_BATCH, MOST_BATCH = 2, 16
SHARE_OF_DATA = 0.05
"""Of all voxels: a batch holds no more, or each step would see the same."""

WORK = 2**19
"""Voxels in a step without a GPU: about a second on two cores with 16 channels, in 2D and in 3D."""

SHARE_OF_MEMORY = {"cpu": 0.5, "cuda": 0.8, "mps": 0.5}
MOST_MEMORY = 16 * 2**30
"""Bytes: larger steps have no use."""

BASES = {"cpu": (16, 8), "cuda": (32, 16, 8), "mps": (16, 8)}
"""Channels of the first level, best first; narrower ones where memory is short."""


def make_plan(samples: Sequence[Sample], options: TrainOptions, free_bytes: int | None = None) -> Plan:
    """Plan a training.

    Parameters
    ----------
    samples : sequence of Sample
        All of one kind.
    options : TrainOptions
        Target and device; the patch, batch, norm and deep supervision that the user fixed are kept.
    free_bytes : int or None
        Memory that is free; None measures it.

    Returns
    -------
    Plan
        Its patch is a multiple of what the network takes, no larger than a typical image rounded up to that, and its
        memory no more than is free.

    Raises
    ------
    UserError
        When the samples differ in kind, or not even the smallest network fits into the memory.
    """
    facts = look_at(samples, options.dims)
    device = choose_device(options.device).name
    free = measure_free(device) if free_bytes is None else free_bytes
    return _Planner(facts, options, device, free).plan()


class _Planner:
    """The facts that all rules look at."""

    def __init__(self, facts: Fingerprint, options: TrainOptions, device: str, free: int) -> None:
        self.facts, self.options, self.device, self.free = facts, options, device, free
        self.budget = min(SHARE_OF_MEMORY[device] * free, MOST_MEMORY)
        self.voxel_size = target_voxel_size(facts)
        self.sampling = sampling_of(self.voxel_size, facts.dims)
        self.object_size = facts.object_size if options.target == "instances" else None
        self.shape = self._typical_shape()

    def _typical_shape(self) -> tuple[int, ...]:
        """Give the median shape after images were brought to one voxel size."""
        shapes = self.facts.shapes
        if self.voxel_size is not None and self.facts.voxel_sizes is not None:
            factors = [voxel_factors(size, self.voxel_size) for size in self.facts.voxel_sizes]
            shapes = tuple(zoomed_shape(shape, factor) for shape, factor in zip(shapes, factors, strict=True))
        return tuple(int(n) for n in np.median(shapes, axis=0))

    def plan(self) -> Plan:
        """Try networks from wide to narrow until one fits."""
        smallest = 0
        bases = BASES[self.device]
        for base in bases:
            patch, config = self._shrink(base, at_any_price=base == bases[-1])
            smallest = training_bytes("unet", config, patch, self._least_batch())
            if smallest <= self.budget:
                break
        else:
            raise UserError(
                f"Training needs {smallest / 2**30:.1f} GB of memory; of {self.free / 2**30:.1f} GB that are free it "
                f"may use {self.budget / 2**30:.1f}.",
                "Close other programs, or give a smaller patch.",
            )
        batch = self.options.batch or self._batch(config, patch)
        memory = training_bytes("unet", config, patch, batch)
        plan = Plan("unet", config, patch, batch, self.voxel_size, (), memory)
        return replace(plan, words=explain(plan, self._decisions(config)))

    def _decisions(self, config: NetConfig) -> Decisions:
        return Decisions(
            facts=self.facts,
            options=self.options,
            device=self.device,
            free=self.free,
            shape=self.shape,
            sampling=self.sampling,
            object_size=self.object_size,
            view=2 * max(n * step for n, step in zip(context(config), self.sampling, strict=True)),
            widest=BASES[self.device][0],
            work=self._work(),
        )

    def _work(self) -> int | None:
        return None if self.device == "cuda" else WORK

    def _least_batch(self) -> int:
        return self.options.batch or LEAST_BATCH

    def _shrink(self, base: int, *, at_any_price: bool) -> tuple[tuple[int, ...], NetConfig]:
        """Start with a whole image; cut the axis that is longest in µm until memory and work allow it.

        At any price means: below what a patch should hold, for there is no narrower network left to try.
        """
        edges, batch = self._first_patch(), self._least_batch()
        while True:
            config = self._config(edges, base)
            multiple = config.multiple()
            patch = tuple(round_up(n, m) for n, m in zip(edges, multiple, strict=True))
            too_large = training_bytes("unet", config, patch, batch) > self.budget
            work = self._work()
            too_slow = work is not None and prod(patch) * batch > work
            floors = [1] * len(patch) if too_large and at_any_price else self._floors()
            able = [a for a, n in enumerate(patch) if n - multiple[a] >= max(floors[a], 2 * SMALLEST_MAP)]
            if self.options.patch or not able or not (too_large or too_slow):
                return patch, config
            axis = max(able, key=lambda a: patch[a] * self.sampling[a])
            edges = tuple(n - multiple[a] if a == axis else n for a, n in enumerate(patch))

    def _first_patch(self) -> tuple[int, ...]:
        if self.options.patch:
            return (self.options.patch,) * self.facts.dims
        # In the plane at least one pooling must be possible.
        least = [1] * (self.facts.dims - 2) + [2 * SMALLEST_MAP] * 2
        return tuple(max(n, one) for n, one in zip(self.shape, least, strict=True))

    def _floors(self) -> list[int]:
        """Give the edges below which a patch holds too few objects."""
        across = 0.0 if self.object_size is None else OBJECTS_ACROSS[self.facts.dims] * self.object_size
        wanted = [max(LEAST_EDGE, ceil(across)) / step for step in self.sampling]
        return [min(ceil(one), n) for one, n in zip(wanted, self.shape, strict=True)]

    def _config(self, edges: Sequence[int], base: int) -> NetConfig:
        dims, options = self.facts.dims, self.options
        n_classes = self.facts.highest if options.target == "semantic" else 0
        wide = NetConfig(
            dims=dims,
            in_channels=self.facts.channels,
            out_channels=get_target(options.target).n_outputs(dims, n_classes),
            base=base,
        )
        if options.norm != "auto":
            wide = replace(wide, norm=options.norm)
        if options.deep_supervision == "on":
            wide = replace(wide, deep_supervision=True)
        strides, kernels = topology(self.sampling, edges, DEEPEST[dims])
        depth = self._enough(strides, kernels, edges)
        is_plain = all(set(row) == {2} for row in strides[:depth])
        return replace(
            wide,
            depth=depth,
            strides=() if is_plain else strides[:depth],
            kernels=() if is_plain else (*kernels[:depth], (3,) * dims),
        )

    def _enough(
        self, strides: Sequence[tuple[int, ...]], kernels: Sequence[tuple[int, ...]], edges: Sequence[int]
    ) -> int:
        """Give the poolings after which the network sees enough objects, or all of a patch."""
        for depth in range(1, len(strides)):
            config = NetConfig(
                dims=self.facts.dims,
                depth=depth,
                strides=tuple(strides[:depth]),
                kernels=(*kernels[:depth], (3,) * self.facts.dims),
            )
            view = [2 * n for n in context(config)]
            if all(n >= BEYOND * edge for n, edge in zip(view, edges, strict=True)):
                return depth
            if self.object_size is not None and max(view) >= VIEW * self.object_size:
                return depth
        return len(strides)

    def _batch(self, config: NetConfig, patch: tuple[int, ...]) -> int:
        """Give the patches for which there is memory, time and data."""
        one, two = (training_bytes("unet", config, patch, n) for n in (1, 2))
        most = [MOST_BATCH, int((self.budget - one) / max(1, two - one)) + 1]
        most.append(int(SHARE_OF_DATA * sum(prod(shape) for shape in self.facts.shapes) / prod(patch)))
        work = self._work()
        if work is not None:
            most.append(work // prod(patch))
        return max(LEAST_BATCH, min(most))
