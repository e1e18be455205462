"""The list of models: found, named, renamed and deleted without surprises."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_unet.app import library
from napari_unet.core.base.errors import UserError
from napari_unet.core.base.image import Image
from napari_unet.core.store.spec import read_spec
from tests.app.models import tiny_spec, write_spec


@pytest.fixture(autouse=True)
def bundled(tmp_path, monkeypatch):
    """Give a folder of bundled models with one 2D model in it."""
    folder = tmp_path / "pretrained"
    monkeypatch.setattr(library, "bundled_folder", lambda: folder)
    write_spec(folder, "nuclei-2d")
    return folder


@pytest.fixture
def own(models_home):
    return models_home / "models"


def test_list_models_when_there_are_both_kinds_then_bundled_come_first_and_broken_ones_are_told(own):
    write_spec(own, "b")
    write_spec(own, "A")
    (own / "broken").mkdir()
    (own / "broken" / "model.json").write_text("{", encoding="utf-8")
    (own / ".half-written").mkdir()
    assert [(entry.name, entry.bundled) for entry in library.list_models()] == [
        ("nuclei-2d", True),
        ("A", False),
        ("b", False),
    ]
    assert [folder.name for folder, _ in library.unreadable_models()] == ["broken"]
    assert "does not describe a model" in library.unreadable_models()[0][1]


def test_list_models_when_one_is_of_a_newer_version_then_the_others_are_there_and_it_is_told(own):
    write_spec(own, "mine")
    newer = write_spec(own, "newer") / "model.json"
    newer.write_text(json.dumps(json.loads(newer.read_text(encoding="utf-8")) | {"format": 99}), encoding="utf-8")
    assert [entry.name for entry in library.list_models()] == ["nuclei-2d", "mine"]
    ((folder, reason),) = library.unreadable_models()
    assert folder.name == "newer"
    assert "format is 99" in reason


def test_library_root_when_no_home_is_set_then_it_is_the_users_data_folder(monkeypatch):
    monkeypatch.delenv("NAPARI_UNET_HOME")
    assert library.library_root().name == "napari-unet"


def test_find_model_when_given_name_or_folder_then_both_are_found(own, bundled, tmp_path):
    mine, elsewhere = write_spec(own, "mine"), write_spec(tmp_path, "elsewhere")
    assert library.find_model("mine") == mine
    assert library.find_model("nuclei-2d") == bundled / "nuclei-2d"
    assert library.find_model(elsewhere) == elsewhere
    with pytest.raises(UserError, match="nuclei-2d, mine"):
        library.find_model("ours")


@pytest.mark.parametrize(
    "name", ["", "..", "a/b", "a\\b", ".hidden", "con", "NUL.txt", "a" * 65, "end.", "a b", "_x", "a:b"]
)
def test_check_name_when_it_cannot_be_a_folder_everywhere_then_it_is_refused(name):
    with pytest.raises(UserError, match="cannot be the name"):
        library.check_name(name)


@pytest.mark.parametrize("name", ["nuclei-2d", "Zellen_3.1", "größe", "7"])
def test_check_name_when_it_can_be_a_folder_then_it_is_taken(name):
    assert library.check_name(name) == name


@given(st.text(max_size=80))
def test_free_name_when_anything_is_typed_then_it_is_a_valid_name(title):
    library.check_name(library.free_name(title))


def test_names_when_taken_then_the_next_free_one_is_given(own, models_home):
    write_spec(own, "nuclei-2d-ft-1")
    write_spec(own, "My-cells")
    (models_home / "training_sets" / "nuclei-2d-ft-2").mkdir(parents=True)  # of a training that was never finished
    assert library.next_name("nuclei-2d") == "nuclei-2d-ft-3"
    assert library.next_name("nuclei-2d-ft-1") == "nuclei-2d-ft-3"
    assert library.free_name("my cells") == "my-cells-2"
    with pytest.raises(UserError, match="already"):
        library.new_model_folder("MY-CELLS")
    with pytest.raises(UserError, match="already"):
        library.new_model_folder("nuclei-2d")
    assert library.new_model_folder("new") == own / "new"


def test_rename_model_when_it_is_ones_own_then_folder_description_and_card_have_the_new_name(own):
    write_spec(own, "old", description="kept")
    target = library.rename_model("old", "new")
    assert target == own / "new"
    assert (read_spec(target).name, read_spec(target).description) == ("new", "kept")
    assert (target / "card.md").read_text(encoding="utf-8").startswith("# new\n")
    assert not (own / "old").exists()
    assert library.rename_model("new", "NEW").name == "NEW"


def test_delete_model_when_it_is_ones_own_then_it_is_gone(own):
    write_spec(own, "old")
    library.delete_model("old")
    assert list(own.iterdir()) == []


@pytest.mark.parametrize("act", [library.delete_model, lambda name: library.rename_model(name, "new")])
def test_rename_and_delete_when_bundled_or_absent_then_they_are_refused(act):
    with pytest.raises(UserError, match="came with the package"):
        act("nuclei-2d")
    with pytest.raises(UserError, match="no model 'absent'"):
        act("absent")
    assert library.find_model("nuclei-2d").is_dir()


def image(axes: str) -> Image:
    return Image(np.zeros([3] * len(axes)), axes)


def test_best_model_when_dimensions_differ_then_the_one_of_the_image_is_chosen(own):
    write_spec(own, "brain", dims=3)
    write_spec(own, "rgb-only", colour="exact", channels=4)
    assert library.best_model(image("YX")) == "nuclei-2d"
    assert library.best_model(image("ZYX")) == "brain"
    assert library.best_model(image("YX"), prefer=(None, "brain")) == "nuclei-2d"
    assert library.best_model(image("ZYX"), prefer=(None, "nuclei-2d")) == "nuclei-2d"


def test_best_model_when_none_fits_then_there_is_none(bundled):
    (bundled / "nuclei-2d" / "model.json").unlink()
    assert library.best_model(image("YX")) is None


def test_best_model_when_one_is_pre_trained_only_then_it_is_listed_but_never_chosen(own):
    spec = replace(tiny_spec("pre", dims=3), target="restoration", classes=("channel 0",))
    (write_spec(own, "pre") / "model.json").write_text(spec.to_json(), encoding="utf-8")
    entry = library.list_models()[-1]
    assert (entry.name, entry.can_segment) == ("pre", False)
    assert library.best_model(image("ZYX"), prefer=("pre",)) == "nuclei-2d"


def test_last_used_when_remembered_then_it_is_proposed_for_such_images_while_it_is_there(own):
    write_spec(own, "mine")
    assert library.last_used(image("YX")) is None
    library.remember_used("mine")
    assert library.last_used(image("YX")) == "mine"
    assert library.last_used(image("ZYX")) is None
    library.delete_model("mine")
    assert library.last_used(image("YX")) is None


def test_library_when_imported_then_torch_is_not():
    code = (
        "import sys, napari_unet.app.session, napari_unet.app.library as library;"
        "library.list_models(); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
