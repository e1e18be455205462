"""What the losses of classes share: how logits are read, and the overlap that several of them rate.

One channel of logits is a foreground against the rest (sigmoid); more are the background and its classes (softmax).
"""

from __future__ import annotations

import torch
from torch import Tensor


def cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Give the cross entropy of each voxel.

    Parameters
    ----------
    logits : (N, K, [Z,] Y, X) float
        Raw output: the foreground, or with K > 1 the background and the classes.
    target : (N, 1, [Z,] Y, X) float
        Class numbers 0..K - 1, or 0 and 1.

    Returns
    -------
    (N, 1, [Z,] Y, X) float, at least float32
    """
    logits = _precise(logits)
    if logits.shape[1] == 1:
        wanted = target.to(logits.dtype)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return torch.nn.functional.cross_entropy(logits, target[:, 0].long(), reduction="none").unsqueeze(1)


def probabilities(logits: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Give the probability and the truth of each class but the background; both 0 where nothing is annotated.

    Parameters
    ----------
    logits, target
        As in `cross_entropy`.
    weight : (N, 1, [Z,] Y, X) float
        0 where nothing is annotated.

    Returns
    -------
    two (N, C, [Z,] Y, X) float, 0..1
        C is 1 for a foreground, otherwise K - 1.
    """
    logits = _precise(logits)
    known = (weight > 0).to(logits.dtype)
    if logits.shape[1] == 1:
        return logits.sigmoid() * known, target.to(logits.dtype) * known
    truth = torch.nn.functional.one_hot(target[:, 0].long(), logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    return logits.softmax(1)[:, 1:] * known, truth[:, 1:] * known


def overlap_loss(logits: Tensor, target: Tensor, weight: Tensor, *, wrong: float, missed: float) -> Tensor:
    """Rate the overlap over the whole batch by 1 - TP / (TP + wrong FP + missed FN), the index of A. Tversky (1977).

    Parameters
    ----------
    logits, target, weight
        As in `probabilities`; only whether the weight is 0 counts.
    wrong, missed : float
        Price of false positives and of false negatives.

    Returns
    -------
    Tensor, scalar
        The mean of the classes that are annotated somewhere in the batch, without the background; 0 if none is: an
        index has nothing to overlap with there.
    """
    probability, truth = probabilities(logits, target, weight)
    axes = (0, *range(2, logits.ndim))
    found, there, both = probability.sum(axes), truth.sum(axes), (probability * truth).sum(axes)
    size = (1 - wrong - missed) * both + wrong * found + missed * there
    present = (there > 0).to(found.dtype)
    return ((1 - both / size.clamp_min(1e-6)) * present).sum() / present.sum().clamp_min(1)


def _precise(logits: Tensor) -> Tensor:
    """Compute in float32 at least: sums over half-precision voxels are off by per cents."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))
