"""How the sliding windows of other packages are called, with their defaults."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import Tensor, nn


@torch.inference_mode()
def run_monai(network: nn.Module, volume: Tensor, roi: tuple[int, ...], n_out: int) -> Tensor:
    """Run MONAI's `sliding_window_inference` over (C, [Z,] Y, X): (K, [Z,] Y, X)."""
    from monai.inferers import sliding_window_inference

    found: Tensor = sliding_window_inference(volume[None], roi, 1, network)
    return found[0]


def run_nnunet(network: nn.Module, volume: Tensor, roi: tuple[int, ...], n_out: int) -> Tensor:
    """Run nnU-Net's predictor without mirroring over (C, [Z,] Y, X): (K, [Z,] Y, X) float32.

    It takes a network without a plans file when it is told the patch and the number of outputs; a 2D network gets
    the image as a stack of one plane.
    """
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        verbose=False,
        allow_tqdm=False,
    )
    predictor.network = network
    predictor.list_of_parameters = [network.state_dict()]
    predictor.configuration_manager = SimpleNamespace(patch_size=roi)
    predictor.label_manager = SimpleNamespace(num_segmentation_heads=n_out)
    flat = len(roi) == 2
    found: Tensor = predictor.predict_sliding_window_return_logits(volume[:, None] if flat else volume)
    return (found[:, 0] if flat else found).float()
