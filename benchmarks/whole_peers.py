"""How the networks and the decoders of Cellpose 3 and StarDist are called, with their defaults."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Step = Callable[[], object]

PEERS = ("stardist", "cellpose")
"""By the names of their packages."""


def prepare_peer(name: str, image: NDArray[Any], labels: NDArray[np.integer[Any]]) -> Sequence[Step]:
    """Give what the peer does to a (Y, X) image, in two steps: its network on it; its decoder on perfect maps."""
    return {"stardist": stardist, "cellpose": cellpose}[name](image.astype(np.float32), labels)


def stardist(image: NDArray[np.float32], labels: NDArray[np.integer[Any]]) -> Sequence[Step]:
    """Prepare StarDist with a grid of 2 and 32 rays, as its published models have them."""
    from stardist.geometry import star_dist
    from stardist.models import Config2D, StarDist2D
    from stardist.utils import edt_prob

    grid = (2, 2)
    model = StarDist2D(Config2D(grid=grid, n_channel_in=1, n_rays=32), name=None, basedir=None)
    network = model.keras_model
    batch = ((image - image.mean()) / image.std())[None, ..., None]
    prob, dist = edt_prob(labels)[::2, ::2], star_dist(labels, n_rays=32, grid=grid)

    def decode() -> object:
        return model._instances_from_prediction(labels.shape, prob, dist, prob_thresh=0.5, nms_thresh=0.4)

    return (lambda: network.predict(batch, verbose=0), decode)


def cellpose(image: NDArray[np.float32], labels: NDArray[np.integer[Any]]) -> Sequence[Step]:
    """Prepare the network of Cellpose 3's `cyto3` with its tiles, and its dynamics."""
    import torch
    from cellpose import core, dynamics
    from cellpose.resnet_torch import CPnet

    network = CPnet([2, 32, 64, 128, 256], 3, 3, mkldnn=False, max_pool=True, diam_mean=30.0).eval()
    stack = np.stack([(image - image.mean()) / image.std(), np.zeros_like(image)], axis=-1)[None]
    flows = dynamics.labels_to_flows([labels.astype(np.int32)], device=torch.device("cpu"))[0]
    inside, flow = np.where(labels > 0, 6.0, -6.0).astype(np.float32), 5 * flows[2:4].astype(np.float32)

    def decode() -> object:
        return dynamics.resize_and_compute_masks(flow, inside, niter=200, device=torch.device("cpu"))

    return (lambda: core.run_net(network, stack, bsize=224), decode)
