"""Boxes that stand for a large image: few, spread, each in stored blocks of its own, always the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.base import parts, sample
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.normalise import Normalisation, measure
from napari_unet.core.base.parts import check_image, samples
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


@given(shapes)
def test_pick_boxes_when_given_any_shape_then_boxes_lie_inside_and_apart(shape: list[int]) -> None:
    boxes = pick_boxes(tuple(shape))
    assert 1 <= len(boxes) <= 100
    for number, box in enumerate(boxes):
        assert all(0 <= s.start < s.stop <= n for s, n in zip(box, shape, strict=True))
        for other in boxes[:number]:
            assert any(a.stop <= b.start or b.stop <= a.start for a, b in zip(box, other, strict=True))
    assert boxes == pick_boxes(tuple(shape))


def test_pick_boxes_when_the_image_is_large_then_every_tenth_of_it_is_looked_at() -> None:
    boxes = pick_boxes((10, 50_000, 50_000))
    assert {box[0].start for box in boxes} == set(range(10))
    for axis in (1, 2):
        assert {box[axis].start // 5000 for box in boxes} == set(range(10))


@pytest.mark.parametrize("chunks", [(1, 1, 256, 1024), (2, 4, 64, 64), None])
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


@pytest.mark.parametrize("limit", [2**25, 1], ids=["small", "large"])
@pytest.mark.parametrize(("shape", "axes"), [((2, 3, 410, 500), "TCYX"), ((30, 110, 90), "ZYX")])
def test_measure_when_lazy_then_is_exactly_that_of_the_array(
    shape: Any, axes: str, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = np.random.default_rng(0).random(shape).astype(np.float32)
    monkeypatch.setattr(sample, "WHOLE_VOXELS", limit)
    monkeypatch.setattr(parts, "BLOCK_VOXELS", 3000)
    for kept in (sample.GRID_VOXELS, 20_000):
        monkeypatch.setattr(sample, "GRID_VOXELS", kept)
        lazy = Endless(shape, tuple(min(n, 70) for n in shape), lambda *grid: data[grid])
        for how in (Normalisation(), Normalisation("zscore")):
            assert measure(how, samples(Image(lazy, axes))) == measure(how, samples(Image(data, axes)))


def test_samples_when_an_image_is_small_then_all_of_it_counts_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    data = np.random.default_rng(0).random((3, 200, 300)).astype(np.float32)
    np.testing.assert_array_equal(list(samples(Image(data, "TYX"))), data[:, np.newaxis])
    monkeypatch.setattr(sample, "GRID_VOXELS", 10_000)
    found = list(samples(Image(data, "TYX")))
    assert 5_000 < sum(part.size for part in found) <= 10_000
    np.testing.assert_array_equal(found[2][0], data[2, ::5, ::5])


@pytest.mark.parametrize("shape", [(6000, 5000), (30, 1000, 1000)])
def test_samples_when_an_image_is_lazy_then_it_is_read_block_by_block_and_each_once(shape: Any) -> None:
    sizes: list[int] = []

    class Watched(Endless):
        def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
            found = super().__getitem__(key)
            sizes.append(found.size)
            return found

    lazy = Watched(shape, (16, 100, 100)[-len(shape) :], waves)
    kept = sum(part.size for part in samples(Image(lazy, "ZYX"[-len(shape) :])))
    assert 1_000_000 < kept <= sample.GRID_VOXELS
    assert max(sizes) <= parts.BLOCK_VOXELS
    assert sum(sizes) == np.prod(shape)
    assert len(lazy.blocks) == len(set(lazy.blocks))


@pytest.mark.parametrize(("value", "words"), [(np.nan, "NaN"), (7.0, "constant: every voxel that was looked at is 7")])
def test_check_image_when_the_samples_are_bad_then_is_refused(value: float, words: str) -> None:
    endless = Endless((10_000, 10_000), (1024, 1024), lambda *_: np.float32(value))
    with pytest.raises(UserError, match=words):
        check_image(Image(endless, "YX"))
