"""Boxes that stand for a large image: few, spread, each in stored blocks of its own, always the same."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_unet.core.base import sample
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image, check_image, samples
from napari_unet.core.base.normalise import Normalisation, measure
from napari_unet.core.base.sample import pick_boxes


class Endless:
    """A lazy array of any size, made where it is asked; notes which of its blocks were."""

    def __init__(self, shape: tuple[int, ...], chunks: tuple[int, ...] | None, value: Any) -> None:
        self.shape, self.chunks, self.value, self.dtype = shape, chunks, value, np.dtype(np.float32)
        self.blocks: list[tuple[int, ...]] = []
        self.n_read = 0

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        each = zip(key, self.shape, strict=True)
        spans = [slice(k, k + 1) if isinstance(k, int) else slice(*k.indices(n)) for k, n in each]
        if self.chunks:
            hit = [range(s.start // c, -(-s.stop // c)) for s, c in zip(spans, self.chunks, strict=True)]
            self.blocks += [tuple(b) for b in np.stack(np.meshgrid(*hit), -1).reshape(-1, len(hit)).tolist()]
        self.n_read += int(np.prod([s.stop - s.start for s in spans]))
        out = np.broadcast_to(self.value(*np.ogrid[tuple(spans)]), [s.stop - s.start for s in spans])
        return out[tuple(0 if isinstance(k, int) else slice(None) for k in key)].astype(np.float32)


def waves(*grid: np.ndarray) -> np.ndarray:
    return 100 + sum(30 * np.sin(0.013 * (i + 1) * g) for i, g in enumerate(grid))


shapes = st.lists(st.integers(1, 200_000), min_size=3, max_size=4)


@settings(max_examples=30, deadline=None)
@given(shapes, st.data())
def test_pick_boxes_when_chunked_then_boxes_lie_inside_and_share_no_chunk(
    shape: list[int], data: st.DataObject
) -> None:
    chunks = [1, *(data.draw(st.integers(1, 3000)) for _ in shape[1:])]
    boxes = pick_boxes(tuple(shape), chunks)
    seen: set[tuple[range, ...]] = set()
    for box in boxes:
        assert all(0 <= s.start < s.stop <= n for s, n in zip(box, shape, strict=True))
        hit = tuple(range(s.start // c, -(-s.stop // c)) for s, c in zip(box, chunks, strict=True))
        assert not any(
            all(a.start < b.stop and b.start < a.stop for a, b in zip(hit, one, strict=True)) for one in seen
        )
        seen.add(hit)
    assert sum(np.prod([s.stop - s.start for s in box]) for box in boxes) <= 4_000_000
    assert boxes == pick_boxes(tuple(shape), chunks)


def test_pick_boxes_when_dask_chunks_are_uneven_then_boxes_keep_to_them() -> None:
    for _, rows, columns in pick_boxes((1, 1000, 1000), [(1,), (300, 10, 690), (500, 500)]):
        for span, borders in ((rows, [0, 300, 310, 1000]), (columns, [0, 500, 1000])):
            assert any(first <= span.start and span.stop <= last for first, last in pairwise(borders))


def test_pick_boxes_when_the_image_is_large_then_every_tenth_of_it_is_looked_at() -> None:
    boxes = pick_boxes((10, 50_000, 50_000), [1, 1024, 1024])
    assert {box[0].start for box in boxes} == set(range(10))
    for axis in (1, 2):
        assert {box[axis].start // 5000 for box in boxes} == set(range(10))


@pytest.mark.parametrize("chunks", [(1, 1, 1024, 1024), (2, 4, 64, 64), None])
def test_measure_when_the_image_is_huge_then_reads_little_and_each_chunk_once(chunks: Any) -> None:
    endless = Endless((3, 2, 200_000, 200_000), chunks, waves)
    image = Image(endless, "TCYX")
    measured = measure(Normalisation("zscore"), samples(image))
    assert endless.n_read <= 2 * 4_000_000
    assert len(endless.blocks) == len(set(endless.blocks))
    truth = waves(*np.ogrid[:3, :1, :20_000:17, :20_000:17])
    assert measured.offset[0] == pytest.approx(truth.mean(), abs=3)
    assert measured.scale[0] == pytest.approx(truth.std(), rel=0.05)


def test_samples_when_one_channel_is_asked_then_only_it_is_read() -> None:
    endless = Endless((5, 100_000, 100_000), (1, 512, 512), waves)
    assert {part.shape[0] for part in samples(Image(endless, "CYX"), 3)} == {1}
    assert {block[0] for block in endless.blocks} == {3}


def test_samples_when_lazy_but_small_then_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).random((2, 3, 400, 500)).astype(np.float32)
    lazy = Image(Endless(data.shape, (1, 1, 250, 250), lambda t, c, y, x: data[t, c, y, x]), "TCYX")
    whole = [Image(data, "TCYX").volume(t) for t in range(2)]
    np.testing.assert_array_equal(list(samples(lazy)), whole)
    assert measure(Normalisation(), samples(lazy)) == measure(Normalisation(), whole)
    monkeypatch.setattr(sample, "WHOLE_VOXELS", 1)
    assert len(list(samples(lazy))) == 8
    np.testing.assert_array_equal(list(samples(Image(data, "TCYX"))), whole)  # what is in memory never changes


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (7.0, "constant: every voxel that was looked at is 7")])
def test_check_image_when_the_samples_are_bad_then_is_refused(value: float, words: str) -> None:
    endless = Endless((10_000, 10_000), (1024, 1024), lambda *_: np.float32(value))
    with pytest.raises(UserError, match=words):
        check_image(Image(endless, "YX"))
