"""The button for projects, and the line that says which one is open."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QMenu, QMessageBox, QPushButton, QVBoxLayout, QWidget

from napari_unet.app.recent import left_project, recent_projects
from napari_unet.ui import messages
from napari_unet.ui.autosave_line import RED, clock_time

if TYPE_CHECKING:
    from napari_unet.app.project import ReadOnly
    from napari_unet.core.store.project import ImageRef
    from napari_unet.ui.projects import Projects

FORMATS = (".ome.tif", ".tif", ".tiff", ".ome.zarr", ".zarr", ".nii.gz", ".nii", ".npy")
ALL_FORMATS = f"Labels ({' '.join(f'*{one}' for one in FORMATS)})"
TIP = "Keep the images' paths, labels, models and a log in one folder that can be moved to another computer."


class ProjectBar(QWidget):
    """Say how safe the work is, and offer to keep it as a project.

    Parameters
    ----------
    projects : Projects
        Followed.
    saved : QLabel
        The line of the autosaver.
    """

    def __init__(self, projects: Projects, saved: QLabel) -> None:
        super().__init__()
        self._projects = projects
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.button = QPushButton("Project")
        self.button.setToolTip(TIP)
        self.button.setAccessibleName("Project")
        self.menu = QMenu(self.button)
        self.menu.setToolTipsVisible(True)
        self.menu.aboutToShow.connect(self.fill)
        self.button.setMenu(self.menu)
        lines = QVBoxLayout()
        lines.addWidget(self.said)
        lines.addWidget(saved)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addLayout(lines, 1)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignBottom)
        projects.changed.connect(self._on_changed)
        self._has_looked = False
        self._list_actions()
        self._on_changed()

    def look_once(self) -> None:
        """Say whether the project that was open last was left by a crash; not before the window is there."""
        left = None if self._has_looked or self._projects.project is not None else left_project()
        self._has_looked = True
        if left is not None:
            self.said.setText(left_words(left.name))
            self.said.setToolTip(str(left))
            self.said.show()

    def fill(self) -> None:
        """List what can be done, and the projects that were open last."""
        self._list_actions()
        self._list_recent()

    def _list_actions(self) -> None:
        self.menu.clear()
        for text, tip, call in (
            ("Save project...", "Make a folder of what is open; it is saved there by itself from now on.", self.save),
            ("Open project...", "Open a folder that was saved before, instead of what is open.", self.choose),
            ("Export labels...", "Write the labels for other programs, with who made and accepted them.", self.export),
        ):
            action = self.menu.addAction(text)
            if action is not None:
                action.setToolTip(tip)
                action.triggered.connect(call)

    def _list_recent(self) -> None:
        recent = [] if self._projects.project is None else [self._projects.project.root]
        others = [path for path in recent_projects() if path not in recent]
        if others:
            self.menu.addSeparator()
        for path in others:
            action = self.menu.addAction(path.name)
            if action is not None:
                action.setToolTip(str(path))
                action.triggered.connect(partial(self.open, path))

    def save(self, *_: object) -> None:
        """Ask for a folder, and save the project there."""
        chosen, _kind = QFileDialog.getSaveFileName(
            self,
            "Save project: a folder of this name is made",
            "project",
            options=QFileDialog.Option.DontConfirmOverwrite,
        )
        if chosen:
            with messages.told():
                self._projects.save(Path(chosen))

    def export(self, *_: object) -> None:
        """Ask for a file, and write the current labels there."""
        chosen, _kind = QFileDialog.getSaveFileName(self, "Export labels", f"labels{FORMATS[0]}", ALL_FORMATS)
        if chosen:
            path = Path(chosen)
            with messages.told():
                self._projects.export(path if path.name.lower().endswith(FORMATS) else Path(f"{chosen}{FORMATS[0]}"))

    def choose(self, *_: object) -> None:
        """Ask for a folder, and open the project in it."""
        from napari_unet.core.store.project import PROJECT_FILE

        chosen = QFileDialog.getExistingDirectory(self, f"Open project: choose the folder with {PROJECT_FILE}")
        if chosen:
            self.open(Path(chosen))

    def open(self, folder: Path, *_: object) -> None:
        """Open a project; what is wrong with it is told."""
        with messages.told():
            self._projects.open(folder, self)

    # ------------------------------------------------------------ what only the user can say

    def may_close(self) -> bool:
        """Ask whether what is open may be closed."""
        return self._asked("Close the images that are open? Their labels are saved.")

    def locate(self, ref: ImageRef) -> Path | None:
        """Ask where an image is."""
        title = f"Where is '{ref.file_name}'? Cancel leaves it out."
        if ref.file_name.lower().endswith(".zarr"):
            chosen = QFileDialog.getExistingDirectory(self, title)
        else:
            chosen, _kind = QFileDialog.getOpenFileName(self, title, ref.file_name)
        return Path(chosen) if chosen else None

    def use_other(self, ref: ImageRef, path: Path) -> bool:
        """Ask whether another file is meant."""
        return self._asked(
            f"'{path.name}' is not the file that the labels of '{ref.image.name}' were drawn on: its checksum is "
            "another. Use it all the same?"
        )

    def _asked(self, question: str) -> bool:
        answer = QMessageBox.question(self, "Project", question)
        return bool(answer == QMessageBox.StandardButton.Yes)

    # ------------------------------------------------------------ which one is open

    def _on_changed(self) -> None:
        project = self._projects.project
        self.said.setVisible(project is not None)
        if project is None:
            return
        read_only = project.read_only
        self.said.setText(f"Project '{project.name}'" if read_only is None else words(project.name, read_only))
        self.said.setStyleSheet("" if read_only is None else RED)
        self.said.setToolTip(str(project.root))


def left_words(name: str) -> str:
    """Say what to do after a crash."""
    return f"Project '{name}' was open when its window ended without closing. Project > {name} shows what was saved."


def words(name: str, read_only: ReadOnly) -> str:
    """Say why a project can only be looked at."""
    if read_only.reason:
        return f"Project '{name}' is read-only: {read_only.reason} Copy its folder to a place that can be written."
    holder = read_only.holder
    who = "" if holder is None else f" since {clock_time(holder.since)} (process {holder.pid} on {holder.host})"
    return f"Project '{name}' is read-only: another window has it open{who}. Close it there and open it here again."
