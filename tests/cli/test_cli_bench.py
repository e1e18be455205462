"""`napari-unet bench`: what the machine does, and which setting is best."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from napari_unet.core.base.options import SegmentOptions
from napari_unet.core.pipeline import bench

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "TILES", {2: (16, 32, 48)})
    monkeypatch.setattr(bench, "CONVOLUTIONS", ((8, 16, 2), (8, 8, 3)))
    monkeypatch.setattr(bench, "EXTRAS", {"openvino": "a_package_that_nobody_has"})


def test_bench_when_run_then_names_the_fastest_setting_as_options_that_segment_takes(
    run: Callable, tiny_model: Path
) -> None:
    ran = run("bench", "--model", tiny_model, "--device", "cpu", "--json")

    assert ran.code == 0
    settings = ran.json["settings"]
    assert {(one["engine"], one["precision"]) for one in settings} == {("torch", "fp32"), ("torch", "bf16")}
    assert sorted(one["tile"] for one in settings) == [16, 32, 32, 48]
    times = [one["cpu_seconds"] for one in settings]
    assert times == sorted(times)
    assert min(times) > 0
    best = settings[0]
    assert f"Fastest: --engine {best['engine']} --precision {best['precision']} --tile {best['tile']}" in ran.out
    SegmentOptions(engine=best["engine"], precision=best["precision"], tile=max(32, best["tile"]))
    assert set(ran.json["machine"]["gflops"]) == {"fp32", "bf16"}
    assert min(ran.json["machine"]["gflops"].values()) > 0


def test_bench_when_fp32_is_slower_then_says_what_exactness_costs(
    run: Callable, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"fp32": 3.0, "bf16": 2.0}
    monkeypatch.setattr(
        bench, "_measure", lambda _, engine, kind, tile: bench.Setting(engine, kind, tile, seconds[kind], seconds[kind])
    )

    ran = run("bench", "--model", tiny_model, "--device", "cpu")

    assert "takes about 8.4 s" in ran.out  # 2 s a megapixel
    assert "1.5 times slower: --engine torch --precision fp32 --tile 32" in ran.out


def test_bench_when_the_device_is_not_there_then_says_so(run: Callable, tiny_model: Path) -> None:
    ran = run("bench", "--model", tiny_model, "--device", "tpu")

    assert ran.code == 2
    assert "tpu" in ran.error


def test_kinds_when_an_extra_is_installed_then_is_measured_on_the_processor_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bench, "EXTRAS", {"openvino": "json"})
    assert ("openvino", "bf16") in list(bench._kinds("cpu"))
    assert [engine for engine, _ in bench._kinds("cuda")] == ["torch"] * 3
