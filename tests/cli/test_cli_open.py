"""A project without a window: what is in it, and where its images are."""

from __future__ import annotations

import json

import numpy as np
import pytest

from napari_unet.app import annotations as notes
from napari_unet.app.autosave import Autosaver
from napari_unet.app.autosave_draft import take_draft
from napari_unet.app.project import new_project
from napari_unet.app.result import Result
from napari_unet.cli import main
from napari_unet.core.base.image import Image
from napari_unet.core.io import read_image, write_image
from napari_unet.core.store.autosave import identify


@pytest.fixture
def project(tmp_path):
    """Give a project with one image, one object of which is accepted."""
    path = write_image(tmp_path / "cells.tif", Image(np.eye(40, dtype=np.uint8), "YX"))
    image = read_image(path)
    labels = np.eye(40, dtype=np.int32)
    result = Result(image, notes.accept(notes.start(labels), [1]))
    saver = Autosaver(tmp_path / "home", run=lambda call: call())
    saver.watch("a", identify(image), lambda out: take_draft(identify(image), labels, result, out=out))
    made = new_project(tmp_path / "project")
    made.add(image, identify(image), "YX", None, "")
    saver.move(made, 10)
    saver.close(10)
    return made.root


def test_open_when_there_is_no_window_then_it_lists_images_labels_and_what_is_missing(project, capsys):
    assert main(["open", str(project), "--json"]) == 0
    said = capsys.readouterr()
    told = json.loads(said.out[said.out.index("{") :])
    image = project.parent / "cells.tif"
    assert told["images"] == [
        {"image": "cells", "path": str(image), "state": "there", "n": 1, "accepted": 1},
    ]  # fmt: skip
    image.write_bytes(b"another")
    main(["open", str(project)])
    assert "changed" in capsys.readouterr().out
    image.unlink()
    main(["open", str(project)])
    assert "not found" in capsys.readouterr().out


def test_open_when_it_is_no_project_then_it_says_so(tmp_path, capsys):
    assert main(["open", str(tmp_path)]) == 2
    assert "There is no project" in capsys.readouterr().err
