"""Networks: the figures that papers state, and hand-computed ones."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_unet.core.base.catalogue import NETS
from napari_unet.core.nets import build, preset
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.nets.cost import count_cost

WIDTHS_32_TO_512 = NetConfig(base=32, max_channels=None, norm="none", up="transpose")


def n_parameters(net):
    return sum(p.numel() for p in net.parameters())


@pytest.fixture(autouse=True)
def without_memory():
    """Compute shapes only, so that the papers' full networks fit into a test."""
    with torch.device("meta"):
        yield


def test_classic_2015_when_built_then_has_the_sizes_of_the_paper():
    # Ronneberger 2015, figure 1: 572 -> 388, 1024 channels at the bottom; the sum over its layers by hand.
    def conv(before, after, edge=3):
        return before * after * edge**2 + after

    widths = [64, 128, 256, 512, 1024]
    down = sum(conv(a, b) + conv(b, b) for a, b in zip([1, *widths], widths, strict=False))
    up = sum(conv(2 * w, w, 2) + conv(2 * w, w) + conv(w, w) for w in widths[:-1])
    net = build(*preset("classic-2015", dims=2, in_channels=1, out_channels=2))
    assert n_parameters(net) == down + up + conv(64, 2, 1) == 31_030_658
    assert net(torch.empty(1, 1, 572, 572)).shape == (1, 2, 388, 388)


def test_unet3d_2016_when_built_then_has_the_sizes_of_the_paper():
    # Cicek 2016, section 3: 132 x 132 x 116 voxels in, 44 x 44 x 28 out, 19,069,955 parameters (which biases
    # stand beside batch norms is not told).
    net = build(*preset("unet3d-2016", dims=3, in_channels=3, out_channels=3))
    assert n_parameters(net) == pytest.approx(19_069_955, rel=1e-3)
    assert net(torch.empty(1, 3, 116, 132, 132)).shape == (1, 3, 28, 44, 44)


def test_unet_plus_plus_when_as_wide_as_in_the_paper_then_has_its_parameters():
    # Zhou 2018, table 2: U-Net 7.76 M, UNet++ 9.04 M. The authors' repository (MrGiovanni/UNetPlusPlus, model.py)
    # gives all digits: 7,759,521 and 9,041,601 for one channel in and out, widths 32 to 512, transposed convolutions,
    # no norm.
    assert n_parameters(build("unet", WIDTHS_32_TO_512)) == 7_759_521
    assert n_parameters(build("unet-plus-plus", WIDTHS_32_TO_512)) == 9_041_601


def test_attention_unet_when_as_wide_as_in_the_paper_then_has_its_parameters_but_for_the_second_gates():
    # Oktay 2018, table 1: 5.88 M for the 3D U-Net and 6.40 M for the Attention U-Net; widths 16 to 256, linear
    # upsampling. The U-Net is matched. The paper's equations and figure 2 have one gate for a skip, as ours; the larger
    # figure comes out with two of them that a 1x1 convolution brings together, as in the authors' repository
    # (ozan-oktay/Attention-Gated-Networks, unet_CT_multi_att_dsv_3D.py).
    config = NetConfig(dims=3, out_channels=4, up="linear")
    plain, gated = (n_parameters(build(net, config)) for net in ("unet", "attention-unet"))
    together = sum(2 * w * w + 3 * w for w in (32, 64, 128))
    assert plain / 1e6 == pytest.approx(5.88, abs=0.01)
    assert (plain + 2 * (gated - plain) + together) / 1e6 == pytest.approx(6.40, abs=0.01)


def test_residual_encoder_when_built_then_has_the_depth_of_the_preset():
    # Isensee 2024: 1, 3, 4, 6, 6, 6 blocks; one convolution for each level of the decoder.
    net = build("residual-encoder-unet", NetConfig(dims=3, base=2, depth=5))
    blocks = [sum(type(part).__name__ == "ResidualBlock" for part in stage) for stage in net.encoder]
    assert blocks == [1, 3, 4, 6, 6, 6]
    assert [sum(isinstance(part, torch.nn.Conv3d) for part in block) for block in net.decoder] == [1] * 5


def test_cost_when_counted_then_is_the_sum_over_the_layers():
    # FCN of depth 1 and base 1 without norm, 8 x 8 px; 3 x 3 convolutions 1 -> 1 -> 1, at half the edge 1 -> 2 -> 2,
    # then 2 -> 1 -> 1, the head 1 -> 1.
    fine, coarse = 64 * 9 * (1 + 1 + 2 + 1) + 64, 16 * 9 * (2 + 4)
    cost = count_cost("fcn", NetConfig(depth=1, base=1, norm="none"), 7)
    assert cost.shape == (8, 8)
    assert cost.flop == 2 * (fine + coarse)
    assert cost.parameters == (9 + 1) * 2 + (18 + 2) + (36 + 2) + (18 + 1) + (9 + 1) + 2


@pytest.mark.parametrize("name", NETS)
def test_docs_when_they_tell_what_a_network_costs_then_it_is_what_is_counted(name):
    # The table of docs/networks.md is typed off the command line; this keeps it true.
    page = Path(__file__).parents[2] / "docs" / "networks.md"
    row = [line for line in page.read_text(encoding="utf-8").splitlines() if line.startswith(f"| `{name}` |")][-1]
    expected = []
    for dims, size in ((2, 256), (3, 64)):
        cost = count_cost(*preset(name, dims=dims, in_channels=1, out_channels=1), size)
        expected += [f"{cost.parameters / 1e6:.2f}", f"{cost.flop / 1e9:.1f}"]
    assert [cell.strip() for cell in row.split("|")[2:-1]] == expected
