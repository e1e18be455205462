"""Large images: labels are found again, never overwritten, and shared out only where others can read the image."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import zarr

from napari_unet.app import large, streaming
from napari_unet.app.large import LargeRequest, crop, opener, place_of, segment_large
from napari_unet.core.base.errors import Cancelled, UserError
from napari_unet.core.base.image import Image
from napari_unet.core.base.options import LargeOptions, SegmentOptions
from napari_unet.core.base.progress import Progress, silent
from napari_unet.core.io import open_labels, read_image
from tests.app.models import save_tiny

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPTIONS = SegmentOptions(device="cpu", precision="fp32", rescale="off", tile=32, min_size=0)
FRESH = LargeOptions(fresh=True)


@pytest.fixture
def image() -> Image:
    return Image(np.random.default_rng(0).random((70, 80)).astype(np.float32), "YX", name="slide 1")


@pytest.fixture
def request_(image: Image, tmp_path: Path) -> LargeRequest:
    return LargeRequest(image, save_tiny(tmp_path), OPTIONS, folder=tmp_path / "results")


def changed(request: LargeRequest, **changes: Any) -> LargeRequest:
    return LargeRequest(**{**vars(request), **changes})


def test_segment_large_when_asked_again_then_painted_labels_are_found_and_not_overwritten(
    request_: LargeRequest,
) -> None:
    first = segment_large(request_, silent, bool)
    assert first.n_objects is not None
    assert first.path.name.startswith("slide-1-tiny-")
    open_labels(first.path)[3, 4] = 4711
    again = segment_large(request_, silent, bool)
    assert (again.path, again.n_objects) == (first.path, None)
    fresh = segment_large(changed(request_, large=FRESH), silent, bool)
    assert fresh.path != first.path
    assert open_labels(first.path, "r")[3, 4] == 4711


@pytest.mark.parametrize("change", ["options", "pixels"])
def test_segment_large_when_something_else_is_asked_then_the_labels_get_a_place_of_their_own(
    request_: LargeRequest, image: Image, change: str
) -> None:
    other = {
        "options": {"options": SegmentOptions(device="cpu", rescale="off", tile=32, threshold=0.6)},
        "pixels": {"image": Image(image.data**2, "YX", name=image.name)},
    }[change]
    first, second = (segment_large(one, silent, bool) for one in (request_, changed(request_, **other)))
    assert first.path != second.path


def test_segment_large_when_cancelled_then_the_same_request_goes_on(request_: LargeRequest) -> None:
    def cancel(progress: Progress) -> None:
        if progress.message == "tile 3 of 9":
            raise Cancelled

    with pytest.raises(Cancelled):
        segment_large(request_, cancel, bool)
    told: list[str] = []
    segment_large(request_, lambda progress: told.append(progress.message), bool)
    tiles = [one for one in told if one.startswith("tile")]
    assert tiles == [f"tile {n} of 9" for n in range(4, 10)]


def test_place_of_when_begun_anew_beside_finished_labels_then_that_is_gone_on_with(tmp_path: Path) -> None:
    def place(fresh: bool) -> tuple[Path, bool]:
        return place_of(tmp_path, "a/b", "model", {}, fresh=fresh)

    path, is_there = place(False)
    assert not is_there
    assert path.parent == tmp_path
    path.mkdir()
    assert place(False) == (path, True)
    second, is_there = place(True)
    assert (second != path, is_there) == (True, False)
    second.with_name(f"{second.name}.work").mkdir()
    assert place(False) == (second, False)


def test_segment_large_when_shared_then_the_others_open_the_image_from_its_file(
    request_: LargeRequest, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hired: list[Any] = []

    @contextmanager
    def hire(n: int | None, scheduler: str | None) -> Iterator[None]:
        hired.append((n, scheduler))
        yield None

    seen: list[streaming.StreamRequest] = []
    stream = streaming.segment_to_store
    monkeypatch.setattr(streaming, "hire", hire)
    monkeypatch.setattr(streaming, "segment_to_store", lambda one, *rest: (seen.append(one), stream(one, *rest))[1])
    zarr.save(str(tmp_path / "image.zarr"), image.data)
    stored = read_image(tmp_path / "image.zarr", "YX")
    for choice in (LargeOptions(workers=2), LargeOptions(scheduler="tcp://node:1", fresh=True)):
        segment_large(changed(request_, image=stored, large=choice), silent, bool)
    assert hired == [(2, None), (None, "tcp://node:1")]
    opened = seen[0].open_image
    assert opened is not None
    np.testing.assert_array_equal(np.asarray(opened().data), image.data)


@pytest.mark.parametrize("is_stored", [False, True], ids=["in memory", "another file"])
def test_segment_large_when_others_cannot_open_the_image_then_says_what_to_do(
    request_: LargeRequest, image: Image, tmp_path: Path, is_stored: bool
) -> None:
    zarr.save(str(tmp_path / "image.zarr"), image.data[::-1] ** 3)
    source = str(tmp_path / "image.zarr") if is_stored else ""
    sought = Image(image.data, "YX", source=source)
    with pytest.raises(UserError, match="Several processes cannot open") as caught:
        segment_large(changed(request_, image=sought, large=LargeOptions(workers=2)), silent, bool)
    assert "OME-Zarr" in caught.value.hint


def test_opener_when_the_file_does_not_name_its_axes_then_those_of_the_image_count(tmp_path: Path) -> None:
    zarr.save(str(tmp_path / "image.zarr"), np.zeros((3, 8, 9)))
    image = read_image(tmp_path / "image.zarr", "ZYX", (2.0, 1.0, 1.0))
    opened = opener(image)()
    assert (opened.axes, opened.voxel_size) == ("ZYX", (2.0, 1.0, 1.0))


def test_crop_when_the_image_has_channels_then_keeps_them_and_reads_nothing() -> None:
    data = zarr.create_array({}, shape=(2, 3, 50, 60), chunks=(1, 1, 8, 8), dtype=np.uint8)
    data[1, :, 20:30, 5:9] = 7
    part = crop(Image(data, "TCYX", (0.5, 0.5), "slide"), (slice(1, 2), slice(20, 30), slice(5, 9)))
    assert not isinstance(part.data, np.ndarray)
    assert (part.axes, part.label_shape, part.voxel_size) == ("TCYX", (1, 10, 4), (0.5, 0.5))
    assert (part.volume() == 7).all()
    assert part.name == "slide at T 1, Y 20, X 5"


def test_check_small_when_the_image_is_large_then_says_how_to_go_on(
    image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    large.check_small(image, "no")
    monkeypatch.setattr(streaming, "fair_bytes", lambda: 1000.0)
    with pytest.raises(UserError, match=r"larger than the memory that is free: it cannot be merged\.") as caught:
        large.check_small(image, "it cannot be merged")
    assert "this view" in caught.value.hint
