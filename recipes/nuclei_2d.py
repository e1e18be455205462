"""Train the bundled model `nuclei-2d`.

    python -m recipes.nuclei_2d ../shared/data/dsb2018 --out build/nuclei-2d --seconds 3600

The data are the 2018 Data Science Bowl (BBBC038, CC0) with corrected masks; the folder holds ``train/images``,
``train/labels`` and an ``index.csv`` with the type of each image. Interrupted, the same command goes on.
"""

from __future__ import annotations

import argparse
import csv
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari_unet.core.augment import IntensityRecipe, SpatialRecipe
from napari_unet.core.metrics.instances import Counts, average_precision, match_counts, pool
from napari_unet.core.nets import preset
from napari_unet.core.pipeline.prepare import Prepared, prepare
from napari_unet.core.pipeline.recipe import Recipe
from napari_unet.core.pipeline.segment import segment
from napari_unet.core.pipeline.split import count_objects
from napari_unet.core.pipeline.train import Row, train
from napari_unet.core.pipeline.tune import tune
from napari_unet.core.store.models import Model, initial_model, load_model, save_model
from napari_unet.core.store.spec import ModelSpec
from napari_unet.core.store.training_set import Sample, load_samples
from napari_unet.core.targets import DecodeSettings

if TYPE_CHECKING:
    from napari_unet.core.base.progress import Progress

SHARES = {"fluorescence": 0.6, "histology": 0.3, "brightfield": 0.1}
"""Of the patches: more of the rarer types than their number, so that none is forgotten."""

CROWD = 0.75
"""An image with more nuclei gives more patches, nearly in proportion: crowded ones are the hard ones."""

EASIEST = 0.1
"""Share of its patches that an image keeps in a further round when the model before got every nucleus right."""

OBJECT_SIZE = 20.0
"""px; close to the median of the training set, a little larger so that small nuclei keep their shape."""

TUNE_ON = 40
"""Training images that the thresholds are tuned on."""

FOREGROUND = 0.45
"""Not tuned: on images that were learned from, a network is surer than it should be, and the best threshold too high.
For calibrated probabilities the threshold with the best Dice is half of that Dice (Z. Lipton et al., ECML 2014,
doi:10.1007/978-3-662-44851-9_15)."""

SCORE_AT = (0.5, 0.75, 0.9)

CITE = (
    "Trained on the 2018 Data Science Bowl, stage 1 (BBBC038v1, CC0), with corrected masks. "
    "Please cite Caicedo et al., Nat Methods 2019, doi:10.1038/s41592-019-0612-7, and Ljosa et al., Nat Methods 2012."
)
TITLE = "Nuclei in 2D: fluorescence, histology (H&E) and brightfield"
DESCRIPTION = (
    "Segments single nuclei in 2D light microscopy: bright on dark (fluorescence), dark on bright (brightfield) and "
    f"coloured (histology). {CITE}"
)


def make_spec(name: str = "nuclei-2d", kinds: tuple[str, ...] = tuple(SHARES)) -> ModelSpec:
    """Describe the model before it is trained, on some types of images."""
    net, config = preset("fast", dims=2, in_channels=3, out_channels=4)
    is_whole = set(kinds) == set(SHARES)
    return ModelSpec(
        name=name,
        title=TITLE if is_whole else f"Nuclei in 2D: {', '.join(kinds)} only",
        description=DESCRIPTION if is_whole else f"Knows a part of what `nuclei-2d` knows, for comparisons. {CITE}",
        net=net,
        net_config=config.to_dict(),
        target="instances",
        dims=2,
        channels=3,
        colour="repeat",
        object_size=OBJECT_SIZE,
        decode=DecodeSettings().to_dict(),
    )


def read_types(index: Path) -> dict[str, str]:
    """Read which type each image is of."""
    with index.open(newline="") as file:
        return {row["id"]: row["type"] for row in csv.DictReader(file)}


def difficulty(model: Model, sample: Sample) -> float:
    """Say how much of a training image a model still gets wrong, `EASIEST` to 1: what it can do needs less practice."""
    found = average_precision(match_counts(segment(model, sample.image).labels, sample.labels, (0.75,)))[0]
    return EASIEST + (1 - EASIEST) * (1 - found)


def prepare_all(
    samples: list[Sample], types: dict[str, str], spec: ModelSpec, before: Model | None = None
) -> list[Prepared]:
    """Prepare every image at the model's object size; those that were rescaled also at their own.

    The first pass over a new image runs before its object size is known, so the network must cope with both. In a
    further round the images that the model `before` gets wrong give more patches.
    """
    hard = {sample.name: 1.0 if before is None else difficulty(before, sample) for sample in samples}
    crowds = {sample.name: count_objects(sample) ** CROWD * hard[sample.name] for sample in samples}
    totals = {kind: sum(crowds[s.name] for s in samples if types[s.name] == kind) for kind in SHARES}
    prepared: list[Prepared] = []
    for sample in samples:
        kind = types[sample.name]
        share = SHARES[kind] * crowds[sample.name] / totals[kind]
        scaled = prepare(sample, spec, weight=share)
        if scaled.image.shape[1:] == sample.labels.shape:
            prepared.append(scaled)
            continue
        prepared += [replace(scaled, weight=0.7 * share), prepare(sample, spec, weight=0.3 * share, rescale=False)]
    return prepared


def make_recipe(
    seconds: float | None, steps: int | None, seed: int, *, again: bool = False, patch: int = 192, batch: int = 8
) -> Recipe:
    """Choose patches, steps and augmentation.

    A further round goes on with smaller steps and milder changes of intensity: strong ones hide what tells one kind
    of preparation from another, and with it where its annotators saw the boundary.
    """
    strong = IntensityRecipe(invert=0.03, colour=0.1, gray=0.2)
    mild = IntensityRecipe(
        gain=(0.85, 1.2), offset=0.05, gamma=(0.9, 1.12), noise=0.02, blur=1.0, blur_share=0.1, colour=0.05, gray=0.1
    )
    augment = (SpatialRecipe(scale=(0.75, 1.35)), mild) if again else (SpatialRecipe(scale=(0.7, 1.4)), strong)
    return Recipe(
        patch=(patch, patch),
        batch=batch,
        steps=steps,
        seconds=seconds,
        learning_rate=1.5e-3 if again else 2.5e-3,
        decay_from=0.3 if again else 0.6,
        augment=augment,
        ema=0.998,
        seed=seed,
    )


def main() -> None:
    """Train, and save the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--patch", type=int, default=192)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--limit", type=int)
    parser.add_argument("--start", type=Path, help="a model of this recipe, to go on from in a second round")
    parser.add_argument("--types", default=",".join(SHARES), help="types of images to learn from")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    model = learn(
        arguments.data,
        arguments.out.name,
        make_recipe(
            arguments.seconds,
            arguments.steps,
            arguments.seed,
            again=arguments.start is not None,
            patch=arguments.patch,
            batch=arguments.batch,
        ),
        checkpoint=arguments.out.with_name(arguments.out.name + "-checkpoint"),
        kinds=tuple(arguments.types.split(",")),
        limit=arguments.limit,
        start=None if arguments.start is None else load_model(arguments.start),
    )
    save_model(model, arguments.out, half=True, overwrite=True)


def learn(
    data: Path,
    name: str,
    recipe: Recipe,
    *,
    checkpoint: Path | None,
    kinds: tuple[str, ...],
    limit: int | None = None,
    start: Model | None = None,
) -> Model:
    """Train on the images of some types."""
    if hasattr(os, "nice"):
        os.nice(10)
    types = read_types(data / "index.csv")
    samples = [sample for sample in load_samples(data / "train") if types[sample.name] in kinds][:limit]
    spec = replace(make_spec(name, kinds), data={sample.name: sample.digest() for sample in samples}, seed=recipe.seed)
    prepared = prepare_all(samples, types, spec, start)
    logging.info("%d images, %d prepared", len(samples), len(prepared))

    def report(progress: Progress) -> None:
        row = progress.payload
        if isinstance(row, Row) and row.step % 50 == 0:
            logging.info("step %d loss %.4f %.0f s", row.step, row.loss, row.seconds)

    first = initial_model(spec, recipe.seed) if start is None else Model(spec, start.weights)
    result = train(first, prepared, recipe, report=report, checkpoint=checkpoint)
    model = tune(result.model, samples[:: max(1, len(samples) // TUNE_ON)])
    model = Model(replace(model.spec, decode={**model.spec.decode, "foreground": FOREGROUND}), model.weights)
    facts = {"batch": recipe.batch, "patch": list(recipe.patch), "learning_rate": recipe.learning_rate}
    before = 0 if start is None else int(start.spec.training.get("steps", 0))
    facts |= {"steps": before + result.steps, "seconds": round(result.seconds)}
    return Model(replace(model.spec, training=facts, scores=score_by_type(model, data, types, kinds)), model.weights)


def score_by_type(model: Model, data: Path, types: dict[str, str], kinds: tuple[str, ...]) -> dict[str, float]:
    """Give the AP on the images of `val`, which the training has not seen, for each type and for all."""
    counts: dict[str, list[Counts]] = {}
    for sample in load_samples(data / "val"):
        if types[sample.name] not in kinds:
            continue
        one = match_counts(segment(model, sample.image).labels, sample.labels, SCORE_AT)
        for group in (types[sample.name], "all"):
            counts.setdefault(group, []).append(one)
    return {
        f"AP at IoU {threshold}, {group}": round(value, 4)
        for group, parts in sorted(counts.items())
        for threshold, value in zip(SCORE_AT, average_precision(pool(parts, SCORE_AT)), strict=True)
    }


if __name__ == "__main__":
    main()
