"""Progress: a true share of the work, passed on through the parts of a job."""

from __future__ import annotations

import pytest

from napari_unet.core.base.errors import Cancelled
from napari_unet.core.base.progress import Progress, within


@pytest.mark.parametrize(("done", "total", "fraction"), [(1, 4, 0.25), (5, 4, 1.0), (3, 0, 0.0)])
def test_fraction_when_asked_then_lies_between_0_and_1(done, total, fraction):
    assert Progress(done, total).fraction == fraction


def test_within_when_a_part_reports_then_the_whole_moves_through_its_share():
    seen = []
    part = within(seen.append, 0.5, 0.75)
    for done in (0, 1, 2):
        part(Progress(done, 2, "tile", payload=done))
    assert [p.fraction for p in seen] == [0.5, 0.625, 0.75]
    assert [(p.message, p.payload) for p in seen] == [("tile", 0), ("tile", 1), ("tile", 2)]


def test_within_when_the_job_is_cancelled_then_the_part_hears_it():
    def cancel(_):
        raise Cancelled

    with pytest.raises(Cancelled):
        within(cancel, 0, 1)(Progress(0, 1))
