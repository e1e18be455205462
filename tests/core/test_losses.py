"""Losses: 0 for the perfect output, blind where nothing is annotated, finite where there is nothing to find."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.losses import LOSSES
from napari_unet.core.losses.mean import weighted_mean

CLASSES = 3
CHANNELS = {"bce_dice": (1, 1), "ce_dice": (CLASSES, 1), "masked_mse": (2, 2), "smooth_l1": (1, 1)}
"""Channels of the output and of the target."""


def case(name, seed=0, shape=(6, 5)):
    """Draw an output, a target and a weight."""
    generator = torch.Generator().manual_seed(seed)
    n_out, n_target = CHANNELS[name]
    output = torch.randn(2, n_out, *shape, generator=generator)
    if name == "ce_dice":
        target = torch.randint(CLASSES, (2, 1, *shape), generator=generator).float()
    elif name == "bce_dice":
        target = (torch.rand(2, 1, *shape, generator=generator) > 0.5).float()
    else:
        target = torch.rand(2, n_target, *shape, generator=generator)
    weight = 3 * torch.rand(2, 1, *shape, generator=generator)
    return output, target, weight * (torch.rand(2, 1, *shape, generator=generator) > 0.4)


def perfect(name, target):
    if name == "bce_dice":
        return 40 * (target - 0.5)
    if name == "ce_dice":
        return 40 * torch.nn.functional.one_hot(target[:, 0].long(), CLASSES).movedim(-1, 1).float()
    return target


@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5)], ids=["2D", "3D"])
@pytest.mark.parametrize("name", LOSSES)
class TestEveryLoss:
    """What the training takes for granted of each loss."""

    def test_loss_when_the_output_is_perfect_then_is_0(self, name, shape):
        _, target, weight = case(name, shape=shape)
        assert LOSSES[name](perfect(name, target), target, weight) == pytest.approx(0, abs=1e-4)

    def test_loss_when_the_output_gets_better_then_falls(self, name, shape):
        output, target, weight = case(name, shape=shape)
        better = 0.5 * output + 0.5 * perfect(name, target)
        assert LOSSES[name](better, target, weight) < LOSSES[name](output, target, weight)

    def test_loss_when_voxels_without_annotation_change_then_loss_and_gradient_stay(self, name, shape):
        output, target, weight = case(name, shape=shape)
        other_output, other_target, _ = case(name, seed=1, shape=shape)
        unknown = weight == 0
        changed = [
            torch.where(unknown, other_output, output).requires_grad_(),
            torch.where(unknown, other_target, target),
        ]
        output.requires_grad_()
        before, after = LOSSES[name](output, target, weight), LOSSES[name](*changed, weight)
        assert before > 0.01
        torch.testing.assert_close(before, after)
        before.backward()
        after.backward()
        torch.testing.assert_close(output.grad, changed[0].grad)
        assert (output.grad[unknown.expand_as(output)] == 0).all()

    @pytest.mark.parametrize(("target_factor", "weight_factor"), [(0, 1), (1, 0), (0, 0)])
    def test_loss_when_nothing_is_there_or_known_then_gradient_is_finite(
        self, name, shape, target_factor, weight_factor
    ):
        output, target, weight = case(name, shape=shape)
        output.requires_grad_()
        loss = LOSSES[name](output, target * target_factor, weight * weight_factor)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(output.grad).all()
        if weight_factor == 0:
            assert loss == 0
            assert (output.grad == 0).all()

    def test_loss_when_all_weights_double_then_stays(self, name, shape):
        output, target, weight = case(name, shape=shape)
        torch.testing.assert_close(LOSSES[name](output, target, weight), LOSSES[name](output, target, 2 * weight))


def row(*values):
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, -1)


def test_bce_dice_when_computed_by_hand_then_agrees():
    # probabilities 3/4 and 1/4 of a foreground and a background voxel; the third voxel is unknown
    logits, target, weight = row(math.log(3), -math.log(3), 9), row(1, 0, 1), row(1, 1, 0)
    entropy = -math.log(3 / 4)
    dice = 1 - 2 * 0.75 / (0.75 + 0.25 + 1)
    assert LOSSES["bce_dice"](logits, target, weight).item() == pytest.approx(entropy + dice)


def test_bce_dice_when_no_foreground_is_known_then_only_the_entropy_counts():
    assert LOSSES["bce_dice"](row(0.0, 0.0), row(0, 0), row(1, 1)).item() == pytest.approx(math.log(2))


def test_ce_dice_when_computed_by_hand_then_agrees():
    # two voxels, of class 1 and of background; class 2 does not occur, so its Dice does not count
    probability = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], dtype=torch.float64)
    logits = probability.log().T.reshape(1, 3, 1, 2)
    entropy = -(math.log(0.5) + math.log(0.6)) / 2
    dice = 1 - 2 * 0.5 / (0.5 + 0.3 + 1)
    assert LOSSES["ce_dice"](logits, row(1, 0), row(1, 1)).item() == pytest.approx(entropy + dice)


def test_smooth_l1_when_computed_by_hand_then_is_squared_within_beta_and_absolute_beyond():
    # beta 0.1: 0.05 -> 0.05 ** 2 / 0.2; 0.5 -> 0.5 - 0.05; weights 1 and 3
    loss = LOSSES["smooth_l1"](row(0.05, 0.5), row(0, 0), row(1, 3))
    assert loss.item() == pytest.approx((0.0125 + 3 * 0.45) / 4)


def test_masked_mse_when_a_voxel_has_no_vector_then_does_not_count():
    output = torch.tensor([[1.0, 5.0], [1.0, 5.0]]).reshape(1, 2, 1, 2)
    target = torch.tensor([[0.0, 0.0], [0.5, 0.0]]).reshape(1, 2, 1, 2)
    assert LOSSES["masked_mse"](output, target, row(1, 1).float()).item() == pytest.approx((1 + 0.25) / 2)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)), min_size=1, max_size=20))
def test_weighted_mean_when_given_any_values_then_lies_between_them(pairs):
    values, weights = (row(*column) for column in zip(*pairs, strict=True))
    mean = weighted_mean(values, weights).item()
    known = [v for v, w in pairs if w > 0]
    assert mean <= max(known, default=0) + 1e-6
    if weights.sum() > 1e-6:
        assert mean >= min(known) - 1e-6
