"""Phantoms whose truth is known, and models small enough to train in a test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from napari_unet.core.base.image import Image
from napari_unet.core.nets import build
from napari_unet.core.nets.config import NetConfig
from napari_unet.core.pipeline.prepare import prepare
from napari_unet.core.pipeline.recipe import Recipe
from napari_unet.core.pipeline.train import train
from napari_unet.core.store.models import Model, initial_model
from napari_unet.core.store.spec import ModelSpec
from napari_unet.core.store.training_set import Sample
from napari_unet.core.targets import DecodeSettings


def balls(shape, n, radius, seed=0, gap=2.0, sampling=None):
    """Label up to `n` discs (or balls) that keep a gap; `radius` and `gap` in units of the finest axis."""
    rng = np.random.default_rng(seed)
    sampling = np.asarray(sampling or (1.0,) * len(shape))
    labels, depth = np.zeros(shape, np.int32), np.zeros(shape, np.float32)
    grid = np.indices(shape).reshape(len(shape), -1).T * sampling
    middles: list[np.ndarray] = []
    for _ in range(40 * n):
        if len(middles) == n:
            break
        extent = np.asarray(shape) * sampling
        middle = rng.uniform(np.minimum(radius, extent / 2), np.maximum(extent - radius, extent / 2))
        if any(np.linalg.norm(middle - other) < 2 * radius + gap for other in middles):
            continue
        middles.append(middle)
        inside = 1 - (np.linalg.norm(grid - middle, axis=1) / radius).reshape(shape)
        labels[inside > 0] = len(middles)
        depth = np.maximum(depth, inside)
    return labels, depth


def shine(labels, depth, seed=0, noise=0.01):
    """Make an image of objects that are brighter the deeper a voxel lies in them."""
    rng = np.random.default_rng(seed)
    return (np.where(labels > 0, 0.3 + 0.7 * depth, 0) + noise * rng.standard_normal(labels.shape)).astype(np.float32)


def blobs(seed=0, shape=(96, 96), n=10, radius=8.0, name="blobs", voxel_size=None, gap=2.0):
    """Give a wholly annotated sample of bright round objects."""
    sampling = None if voxel_size is None else tuple(v / min(voxel_size) for v in voxel_size)
    labels, depth = balls(shape, n, radius, seed, gap, sampling)
    image = Image(shine(labels, depth, seed), "ZYX"[-len(shape) :], voxel_size, name)
    return Sample(image, labels, None, name)


def tiny_spec(dims=2, target="instances", classes=(), **changes):
    """Describe a model of some thousand weights."""
    n_out = 2 + dims if target == "instances" else len(classes) + 1
    values = {
        "name": "tiny",
        "net": "unet",
        "net_config": NetConfig(dims=dims, out_channels=n_out, base=4, depth=2).to_dict(),
        "target": target,
        "classes": classes,
        "dims": dims,
        "channels": 1,
        "object_size": 16.0,
        "decode": DecodeSettings().to_dict(),
    }
    return ModelSpec(**(values | changes))


def tiny_recipe(steps=10, **changes):
    """Describe a short training in fp32 on the CPU."""
    values = {
        "patch": (64, 64),
        "batch": 4,
        "steps": steps,
        "seconds": None,
        "learning_rate": 1e-2,
        "ema": 0.9,
        "augment": "none",
        "precision": "fp32",
        "device": "cpu",
    }
    return Recipe(**(values | changes))


def learn(spec, samples, **recipe):
    """Train a tiny model on samples."""
    prepared = [prepare(sample, spec) for sample in samples]
    return train(initial_model(spec), prepared, tiny_recipe(**recipe)).model


class Oracle(nn.Module):
    """Read what `shine` painted: a network that is right at every scale and needs no context."""

    def __init__(self, config: NetConfig) -> None:
        super().__init__()
        self.config = config
        self.gain = nn.Parameter(torch.tensor(40.0))

    def forward(self, x: Tensor) -> Tensor:
        light = x.mean(1, keepdim=True)
        distance = (light - 0.3) / 0.7
        return torch.cat((self.gain * (light - 0.2), distance, *[0 * light] * (self.config.out_channels - 2)), 1)


def oracle_model(dims=2, channels=1, **changes):
    """Give a model of the `Oracle`; it has to be in the catalogue, see the fixture `oracle`."""
    spec = tiny_spec(dims=dims, net="oracle", channels=channels, **changes)
    spec = replace(spec, net_config=spec.net_config | {"in_channels": channels})
    return Model(spec, {"gain": torch.tensor(40.0)})


def lived_in(config, seed=0, net="unet"):
    """Build a network with random weights whose norms have seen data, in evaluation mode."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(net, config)
        for module in network.modules():
            if isinstance(module, nn.modules.conv._ConvNd):
                nn.init.kaiming_normal_(module.weight)  # so that the output varies as that of a trained network
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.running_var, 0.2, 2.0)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()
