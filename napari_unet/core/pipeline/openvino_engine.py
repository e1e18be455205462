"""Run a trained network with OpenVINO, which on some processors is faster than torch.

An optional extra; loaded only where it is asked for.
"""

from __future__ import annotations

import copy
import hashlib
import warnings
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from napari_unet.core.base.device import choose_dtype
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.extras import need
from napari_unet.core.pipeline.engine import fold_norms, valid_size
from napari_unet.core.pipeline.fused import join_in_convolutions
from napari_unet.core.pipeline.halo import Halo, exact_halo

if TYPE_CHECKING:
    from napari_unet.core.nets.config import NetConfig

KEPT = 2
"""Compiled networks that a process keeps; each holds its weights."""

TOLERANCE = 1e-3
"""Of the standard deviation of the logits: what torch and OpenVINO may differ by in fp32."""

_compiled: dict[str, Any] = {}


class OpenVinoEngine:
    """A network compiled by OpenVINO, with the interface of ``Engine``.

    Parameters
    ----------
    network : Module
        In evaluation mode; not changed.
    config : NetConfig
        What it was built from.
    net : str
        And by which name of the catalogue.
    device, precision : str
        As in ``SegmentOptions``; only the processor, in fp32 or bf16.

    Raises
    ------
    UserError
        When OpenVINO is missing, a GPU is asked for, or the network is one that OpenVINO gets wrong.
    """

    def __init__(
        self, network: nn.Module, config: NetConfig, *, net: str, device: str = "auto", precision: str = "auto"
    ) -> None:
        package = _openvino()
        if device not in ("auto", "cpu"):
            raise UserError(f"OpenVINO runs on the CPU here, not on '{device}'.", "Choose the engine torch.")
        self.net, self.config, self.source = net, config, network
        self.device, self.dtype = torch.device("cpu"), choose_dtype(precision, "cpu")
        self.notes: list[str] = []
        self._compile(package)

    def _compile(self, package: Any) -> None:
        key = _digest(self.source, self.net, self.config, self.dtype)
        if key not in _compiled:
            if len(_compiled) == KEPT:
                del _compiled[next(iter(_compiled))]
            _compiled[key] = compile_network(package, self.source, self.config, self.dtype, self.net)
        # A request of its own: the compiled network may be used by other threads.
        self.request = _compiled[key].create_infer_request()

    @cached_property
    def halo(self) -> Halo | None:
        """Give the context that tiles need, see ``exact_halo``; measured when it is first asked for."""
        return exact_halo(self.net, self.config)

    def lower_precision(self) -> bool:
        """Compute in bf16 from now on; False where that is so already."""
        if self.dtype != torch.float32:
            return False
        self.dtype = torch.bfloat16
        self._compile(_openvino())
        return True

    def move_to_cpu(self) -> None:
        """Stay: it is there already."""

    def __call__(self, batch: Tensor) -> Tensor:
        """Compute the logits of (N, C, [Z,] Y, X) float32, float32."""
        found = self.request.infer([batch.contiguous().numpy()], share_inputs=True)
        return torch.from_numpy(found[0])


def _openvino() -> Any:
    return need("openvino", extra="openvino", what="This engine")


def compile_network(package: Any, network: nn.Module, config: NetConfig, dtype: torch.dtype, net: str) -> Any:
    """Compile a network for images of any size.

    Parameters
    ----------
    package : module
        OpenVINO.
    network : Module
        In evaluation mode; not changed.
    config : NetConfig
        What it was built from.
    dtype : float32 or bfloat16
        What it computes with; it gets and gives float32.
    net : str
        Its name, for the message.

    Raises
    ------
    UserError
        When the result differs from torch's: the network has the size of its image built in.
    """
    folded = join_in_convolutions(fold_norms(copy.deepcopy(network).cpu().eval()), config)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch about itself, in what OpenVINO calls
            exported = torch.export.export(folded, (_example(config, 4),))
            model = package.convert_model(exported)
        model.reshape([-1, config.in_channels, *(-1,) * config.dims])
        fp32 = _compile(package, model, torch.float32)
        same = _agrees(fp32, folded, _example(config, 6))
    except RuntimeError:
        same = False
    if not same:
        raise UserError(f"OpenVINO cannot run the network '{net}' on images of any size.", "Choose the engine torch.")
    return fp32 if dtype == torch.float32 else _compile(package, model, dtype)


def _compile(package: Any, model: Any, dtype: torch.dtype) -> Any:
    properties = {
        "INFERENCE_PRECISION_HINT": "bf16" if dtype == torch.bfloat16 else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    return package.Core().compile_model(model, "CPU", properties)


def _example(config: NetConfig, blocks: int) -> Tensor:
    """Make a small image of a size that the network takes."""
    sizes = [
        valid_size(config, axis, blocks)[0] if config.padding == "valid" else blocks * m
        for axis, m in enumerate(config.multiple())
    ]
    return torch.rand(1, config.in_channels, *sizes, generator=torch.Generator().manual_seed(0))


@torch.inference_mode()
def _agrees(compiled: Any, network: nn.Module, image: Tensor) -> bool:
    truth, found = network(image), torch.from_numpy(compiled([image.numpy()])[0])
    return found.shape == truth.shape and bool((found - truth).abs().max() <= TOLERANCE * truth.std())


def _digest(network: nn.Module, net: str, config: NetConfig, dtype: torch.dtype) -> str:
    """Name what a compiled network depends on."""
    text = repr((net, config, dtype, torch.get_num_threads()))
    digest = hashlib.sha256(text.encode())
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
