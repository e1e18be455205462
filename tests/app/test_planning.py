"""A plan for dock and command line, in plain values."""

from __future__ import annotations

import numpy as np
import pytest

from napari_unet.app.annotations import accept, start
from napari_unet.app.planning import PlanRequest, plan, plan_for
from napari_unet.app.teaching import take_snapshot
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import TrainOptions
from napari_unet.core.base.progress import silent
from napari_unet.core.store.training_set import Sample

CPU = TrainOptions(device="cpu", patch=32)


def never() -> bool:
    return False


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A step takes half a second."""
    from napari_unet.core.pipeline import cost

    monkeypatch.setattr(cost, "_step", lambda network, image: 0.25)


def snapshot():
    labels = np.zeros((64, 64), np.int32)
    for number, (row, column) in enumerate([(4, 4), (4, 40), (40, 4), (40, 40)], start=1):
        labels[row : row + 12, column : column + 12] = number
    return take_snapshot(Image((labels > 0) * 1.0, "YX", name="squares"), labels, accept(start(labels), [1, 2, 3, 4]))


def test_plan_when_layers_teach_then_it_is_made_from_them():
    found = plan(PlanRequest((snapshot(),), options=CPU), silent, never)
    assert (found.net, found.config["dims"], found.patch) == ("unet", 2, (32, 32))
    assert found.seconds == pytest.approx(0.25 * found.batch)
    assert any("median size of 14 voxels" in line for line in found.words)


def test_plan_when_nothing_teaches_then_says_so():
    with pytest.raises(UserError, match="nothing to learn from"):
        plan(PlanRequest(), silent, never)


@pytest.mark.parametrize(
    ("budget", "words"),
    [("auto", "about 300 in 10 min"), ("60s", "about 30 in 1 min"), ("90steps", "90 of them 3 min")],
)
def test_plan_for_when_there_is_a_budget_then_says_how_far_it_goes(budget, words):
    sample = Sample(Image(np.zeros((64, 64)), "YX"), np.ones((64, 64), np.uint8))
    options = TrainOptions(device="cpu", patch=32, batch=8, budget=budget, target="semantic")
    assert words in plan_for([sample], options).words[-1]
