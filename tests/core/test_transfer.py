"""Starting from other weights: what is taken over computes what it computed."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from napari_unet.core.base.catalogue import NETS
from napari_unet.core.base.errors import UserError
from napari_unet.core.nets import build
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.nets.transfer import transfer
from tests.core.phantoms import lived_in

PLAIN = NetConfig(base=4, depth=2, in_channels=3, out_channels=2)
WINDOWS_OF_THREE_AXES = {"swin-unet"}
"""Its windows hold other voxels in 3D."""


def started(net, old, new):
    """Give a network and another that starts from it."""
    source = lived_in(old, net=net)
    goal = build(net, new)
    goal.load_state_dict(transfer(source.state_dict(), (net, old), (net, new)).weights)
    return source, goal.eval()


@pytest.mark.parametrize("up", ["nearest", "transpose", "linear"])
@pytest.mark.parametrize("net", sorted(set(NETS) - WINDOWS_OF_THREE_AXES - {"trans-unet"}))
@torch.inference_mode()
def test_transfer_when_2d_becomes_3d_then_an_even_stack_gives_what_the_plane_gives(net, up):
    source, goal = started(net, replace(PLAIN, up=up), replace(PLAIN, up=up, dims=3))
    plane = torch.randn(1, 3, 12, 16, generator=torch.Generator().manual_seed(0))
    stack = plane[:, :, None].expand(-1, -1, 8, -1, -1)
    torch.testing.assert_close(goal(stack), source(plane)[:, :, None].expand(-1, -1, 8, -1, -1), atol=1e-4, rtol=1e-4)


@torch.inference_mode()
def test_transfer_when_planes_are_not_pooled_then_each_is_seen_by_itself():
    flat = NetConfig(dims=3, base=4, depth=2, in_channels=3, out_channels=2, strides=((1, 2, 2),) * 2)
    source, goal = started("unet", PLAIN, flat)
    stack = torch.randn(1, 3, 5, 12, 16, generator=torch.Generator().manual_seed(0))
    planes = torch.stack([source(stack[:, :, z]) for z in range(5)], dim=2)
    torch.testing.assert_close(goal(stack), planes, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("net", NETS)
@torch.inference_mode()
def test_transfer_when_there_are_more_channels_then_the_new_ones_change_nothing(net):
    source, goal = started(net, PLAIN, replace(PLAIN, in_channels=5))
    x = torch.randn(1, 5, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(goal(x), source(x[:, :3]))


@pytest.mark.parametrize("net", NETS)
@torch.inference_mode()
def test_transfer_when_there_are_fewer_channels_then_equal_ones_give_the_same(net):
    if net == "res-unet":
        # Neither of its first two convolutions is preceded by a norm, so both are checked.
        assert len([n for n, p in build(net, PLAIN).named_parameters() if p.ndim == 4 and p.shape[1] == 3]) == 2
    source, goal = started(net, PLAIN, replace(PLAIN, in_channels=1))
    x = torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(goal(x), source(x.expand(-1, 3, -1, -1)), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("net", NETS)
def test_transfer_when_the_outputs_differ_then_only_the_heads_are_new(net):
    old, new = replace(PLAIN, deep_supervision=True), replace(PLAIN, deep_supervision=True, out_channels=5)
    source = lived_in(old, net=net).state_dict()
    found = transfer(source, (net, old), (net, new))
    fresh = {name for name, value in found.weights.items() if value.shape != source[name].shape}
    assert fresh
    assert all(name.startswith(("head.", "coarse_heads.")) for name in fresh)
    assert all(torch.equal(found.weights[name], source[name]) for name in found.weights.keys() - fresh)
    assert (found.n_new, found.n_taken) == (len(fresh), len(source) - len(fresh))


def test_transfer_when_the_goal_is_supervised_deeply_then_its_coarser_heads_are_new():
    source = lived_in(PLAIN).state_dict()
    found = transfer(source, ("unet", PLAIN), ("unet", replace(PLAIN, deep_supervision=True)))
    assert {name.split(".")[0] for name in found.weights.keys() - source.keys()} == {"coarse_heads"}


def test_transfer_when_windows_get_a_third_axis_then_only_their_places_are_new():
    source = lived_in(PLAIN, net="swin-unet").state_dict()
    found = transfer(source, ("swin-unet", PLAIN), ("swin-unet", replace(PLAIN, dims=3)))
    assert found.n_new == sum(name.endswith("position") for name in found.weights) > 0


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (("fcn", PLAIN), "'fcn' cannot start from a 'unet'"),
        (("unet", replace(PLAIN, base=8)), "base 8"),
        (("unet", replace(PLAIN, depth=3)), "depth 3"),
        (("unet", replace(PLAIN, block="dense")), "block dense"),
        (("unet", replace(PLAIN, norm="none")), "do not fit"),
        (("unet", replace(PLAIN, kernels=((1, 1),) * 3)), "do not fit"),
    ],
)
def test_transfer_when_the_networks_differ_in_more_then_says_in_what(goal, words):
    with pytest.raises(UserError, match=words) as caught:
        transfer(lived_in(PLAIN).state_dict(), ("unet", PLAIN), goal)
    assert caught.value.hint


def test_transfer_when_3d_shall_become_2d_then_is_refused():
    volume = replace(PLAIN, dims=3)
    with pytest.raises(UserError, match="3D"):
        transfer(lived_in(volume).state_dict(), ("unet", volume), ("unet", PLAIN))
