"""Pre-training: what is hidden, what the loss sees of it, and what a training gets from it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from napari_unet.core.base.errors import Cancelled, UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline import pretrain as pretraining
from napari_unet.core.pipeline.criterion import criterion
from napari_unet.core.pipeline.hiding import Hiding, HidingModel
from napari_unet.core.pipeline.pretrain import pretrain
from napari_unet.core.pipeline.sampler import Batch
from napari_unet.core.pipeline.scratch import train_new
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.pipeline.start import take_weights
from napari_unet.core.store.models import initial_model, load_model, save_model
from napari_unet.core.targets import get_target
from tests.core.phantoms import blobs, tiny_spec

QUICK = TrainOptions(budget="2steps", patch=32, batch=2, device="cpu", precision="fp32")
DICE = torch.Generator()


def restorer(channels=1, dims=2):
    """Describe a tiny pre-trained model."""
    config = NetConfig(dims=dims, in_channels=channels, out_channels=channels, base=4, depth=2).to_dict()
    names = tuple(f"channel {n}" for n in range(channels))
    return tiny_spec(
        dims=dims, target="restoration", classes=names, channels=channels, colour="exact", net_config=config
    )


@pytest.fixture
def hider():
    return HidingModel(restorer(2), initial_model(restorer(2)).weights, Hiding((1.0, 1.0)))


def test_spoil_when_blocks_are_hidden_then_their_share_is_right_and_only_the_mean_is_left():
    image = torch.rand(8, 2, 96, 96)
    spoilt, hidden = Hiding((1.0, 1.0), noise=0.0, blur=0.0).spoil(image, DICE.manual_seed(0))
    assert set(hidden.unique().tolist()) == {0.0, 1.0}
    assert float(hidden.mean()) == pytest.approx(0.6, abs=0.05)
    mean = image.mean((2, 3), keepdim=True).expand_as(image)
    is_hidden = hidden.expand_as(image) > 0
    torch.testing.assert_close(spoilt[is_hidden], mean[is_hidden])
    torch.testing.assert_close(spoilt[~is_hidden], image[~is_hidden])


def test_spoil_when_noise_and_blur_are_on_then_the_rest_changes_a_little():
    image = torch.rand(8, 1, 64, 64)
    spoilt, hidden = Hiding((1.0, 1.0)).spoil(image, DICE.manual_seed(0))
    changed = (spoilt - image)[hidden == 0]
    assert 0 < float(changed.abs().mean()) < float(image.std())


def test_spoil_when_planes_are_far_apart_then_blocks_are_flat():
    _, hidden = Hiding((8.0, 1.0, 1.0)).spoil(torch.rand(4, 1, 32, 32, 32), DICE.manual_seed(0))
    changes = [float((hidden.diff(dim=axis) != 0).float().mean()) for axis in (2, 3, 4)]
    assert changes[0] > 3 * max(changes[1:])


def test_hiding_model_when_it_learns_then_gives_its_error_where_it_could_not_see(hider):
    network, image = hider.build(), torch.rand(3, 2, 32, 32)
    torch.testing.assert_close(network(image), initial_model(restorer(2)).build()(image))
    network.train()
    with torch.random.fork_rng():
        torch.manual_seed(3)
        error = network(image)
        torch.manual_seed(3)
        hidden = hider.hiding.spoil(image)[1]
    seen = hidden.expand_as(error) == 0
    assert (error[seen] == 0).all()
    assert (error[~seen] != 0).any()


def test_restoration_when_the_error_is_nought_then_so_is_the_loss_and_no_loss_of_classes_counts():
    terms = get_target("restoration").terms(2, 2)
    zeros = Batch(torch.zeros(1, 2, 8, 8), torch.zeros(1, 1, 8, 8), torch.ones(1, 2, 8, 8))
    for name in ("auto", "focal"):
        rate = criterion(terms, name)
        assert rate(torch.zeros(1, 2, 8, 8), zeros) == 0
        assert rate(torch.ones(1, 2, 8, 8), zeros) == pytest.approx(0.95)  # absolute, less half of beta


@pytest.fixture(scope="module")
def pretrained():
    options = replace(QUICK, budget="40steps", learning_rate=5e-3)
    return pretrain([blobs(n, (64, 64), 6, name="blobs").image for n in range(10)], options, "pre")


def test_pretrain_when_it_goes_on_then_the_loss_falls_and_what_was_held_out_is_judged(pretrained):
    model, result = pretrained
    losses = [row.loss for row in result.history]
    assert losses[-1] < 0.7 * losses[0]
    assert model.spec.scores == {"restored of held-out images": result.score}
    assert len(model.spec.data) == 10  # images of one name are told apart
    assert (model.spec.target, model.spec.can_segment) == ("restoration", False)


def test_pretrain_when_saved_and_loaded_then_is_the_same_and_is_refused_for_segmenting(pretrained, tmp_path):
    save_model(pretrained[0], tmp_path / "pre")
    loaded = load_model(tmp_path / "pre")
    assert all(torch.equal(value, loaded.weights[name]) for name, value in pretrained[0].weights.items())
    with pytest.raises(UserError, match="images alone") as caught:
        segment(loaded, blobs(shape=(32, 32), n=2).image)
    assert caught.value.hint


@pytest.mark.parametrize("shape", [(48, 48), (16, 32, 32)], ids=["2D", "3D"])
def test_train_new_when_it_starts_from_a_pre_trained_model_then_learns_with_its_network_and_weights(pretrained, shape):
    sample = blobs(shape=shape, n=4, radius=5.0)
    model, result = train_new([sample], replace(QUICK, batch=1), "new", start=pretrained[0])
    assert result.steps == 2
    assert model.spec.parent == "pre"
    assert "Its training started from 'pre'" in model.spec.description
    assert model.spec.net_config["depth"] == pretrained[0].spec.net_config["depth"]


def test_take_weights_when_targets_differ_then_all_but_the_head_comes_from_the_start():
    start = initial_model(restorer(), seed=1)
    # As many outputs as the start has, so that only the target tells them apart.
    goal = tiny_spec(target="semantic", classes=("one",), net_config=restorer().net_config, seed=2)
    first = initial_model(goal, seed=2)
    found = take_weights(first, start)
    same = {name for name, value in found.weights.items() if torch.equal(value, start.weights[name])}
    fresh = {name for name in found.weights if name.startswith("head.")}
    assert same == set(found.weights) - fresh
    assert fresh


def test_train_new_when_the_start_is_3d_and_the_images_are_not_then_it_is_refused():
    with pytest.raises(UserError, match="is a 3D model"):
        train_new([blobs(shape=(32, 32), n=4)], QUICK, "new", start=initial_model(restorer(dims=3)))


def test_pretrain_when_stopped_in_the_middle_then_goes_on_to_the_same_weights(tmp_path):
    images = [blobs(shape=(48, 48), n=5).image]
    options = replace(QUICK, budget="4steps")

    def interrupt(progress):
        if progress.payload is not None and progress.payload.step == 2:
            raise Cancelled

    with pytest.raises(Cancelled):
        pretrain(images, options, "pre", interrupt, checkpoint=tmp_path)
    resumed, _ = pretrain(images, options, "pre", checkpoint=tmp_path)
    whole, _ = pretrain(images, options, "pre")
    assert all(torch.equal(value, resumed.weights[name]) for name, value in whole.weights.items())


@pytest.mark.parametrize(
    ("images", "options", "words"),
    [
        ([], QUICK, "nothing to learn from"),
        ([Image(np.ones((9, 9)), "YX")], QUICK, "constant"),
        ([blobs(shape=(32, 32), n=2).image], replace(QUICK, net="classic-2015"), "cannot restore"),
    ],
)
def test_pretrain_when_images_or_network_cannot_be_used_then_says_why(images, options, words):
    with pytest.raises(UserError, match=words):
        pretrain(images, options, "pre")


def test_pretrain_when_an_image_has_time_points_and_the_network_is_planned_then_each_is_learnt_from(monkeypatch):
    learnt = []
    prepare = pretraining._prepare
    monkeypatch.setattr(pretraining, "_prepare", lambda one, spec: learnt.append(one.name) or prepare(one, spec))
    movie = Image(np.random.default_rng(0).random((3, 2, 32, 32)).astype(np.float32), "TCYX", name="movie")
    model, _ = pretrain([movie], replace(QUICK, budget="1steps", net="plan"), "pre")
    assert learnt == ["movie", "movie-1", "movie-2"]
    assert (model.spec.channels, model.spec.classes) == (2, ("channel 0", "channel 1"))
