"""`model.json`: what is written is read; anything else is refused in words."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.core.base.errors import ReadError, UserError
from napari_unet.core.store.spec import MAX_SPEC_BYTES, SPEC_FILE, ModelSpec, parse_spec, read_spec
from tests.core.phantoms import tiny_spec

SPEC = tiny_spec(
    dims=3,
    target="semantic",
    classes=("white matter", "großer Kern"),
    voxel_size=(1.0, 0.25, 0.25),
    scores={"held-out": 0.8},
    data={"a": "0f"},
    training={"patch": [64, 64]},
)
VALUES = json.loads(SPEC.to_json())

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def test_spec_when_written_and_read_then_is_the_same(tmp_path):
    (tmp_path / SPEC_FILE).write_text(SPEC.to_json(), encoding="utf-8")
    assert read_spec(tmp_path).to_json() == SPEC.to_json()


@given(st.sampled_from(sorted(VALUES)), json_values)
def test_parse_when_one_value_is_anything_then_gives_a_spec_or_a_user_error(name, value):
    try:
        spec = parse_spec(json.dumps({**VALUES, name: value}))
    except UserError:
        return
    # What was accepted can be used and written again.
    assert parse_spec(spec.to_json()).to_json() == spec.to_json()


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"name": 5},
        {"target": "panoptic"},
        {"colour": "red"},
        {"dims": 4},
        {"dims": 3.0},
        {"channels": 0},
        {"channels": 10**6},
        {"channels": True},
        {"channels": 3, "colour": "luminance"},
        {"object_size": -3},
        {"object_size": float("nan")},
        {"object_size": "12"},
        {"voxel_size": [1.0, 1.0]},
        {"voxel_size": [1.0, 0.0, 1.0]},
        {"voxel_size": 3},
        {"classes": []},
        {"net_config": []},
        {"normalisation": "percentile"},
        {"decode": None},
        {"data": ["a"]},
        {"scores": {"held-out": "high"}},
        {"training": 1},
        {"seed": "0"},
        {"surprise": 1},
    ],
    ids=lambda c: f"{next(iter(c))}={next(iter(c.values()))}",
)
def test_parse_when_a_value_cannot_be_then_is_refused(changes):
    with pytest.raises(ReadError) as caught:
        parse_spec(json.dumps(VALUES | changes))
    assert caught.value.hint


@pytest.mark.parametrize("name", ["name", "net", "net_config", "target", "dims", "channels"])
def test_parse_when_a_value_is_missing_then_is_refused(name):
    with pytest.raises(ReadError, match="does not describe a model"):
        parse_spec(json.dumps({key: value for key, value in VALUES.items() if key != name}))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "3", "[" * 100_000, '{"name": "\ud800"}'])
def test_parse_when_it_is_no_description_then_is_refused(text):
    with pytest.raises(ReadError, match="does not describe a model"):
        parse_spec(text)


def test_read_spec_when_there_is_no_file_then_says_what_to_give(tmp_path):
    with pytest.raises(ReadError, match="no model in") as caught:
        read_spec(tmp_path)
    assert SPEC_FILE in caught.value.hint


@pytest.mark.parametrize("data", [b"\xff\xfe\x00", b" " * (MAX_SPEC_BYTES + 1)], ids=["binary", "giant"])
def test_read_spec_when_the_file_is_no_description_then_is_refused(tmp_path, data):
    (tmp_path / SPEC_FILE).write_bytes(data)
    with pytest.raises(ReadError):
        read_spec(tmp_path)


def test_spec_when_changed_to_something_impossible_then_is_refused():
    with pytest.raises(UserError, match="names no classes"):
        replace(SPEC, classes=())
    with pytest.raises(UserError, match="'m'"):
        ModelSpec("m", "unet", {}, "instances", 5, 1)


def test_spec_when_imported_then_torch_is_not():
    code = "import sys, napari_unet.core.store.spec; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
