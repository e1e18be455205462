"""Learn from a few cells within a second: only the last layer, fitted to features that are computed once.

References
----------
A. Hoerl, R. Kennard: Ridge Regression (a prior against few samples). Technometrics 1970,
doi:10.1080/00401706.1970.10488634.
D. Liu, J. Nocedal: On the limited memory BFGS method (the solver). Math. Program. 1989, doi:10.1007/BF01589116.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from napari_unet.core.base.device import choose_device, choose_dtype
from napari_unet.core.base.tiles import bounding_box, round_up
from napari_unet.core.pipeline.criterion import criterion
from napari_unet.core.pipeline.engine import fold_norms
from napari_unet.core.pipeline.evaluate import score
from napari_unet.core.pipeline.halo import exact_halo, fast_halo
from napari_unet.core.pipeline.prepare import prepare_all
from napari_unet.core.pipeline.sampler import Batch, cut
from napari_unet.core.pipeline.split import split
from napari_unet.core.store.models import Model

if TYPE_CHECKING:
    from napari_unet.core.pipeline.deep import Loss
    from napari_unet.core.pipeline.prepare import Prepared
    from napari_unet.core.store.training_set import Sample

STRENGTHS = (1e-2, 1e-1, 1.0)
"""Of the prior: what one standard deviation of change costs. The one that predicts held-out voxels best is taken."""

MUST_GAIN = 0.01
"""In the score on held-out annotations; less is chance, and the old head stays."""

MOST_VOXELS = 20_000
"""That are fitted to; of more, so many are drawn."""

BLOCK = {2: 512, 3: 64}
"""Voxels along each side of what the network computes at a time."""

ITERATIONS = 15

HIGH = 0.95
"""Quantile of the distances that is brought back to where it belongs."""

MOST_GAIN = 4.0
"""A fit to features that say little gives distances near their mean; they are stretched by this at most."""


@dataclass(frozen=True)
class Seen:
    """What the head sees of annotated voxels, and what it should answer.

    Parameters
    ----------
    features : (n, F) float32
        Of the decoder.
    target : (n, K) float32
        In the order of the network's output.
    weight : (n, 2) float32
        For the class, and for what needs a whole object.
    """

    features: Tensor
    target: Tensor
    weight: Tensor


def refit(model: Model, samples: Sequence[Sample], *, seed: int = 0, device: str = "auto") -> Model | None:
    """Fit the last layer of a model to annotations, if that finds objects that it was not fitted to better.

    Parameters
    ----------
    model : Model
        Where it starts; not changed.
    samples : sequence of Sample
        What it learns from.
    seed : int
        Of the choice of voxels, where there are many.
    device : str
        As in ``TrainOptions``.

    Returns
    -------
    Model or None
        None where the old head does as well on what was held out, nothing could be held out, or the network has no
        such head.

    Notes
    -----
    The folds are those that fine-tuning is judged by. The strength of the prior is chosen by the loss on what was held
    out; then the objects found there have to be better than those of the old head.
    """
    network = model.build()
    head, folds = getattr(network, "head", None), split(samples, semantic=model.spec.target == "semantic").folds
    if not isinstance(head, nn.Conv2d | nn.Conv3d) or not hasattr(network, "features") or not folds:
        return None
    see = partial(look, model, copy.deepcopy(network), seed=seed, device=device)
    parts = [(see(prepare_all(fold.train, model.spec)), see(prepare_all(fold.held_out, model.spec))) for fold in folds]
    fits = [_Fit(model, head, taught) for taught, _ in parts]
    lost = {
        strength: sum(fit.rate(held, fit.find(strength)) for fit, (_, held) in zip(fits, parts, strict=True))
        for strength in STRENGTHS
    }
    best = min(lost, key=lambda strength: lost[strength])
    before = after = 0.0
    for fit, fold in zip(fits, folds, strict=True):
        before += score(model, fold.held_out)
        after += score(fit.model(fit.find(best)), fold.held_out)
    if not after >= before + MUST_GAIN * len(folds):
        return None
    whole = _Fit(model, head, see(prepare_all(samples, model.spec)))
    return whole.model(whole.find(best))


class _Fit:
    """Fit changes of a head; features are brought to the mean 0 and the deviation 1, so that one prior fits all."""

    def __init__(self, model: Model, head: nn.Conv2d | nn.Conv3d, seen: Seen) -> None:
        self.of, self.seen = model, seen
        self.old = head.weight.detach().flatten(1), _bias(head)
        self.mean = seen.features.mean(0)
        self.deviation = seen.features.std(0).clamp_min(1e-6)
        self.loss = criterion(model.target.terms(model.spec.dims, len(model.spec.classes)))

    def rate(self, seen: Seen, head: tuple[Tensor, Tensor]) -> float:
        """Give the loss of a head on some voxels."""
        with torch.no_grad():
            return float(_loss(self.loss, seen.features @ head[0].T + head[1], seen))

    def find(self, strength: float) -> tuple[Tensor, Tensor]:
        """Find the weights (K, F) and offsets (K,) that are best, if one deviation of change costs `strength`."""
        weight, bias = self.old
        step, offset = torch.zeros_like(weight, requires_grad=True), torch.zeros_like(bias, requires_grad=True)
        old = self.seen.features @ weight.T + bias
        standard = (self.seen.features - self.mean) / self.deviation
        solver = torch.optim.LBFGS([step, offset], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

        def rate() -> Tensor:
            solver.zero_grad()
            prior = strength * ((step**2).sum() + (offset**2).sum())
            total = _loss(self.loss, old + standard @ step.T + offset, self.seen) + prior
            total.backward()  # type: ignore[no-untyped-call]
            return total

        solver.step(rate)  # type: ignore[no-untyped-call, unused-ignore]
        change = step.detach() / self.deviation
        return self._stretched(weight + change, bias + offset.detach() - change @ self.mean)

    def _stretched(self, weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
        """Let the distances rise as high as they should: a fit that is unsure stays near their mean."""
        inside = self.seen.target[:, 0] > 0.5
        if not self.of.target.vectors or not inside.any():
            return weight, bias
        found = self.seen.features[inside] @ weight[1] + bias[1]
        gain = float(self.seen.target[inside, 1].quantile(HIGH) / found.quantile(HIGH).clamp_min(1e-3))
        scale = torch.ones_like(bias)
        scale[1] = min(max(gain, 1.0), MOST_GAIN)
        return weight * scale[:, None], bias * scale

    def model(self, head: tuple[Tensor, Tensor]) -> Model:
        """Put a head into the model."""
        shape = self.of.weights["head.weight"].shape
        return Model(self.of.spec, dict(self.of.weights) | {"head.weight": head[0].view(shape), "head.bias": head[1]})


def _bias(head: nn.Conv2d | nn.Conv3d) -> Tensor:
    return torch.zeros(head.out_channels) if head.bias is None else head.bias.detach()


def _loss(loss: Loss, logits: Tensor, seen: Seen) -> Tensor:
    """Rate logits (n, K) as if the voxels were one image of one row."""
    image, target, weight = (part.T.reshape(1, part.shape[1], 1, -1) for part in (logits, seen.target, seen.weight))
    return loss(image, Batch(image, target, weight))


def look(model: Model, network: nn.Module, samples: Sequence[Prepared], *, seed: int, device: str) -> Seen:
    """Compute what the head sees of all annotated voxels, or of `MOST_VOXELS` of them.

    Parameters
    ----------
    model, network
        The model, and its network as it was built; made ready for inference in place.
    samples : sequence of Prepared
        At the network's scale.
    seed : int
        Of the choice.
    device : str
        As in ``TrainOptions``.
    """
    place = torch.device(choose_device(device).name)
    dtype = choose_dtype("auto", place.type)
    layout = torch.channels_last if model.spec.dims == 2 else torch.channels_last_3d
    network = fold_norms(network).to(place, dtype).to(memory_format=layout)  # type: ignore[call-overload]  # not in stubs
    multiple = model.net_config.multiple()
    halo = fast_halo(exact_halo(model.spec.net, model.net_config) or tuple(6 * m for m in multiple))
    dims, found = model.spec.dims, list[Seen]()
    for sample in samples:
        target = sample.target
        if model.target.vectors:  # prepared with the vectors in front
            target = torch.cat((target[dims:-2], target[:dims], target[-2:]))
        for read, inner, core in _blocks(sample, halo, multiple):
            known = target[-2][core] > 0
            size = tuple(part.stop - part.start for part in read)
            image = cut(sample.image, [part.start for part in read], size, mirror=True)[None].to(place, dtype)
            with torch.inference_mode():
                features = network.features(image.contiguous(memory_format=layout))[0]  # type: ignore[operator]  # a method
            chosen = features[(slice(None), *inner)][:, known.to(place)].T.float().cpu().clone()
            values = target[(slice(None), *core)][:, known].T.float()
            found.append(Seen(chosen, values[:, :-2], values[:, -2:]))
    seen = Seen(*(torch.cat([getattr(one, name) for one in found]) for name in ("features", "target", "weight")))
    if len(seen.features) <= MOST_VOXELS:
        return seen
    chosen = torch.randperm(len(seen.features), generator=torch.Generator().manual_seed(seed))[:MOST_VOXELS]
    return Seen(seen.features[chosen], seen.target[chosen], seen.weight[chosen])


def _blocks(
    sample: Prepared, halo: tuple[int, ...], multiple: tuple[int, ...]
) -> Iterator[tuple[list[slice], list[slice], tuple[slice, ...]]]:
    """Cut what is annotated of a sample into blocks; gives what is read, the middle of that, and where it lies."""
    known = (sample.target[-2] > 0).numpy()
    if not known.any():
        return
    edge = BLOCK[known.ndim]
    starts = [range(part.start, part.stop, edge) for part in bounding_box(known)]
    for start in product(*starts):
        whole = tuple(slice(first, min(first + edge, n)) for first, n in zip(start, known.shape, strict=True))
        if not known[whole].any():
            continue
        tight = bounding_box(known[whole])
        core = tuple(slice(w.start + t.start, w.start + t.stop) for w, t in zip(whole, tight, strict=True))
        read = []
        for part, h, m in zip(core, halo, multiple, strict=True):
            first = (part.start - h) // m * m
            read.append(slice(first, first + round_up(part.stop + h - first, m)))
        inner = [slice(c.start - r.start, c.stop - r.start) for c, r in zip(core, read, strict=True)]
        yield read, inner, core
