"""Building blocks: against torch, MONAI and hand-computed cases."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from napari_unet.core.base.errors import UserError
from napari_unet.core.nets import build
from napari_unet.core.nets.attention_unet import AttentionGate
from napari_unet.core.nets.blocks import ResidualBlock
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.nets.norms import D_MAX, R_MAX, RAMP, BatchRenorm, make_norm
from napari_unet.core.nets.swin_unet import WINDOW, WindowLayer
from napari_unet.core.nets.trans_unet import TransformerLayer
from napari_unet.core.nets.unet_plus_plus import UNetPlusPlus, prune
from tests.core.phantoms import lived_in


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# --- norms ---


def renorm(batches):
    """Give a batch renormalisation that has seen so many batches, and a batch norm with the same weights."""
    ours, theirs = BatchRenorm(3, eps=1e-5), nn.BatchNorm2d(3)
    nn.init.uniform_(ours.running_mean, -0.5, 0.5)
    nn.init.uniform_(ours.running_var, 0.5, 2.0)
    nn.init.uniform_(ours.weight, 0.5, 1.5)
    nn.init.uniform_(ours.bias, -0.5, 0.5)
    ours.num_batches_tracked.fill_(batches)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def test_batch_renorm_when_used_then_is_a_batch_norm():
    ours, theirs = renorm(RAMP)
    x = noise(2, 3, 5, 5)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_batch_renorm_when_training_begins_then_is_a_batch_norm():
    ours, theirs = renorm(0)
    x = noise(2, 3, 5, 5)
    torch.testing.assert_close(ours(x), theirs(x))


def test_batch_renorm_when_its_bounds_are_open_then_trains_with_the_statistics_that_it_is_used_with():
    ours, theirs = renorm(RAMP)
    x = noise(2, 3, 5, 5)
    torch.testing.assert_close(ours(x), theirs.eval()(x), atol=1e-5, rtol=1e-5)


def test_batch_renorm_when_a_batch_is_far_off_then_the_corrections_are_bounded():
    ours, _ = renorm(RAMP)
    x = 100 + 20 * noise(4, 3, 8, 8)
    deviation, mean = torch.std_mean(x, (0, 2, 3), correction=0)
    expected = (x - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1) * R_MAX + D_MAX
    expected = expected * ours.weight.view(1, 3, 1, 1) + ours.bias.view(1, 3, 1, 1)
    torch.testing.assert_close(ours(x), expected, atol=1e-3, rtol=1e-3)


def test_batch_renorm_when_it_learns_then_its_statistics_become_those_of_the_data():
    ours = BatchRenorm(2, momentum=0.02)
    for seed in range(100):
        ours(3 + 2 * noise(4, 2, 8, 8, seed=seed))
    torch.testing.assert_close(ours.running_mean, torch.full((2,), 3.0), atol=0.1, rtol=0)
    torch.testing.assert_close(ours.running_var, torch.full((2,), 4.0), atol=0.3, rtol=0)


def test_batch_renorm_when_learned_through_then_r_and_d_take_no_gradient():
    ours, _ = renorm(RAMP)
    x = noise(2, 3, 5, 5).requires_grad_()
    ours(x).sum().backward()
    # As in a batch norm the mean is removed, whatever is added after it.
    torch.testing.assert_close(x.grad, torch.zeros_like(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("channels", "groups"), [(16, 8), (12, 4), (3, 1), (1, 1)])
def test_group_norm_when_channels_cannot_be_divided_then_there_are_fewer_groups(channels, groups):
    norm = make_norm("group", 2, channels)
    assert norm.num_groups == groups
    assert norm(noise(2, channels, 4, 4)).shape == (2, channels, 4, 4)


# --- blocks ---


@pytest.mark.parametrize(("stride", "out"), [(1, 4), (2, 8)])
@pytest.mark.parametrize("dims", [2, 3])
@torch.inference_mode()
def test_residual_block_when_given_monais_weights_then_gives_what_monai_gives(dims, stride, out):
    blocks = pytest.importorskip("monai.networks.blocks.dynunet_block")
    theirs = blocks.UnetResBlock(dims, 4, out, 3, stride, norm_name="batch", act_name="relu").eval()
    level = 0 if out == 4 else 1
    ours = ResidualBlock(NetConfig(dims=dims, base=4), level, 4, stride=(stride,) * dims).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs_in_order(theirs), strict=True)))
    x = noise(2, 4, *(8,) * dims)
    torch.testing.assert_close(ours(x), theirs(x.clone()))


def theirs_in_order(block):
    """Give the weights of MONAI's block in the order of ours: convolution, norm, convolution, norm, shortcut."""
    for name in ("conv1", "norm1", "conv2", "norm2", "conv3", "norm3"):
        if hasattr(block, name):
            yield from getattr(block, name).state_dict().values()


@torch.inference_mode()
def test_attention_gate_when_it_is_shut_then_nothing_passes_and_when_open_all_does():
    gate = AttentionGate(NetConfig(base=4, norm="none"), 1).eval()
    gate.agreement.weight.zero_()
    skip, coarse, fine = noise(1, 8, 8, 8), noise(1, 16, 4, 4), noise(1, 8, 8, 8, seed=1)
    gate.agreement.bias.fill_(-50)
    shut = gate(skip, coarse, fine)
    torch.testing.assert_close(shut[:, :8], gate.passed(torch.zeros_like(skip)))
    gate.agreement.bias.fill_(50)
    torch.testing.assert_close(gate(skip, coarse, fine), torch.cat((gate.passed(skip), fine), 1))


@torch.inference_mode()
def test_attention_gate_when_one_coarse_voxel_agrees_then_the_skip_passes_there():
    gate = AttentionGate(NetConfig(base=4, norm="none"), 1).eval()
    for conv in (gate.skip, gate.gate):
        conv.weight.zero_()
    gate.gate.bias.zero_()
    gate.gate.weight[:] = 1
    gate.agreement.weight.fill_(100)
    gate.agreement.bias.fill_(-50)
    coarse = torch.zeros(1, 16, 4, 4)
    coarse[:, :, 1, 1] = 1
    passed = gate(torch.ones(1, 8, 8, 8), coarse, torch.zeros(1, 8, 8, 8))[0, :8]
    inside, outside = passed[:, 2:4, 2:4], passed[:, 6:, 6:]
    assert (inside - outside).abs().sum() > 0.1
    torch.testing.assert_close(outside, gate.passed(torch.zeros(1, 8, 2, 2))[0])


# --- U-Net++ ---


@pytest.mark.parametrize("depth", [1, 2])
@torch.inference_mode()
def test_prune_when_trained_deeply_then_gives_the_output_of_that_depth(depth):
    config = NetConfig(base=2, depth=3, deep_supervision=True, strides=((2, 2), (1, 2), (2, 2)))
    net = lived_in(config, net="unet-plus-plus")
    weights, kept = prune(net.state_dict(), config, depth)
    small = UNetPlusPlus(kept).eval()
    small.load_state_dict(weights)
    x = noise(1, 1, 16, 16)
    torch.testing.assert_close(small(x), net.outputs(x)[3 - depth])
    assert kept.depth == depth
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize(("changes", "depth"), [({}, 3), ({}, 0), ({"deep_supervision": False}, 1)])
def test_prune_when_there_is_no_head_for_that_depth_then_says_so(changes, depth):
    config = NetConfig(**({"base": 2, "depth": 3, "deep_supervision": True} | changes))
    with pytest.raises(UserError, match="cannot be pruned"):
        prune(build("unet-plus-plus", config).state_dict(), config, depth)


# --- transformers ---


@torch.inference_mode()
def test_transformer_layer_when_given_torchs_weights_then_gives_what_torch_gives():
    theirs = nn.TransformerEncoderLayer(64, 2, 256, 0.0, "gelu", batch_first=True, norm_first=True).eval()
    theirs.self_attn.in_proj_bias.zero_()
    ours = TransformerLayer(64).eval()
    assert ours.attention.n_heads == 2
    ours.attention.qkv.weight.copy_(theirs.self_attn.in_proj_weight)
    for mine, other in {
        ours.attention.out: theirs.self_attn.out_proj,
        ours.mlp[0]: theirs.linear1,
        ours.mlp[2]: theirs.linear2,
        ours.before_attention: theirs.norm1,
        ours.before_mlp: theirs.norm2,
    }.items():
        mine.load_state_dict(other.state_dict())
    tokens = noise(2, 10, 64)
    torch.testing.assert_close(ours(tokens), theirs(tokens), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("is_shifted", [False, True])
@pytest.mark.parametrize("dims", [2, 3])
@torch.inference_mode()
def test_window_layer_when_given_monais_weights_then_gives_what_monai_gives(dims, is_shifted):
    swin = pytest.importorskip("monai.networks.nets.swin_unetr")
    window = (WINDOW[dims],) * dims
    shift = tuple(w // 2 * is_shifted for w in window)
    theirs = swin.SwinTransformerBlock(32, 1, window, shift, qkv_bias=False).eval()
    ours = WindowLayer(dims, 32, is_shifted=is_shifted).eval()
    nn.init.normal_(theirs.attn.relative_position_bias_table)
    ours.position.copy_(theirs.attn.relative_position_bias_table)
    for mine, other in {
        ours.attention.qkv: theirs.attn.qkv,
        ours.attention.out: theirs.attn.proj,
        ours.mlp[0]: theirs.mlp.linear1,
        ours.mlp[2]: theirs.mlp.linear2,
        ours.before_attention: theirs.norm1,
        ours.before_mlp: theirs.norm2,
    }.items():
        mine.load_state_dict(other.state_dict())
    shape = tuple(2 * w for w in window)
    x = noise(2, 32, *shape)
    # Theirs rolls the image and shuts out what comes in from the other side: the same as windows that begin before it.
    mask = swin.compute_mask(list(shape), window, shift, x.device) if is_shifted else None
    expected = theirs(x.movedim(1, -1).contiguous(), mask).movedim(-1, 1)
    torch.testing.assert_close(ours(x), expected, atol=1e-4, rtol=1e-4)
