"""Losses: 0 for the perfect output, blind where nothing is annotated, finite where there is nothing to find."""

from __future__ import annotations

import math
from dataclasses import replace

import edt
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.base.catalogue import LOSSES, MAP_LOSSES, look_up
from napari_unet.core.base.errors import UserError
from napari_unet.core.losses import boundary, hausdorff
from napari_unet.core.losses.dice_ce import dice_ce
from napari_unet.core.losses.distance import signed_distance
from napari_unet.core.losses.mean import weighted_mean
from napari_unet.core.nets import build
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline.criterion import criterion
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.sampler import Batch
from napari_unet.core.targets import TARGETS
from tests.core.phantoms import blobs, learn, tiny_spec

CLASSES = 3
CASES = [(name, n_out) for name in LOSSES for n_out in (1, CLASSES)] + [("smooth_l1", 1), ("masked_mse", 2)]
"""Every loss, with the channels of its output: of classes, a foreground as well as several."""


def find(name):
    return look_up(LOSSES | MAP_LOSSES, name, "loss")


def case(name, n_out, seed=0, shape=(6, 5)):
    """Draw an output, a target and a weight."""
    generator = torch.Generator().manual_seed(seed)
    output = torch.randn(2, n_out, *shape, generator=generator)
    if name in LOSSES:
        target = torch.randint(max(2, n_out), (2, 1, *shape), generator=generator).float()
    else:
        target = torch.rand(2, n_out, *shape, generator=generator)
    weight = 3 * torch.rand(2, 1, *shape, generator=generator)
    return output, target, weight * (torch.rand(2, 1, *shape, generator=generator) > 0.4)


def perfect(name, n_out, target):
    if name not in LOSSES:
        return target
    if n_out == 1:
        return 40 * (target - 0.5)
    return 40 * torch.nn.functional.one_hot(target[:, 0].long(), n_out).movedim(-1, 1).float()


@pytest.mark.parametrize("shape", [(6, 5), (3, 6, 5)], ids=["2D", "3D"])
@pytest.mark.parametrize(("name", "n_out"), CASES)
class TestEveryLoss:
    """What the training takes for granted of each loss."""

    def test_loss_when_the_output_is_perfect_then_is_0(self, name, n_out, shape):
        _, target, weight = case(name, n_out, shape=shape)
        assert find(name)(perfect(name, n_out, target), target, weight) == pytest.approx(0, abs=1e-4)

    def test_loss_when_the_output_gets_better_then_falls(self, name, n_out, shape):
        output, target, weight = case(name, n_out, shape=shape)
        shares = (0.0, 0.25, 0.5, 0.75, 1.0)
        outputs = [(1 - share) * output + share * perfect(name, n_out, target) for share in shares]
        losses = [float(find(name)(one, target, weight)) for one in outputs]
        assert losses == sorted(losses, reverse=True)
        assert losses[0] > 2 * losses[2] + 1e-3

    def test_loss_when_voxels_without_annotation_change_then_loss_and_gradient_stay(self, name, n_out, shape):
        output, target, weight = case(name, n_out, shape=shape)
        other_output, other_target, _ = case(name, n_out, seed=1, shape=shape)
        unknown = weight == 0
        changed = [
            torch.where(unknown, 9 * other_output, output).requires_grad_(),
            torch.where(unknown, other_target, target),
        ]
        output.requires_grad_()
        before, after = find(name)(output, target, weight), find(name)(*changed, weight)
        assert before > 0.01
        torch.testing.assert_close(before, after)
        before.backward()
        after.backward()
        torch.testing.assert_close(output.grad, changed[0].grad)
        assert (output.grad[unknown.expand_as(output)] == 0).all()
        assert (output.grad[~unknown.expand_as(output)] != 0).any()

    @pytest.mark.parametrize(("target_factor", "weight_factor"), [(0, 1), (1, 0), (0, 0)])
    def test_loss_when_nothing_is_there_or_known_then_gradient_is_finite(
        self, name, n_out, shape, target_factor, weight_factor
    ):
        output, target, weight = case(name, n_out, shape=shape)
        output = (30 * output).requires_grad_()
        loss = find(name)(output, target * target_factor, weight * weight_factor)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(output.grad).all()
        if weight_factor == 0:
            assert loss == 0
            assert (output.grad == 0).all()

    def test_loss_when_all_weights_double_then_stays(self, name, n_out, shape):
        output, target, weight = case(name, n_out, shape=shape)
        torch.testing.assert_close(find(name)(output, target, weight), find(name)(output, target, 2 * weight))


@pytest.mark.parametrize(("name", "n_out"), [case for case in CASES if case[0] in LOSSES])
def test_loss_when_the_output_is_bf16_then_is_computed_in_float32(name, n_out):
    output, target, weight = case(name, n_out, shape=(64, 64))
    half = output.bfloat16()
    loss = find(name)(half, target, weight)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, find(name)(half.float(), target, weight))


@pytest.mark.parametrize(("name", "n_out"), [case for case in CASES if case[0] in LOSSES])
def test_loss_when_all_is_foreground_then_is_finite(name, n_out):
    output, target, weight = case(name, n_out)
    output.requires_grad_()
    loss = find(name)(output, torch.ones_like(target), torch.ones_like(weight))
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(output.grad).all()


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", LOSSES)
def test_criterion_when_any_loss_of_classes_is_chosen_then_it_teaches_the_class(target, name):
    dims, n_classes = 2, 2
    n_out = TARGETS[target].n_outputs(dims, n_classes)
    labels = np.zeros((12, 12), np.int32)
    labels[2:7, 2:7], labels[8:11, 3:10] = 1, 2
    encoded = TARGETS[target].encode(labels, None, (1.0,) * dims)
    batch = Batch(torch.zeros(1, 1, 12, 12), *(torch.from_numpy(x)[None] for x in (encoded.target, encoded.weight)))
    logits = torch.zeros(1, n_out, 12, 12, requires_grad=True)
    terms = TARGETS[target].terms(dims, n_classes)
    loss = criterion(terms, name)(logits, batch)
    loss.backward()
    foreground = logits.grad[0, 0] if target == "instances" else -logits.grad[0, 0]
    assert (foreground[torch.from_numpy(labels > 0)] < 0).all()
    assert name == terms[0].loss or not torch.equal(loss, criterion(terms)(logits, batch))


def test_criterion_when_the_loss_is_one_of_maps_then_is_refused():
    with pytest.raises(UserError, match="no loss 'smooth_l1'") as caught:
        criterion(TARGETS["instances"].terms(2, 0), "smooth_l1")
    assert "dice_ce" in caught.value.hint


def test_criterion_when_a_target_has_no_classes_then_a_loss_of_classes_changes_nothing():
    terms = TARGETS["instances"].terms(2, 0)[1:]
    batch = Batch(torch.zeros(1, 1, 6, 6), torch.ones(1, 4, 6, 6), torch.ones(1, 2, 6, 6))
    logits = torch.randn(1, 4, 6, 6)
    assert criterion(terms, "focal")(logits, batch) == criterion(terms)(logits, batch) > 0


@pytest.mark.parametrize("name", LOSSES)
def test_train_when_a_loss_is_all_there_is_then_the_objects_are_found(name):
    one, other = (replace(s, labels=np.minimum(s.labels, 1)) for s in (blobs(seed=0), blobs(seed=9)))
    spec = tiny_spec(target="semantic", classes=("blob",))
    model = learn(spec, [one], patch=(48, 48), batch=2, steps=60, loss=name)
    net = build(spec.net, NetConfig.from_dict(spec.net_config)).eval()
    net.load_state_dict(model.weights)
    with torch.inference_mode():
        found = net(prepare(other, spec).image[None].float())[0].argmax(0).numpy()
    overlap = np.count_nonzero(found & other.labels)
    assert 2 * overlap > 0.9 * (np.count_nonzero(found) + np.count_nonzero(other.labels))


# --- by hand ---


def row(*values):
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 1, -1)


def test_dice_ce_when_of_a_foreground_then_agrees_with_the_hand():
    # probabilities 3/4 and 1/4 of a foreground and a background voxel; the third voxel is unknown
    logits, target, weight = row(math.log(3), -math.log(3), 9), row(1, 0, 1), row(1, 1, 0)
    entropy = -math.log(3 / 4)
    dice = 1 - 2 * 0.75 / (0.75 + 0.25 + 1)
    assert find("dice_ce")(logits, target, weight).item() == pytest.approx(entropy + dice)


def test_dice_ce_when_no_foreground_is_known_then_only_the_entropy_counts():
    assert find("dice_ce")(row(0.0, 0.0), row(0, 0), row(1, 1)).item() == pytest.approx(math.log(2))


def test_dice_ce_when_of_classes_then_agrees_with_the_hand():
    # two voxels, of class 1 and of background; class 2 does not occur, so its Dice does not count
    probability = torch.tensor([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1]], dtype=torch.float64)
    logits = probability.log().T.reshape(1, 3, 1, 2)
    entropy = -(math.log(0.5) + math.log(0.6)) / 2
    dice = 1 - 2 * 0.5 / (0.5 + 0.3 + 1)
    assert find("dice_ce")(logits, row(1, 0), row(1, 1)).item() == pytest.approx(entropy + dice)


@pytest.mark.parametrize("name", ["ce", "focal"])
def test_loss_when_voxels_have_weights_then_is_their_mean(name):
    logits, target = row(0.3, -1.2, 2.0), row(1, 1, 0)
    alone = [find(name)(logits[..., [i]], target[..., [i]], row(1)).item() for i in range(3)]
    expected = np.average(alone, weights=[1, 5, 0.5])
    assert find(name)(logits, target, row(1, 5, 0.5)).item() == pytest.approx(expected)


def test_signed_distance_when_measured_then_is_negative_inside_and_skips_the_unknown():
    mask = torch.tensor([0, 0, 0, 1, 1, 1, 1]).reshape(1, 1, 1, -1) > 0
    known = torch.ones_like(mask)
    assert signed_distance(mask, known).flatten().tolist() == [3, 2, 1, -1, -2, -3, -4]
    known[..., 3] = False  # the nearest voxel of the mask, for the outside
    known[..., 2] = False
    distance = signed_distance(mask, known)
    assert distance[known].tolist() == [4, 3, -3, -4, -5]


def test_boundary_when_computed_by_hand_then_agrees():
    # foreground of 2 in 5 voxels, all probabilities 1/2: distances -2, -1, 1, 2, 3 times differences -1/2 and 1/2
    logits, target, weight = row(0, 0, 0, 0, 0), row(1, 1, 0, 0, 0), row(1, 1, 1, 1, 1)
    found = find("boundary")(logits, target, weight) - dice_ce(logits, target, weight)
    assert found.item() == pytest.approx(boundary.SHARE * (2 + 1 + 1 + 2 + 3) / 2 / 5)


def test_boundary_when_an_error_is_farther_from_the_boundary_then_costs_more():
    target, weight = row(1, 1, 0, 0, 0, 0, 0), row(*[1] * 7)
    near, far = (row(9, 9, *[9 if i == at else -9 for i in range(5)]) for at in (0, 4))
    assert find("boundary")(far, target, weight) > find("boundary")(near, target, weight) + 1e-3
    torch.testing.assert_close(dice_ce(far, target, weight), dice_ce(near, target, weight))


def test_smooth_l1_when_computed_by_hand_then_is_squared_within_beta_and_absolute_beyond():
    # beta 0.1: 0.05 -> 0.05 ** 2 / 0.2; 0.5 -> 0.5 - 0.05; weights 1 and 3
    loss = find("smooth_l1")(row(0.05, 0.5), row(0, 0), row(1, 3))
    assert loss.item() == pytest.approx((0.0125 + 3 * 0.45) / 4)


def test_masked_mse_when_a_voxel_has_no_vector_then_does_not_count():
    output = torch.tensor([[1.0, 5.0], [1.0, 5.0]]).reshape(1, 2, 1, 2)
    target = torch.tensor([[0.0, 0.0], [0.5, 0.0]]).reshape(1, 2, 1, 2)
    assert find("masked_mse")(output, target, row(1, 1).float()).item() == pytest.approx((1 + 0.25) / 2)


@given(st.lists(st.tuples(st.floats(0, 100), st.floats(0, 10)), min_size=1, max_size=20))
def test_weighted_mean_when_given_any_values_then_lies_between_them(pairs):
    values, weights = (row(*column) for column in zip(*pairs, strict=True))
    mean = weighted_mean(values, weights).item()
    known = [v for v, w in pairs if w > 0]
    assert mean <= max(known, default=0) + 1e-6
    if weights.sum() > 1e-6:
        assert mean >= min(known) - 1e-6


# --- a second implementation ---


@pytest.fixture
def monai():
    """Give MONAI's losses; skip where it is absent."""
    return pytest.importorskip("monai.losses")


@pytest.mark.parametrize("shape", [(12, 10), (6, 8, 7)], ids=["2D", "3D"])
@pytest.mark.parametrize("n_out", [1, CLASSES])
class TestOracle:
    """Whole annotation with weights of 1 is what other packages know."""

    def all_known(self, n_out, shape):
        output, target, weight = case("ce", n_out, seed=3, shape=shape)
        return output, target, torch.ones_like(weight)

    def activation(self, n_out):
        """Choose MONAI's options for the same reading of logits; it warns of options that one channel ignores."""
        if n_out == 1:
            return {"sigmoid": True}
        return {"softmax": True, "to_onehot_y": True, "include_background": False}

    @pytest.mark.parametrize("weighted", [False, True])
    def test_ce_when_compared_with_torch_then_is_equal(self, n_out, shape, weighted):
        output, target, weight = self.all_known(n_out, shape)
        if weighted:
            weight = case("ce", n_out, shape=shape)[2]
        if n_out == 1:
            voxels = torch.nn.BCEWithLogitsLoss(reduction="none")(output, target)[:, 0]
        else:
            voxels = torch.nn.CrossEntropyLoss(reduction="none")(output, target[:, 0].long())
        expected = np.average(voxels.numpy(), weights=weight[:, 0].numpy())
        assert find("ce")(output, target, weight).item() == pytest.approx(expected, rel=1e-5)

    @pytest.mark.parametrize(
        ("name", "theirs", "options"),
        [
            ("dice", "DiceLoss", {}),
            ("jaccard", "DiceLoss", {"jaccard": True}),
            ("tversky", "TverskyLoss", {"alpha": 0.3, "beta": 0.7}),
        ],
    )
    def test_overlap_when_compared_with_monai_then_is_equal(self, monai, n_out, shape, name, theirs, options):
        # batch: one index over the batch; no smoothing: it would add to numerator and denominator
        same = {"batch": True, "smooth_nr": 0.0, "smooth_dr": 1e-6}
        output, target, weight = self.all_known(n_out, shape)
        expected = getattr(monai, theirs)(**self.activation(n_out), **same, **options)(output, target)
        torch.testing.assert_close(find(name)(output, target, weight), expected)

    def test_focal_when_compared_with_monai_then_is_equal(self, monai, n_out, shape):
        # none: their mean would divide by the number of classes as well; alpha None: weights take its place
        output, target, weight = self.all_known(n_out, shape)
        several = {"use_softmax": True, "to_onehot_y": True} if n_out > 1 else {}
        voxels = monai.FocalLoss(gamma=2.0, alpha=None, reduction="none", **several)(output, target)
        torch.testing.assert_close(find("focal")(output, target, weight), voxels.sum(1).mean())

    def test_dice_focal_when_compared_with_monai_then_is_equal(self, monai, n_out, shape):
        # their focal part leaves the background out with the Dice part's option and divides by the number of classes,
        # so it is equal for a foreground only; for classes the sum of the two parts above is what ours is
        output, target, weight = self.all_known(n_out, shape)
        if n_out == 1:
            options = {"sigmoid": True, "batch": True, "smooth_nr": 0.0, "smooth_dr": 1e-6, "gamma": 2.0}
            expected = monai.DiceFocalLoss(**options)(output, target)
        else:
            expected = find("dice")(output, target, weight) + find("focal")(output, target, weight)
        torch.testing.assert_close(find("dice_focal")(output, target, weight), expected)

    def test_hausdorff_when_compared_with_monai_then_the_distance_part_is_equal(self, monai, n_out, shape):
        output, target, weight = self.all_known(n_out, shape)
        # per patch and class, without the background; its mean has the same number of voxels everywhere
        options = self.activation(n_out) | {"include_background": n_out == 1}
        theirs = monai.HausdorffDTLoss(alpha=2.0, **options)(output, target)
        ours = find("hausdorff")(output, target, weight) - dice_ce(output, target, weight)
        torch.testing.assert_close(ours, hausdorff.SHARE * theirs, rtol=1e-4, atol=1e-6)

    def test_boundary_when_distances_are_made_one_by_one_then_is_equal(self, n_out, shape):
        # no package has it: the integral over the signed distances of each class of each patch
        output, target, weight = self.all_known(n_out, shape)
        expected = []
        for patch in range(len(target)):
            for number in range(1, max(2, n_out)):
                mask = (target[patch, 0] == number).numpy()
                signed = np.where(mask, -edt.edt(mask), edt.edt(~mask))
                chance = output[patch, 0].sigmoid() if n_out == 1 else output[patch].softmax(0)[number]
                expected.append(signed * (chance.numpy() - mask))
        ours = find("boundary")(output, target, weight) - dice_ce(output, target, weight)
        assert ours.item() == pytest.approx(boundary.SHARE * np.mean(expected), rel=1e-3)
