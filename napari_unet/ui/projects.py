"""Save the work of this window as a project, and open one: images, labels, models and what was said about them."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from qtpy.QtCore import QObject

from napari_unet.app import library
from napari_unet.app.action_log import ActionLog
from napari_unet.app.autosave_place import OwnFolder
from napari_unet.app.errors import describe_error
from napari_unet.app.job import Job
from napari_unet.app.recent import remember_project
from napari_unet.core.base.errors import UserError
from napari_unet.core.store.autosave import identify
from napari_unet.ui import layers, messages
from napari_unet.ui.project_images import check_kept, open_image
from napari_unet.ui.qt import Signal
from napari_unet.ui.workspace import Reading

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

    from napari_unet.app.autosave_draft import Restored
    from napari_unet.app.project import Project
    from napari_unet.app.session import Session
    from napari_unet.core.store.autosave import ImageId
    from napari_unet.core.store.project import ImageRef
    from napari_unet.ui.autosaving import Autosaving
    from napari_unet.ui.results import Link, Results
    from napari_unet.ui.workspace import Workspace

WAIT_S = 30.0


class Questions(Protocol):
    """What only the user can say."""

    def may_close(self) -> bool:
        """Tell whether what is open may be closed."""
        ...

    def locate(self, ref: ImageRef) -> Path | None:
        """Give the file of an image that was not found; None leaves it out."""
        ...

    def use_other(self, ref: ImageRef, path: Path) -> bool:
        """Tell whether to take a file that is not the one of the project."""
        ...


class Projects(QObject):
    """Know the project of this window.

    Parameters
    ----------
    workspace, results, session
        What the tabs share.
    autosaving : Autosaving
        Writes into the project.
    """

    changed = Signal()
    """Another project, or none."""

    def __init__(self, workspace: Workspace, results: Results, session: Session, autosaving: Autosaving) -> None:
        super().__init__()
        self._workspace, self._results, self._session = workspace, results, session
        self._autosaving = autosaving
        self.project: Project | None = None
        self.log = ActionLog(session)
        self._known: set[str] = set()
        self._ids: dict[str, ImageId] = {}
        results.opened.connect(self._on_opened)
        session.result_changed.connect(self._on_result)
        session.model_changed.connect(self._on_model)
        session.history.happened.connect(self._on_happened)

    @property
    def _writable(self) -> Project | None:
        return None if self.project is None or self.project.read_only is not None else self.project

    # ------------------------------------------------------------ saving

    def save(self, folder: Path) -> None:
        """Make a project of what is open; from now on it is saved there by itself.

        Parameters
        ----------
        folder : Path
            New or empty.

        Raises
        ------
        UserError
            When it cannot be made. The labels are as safe as before then.
        """
        from napari_unet.app.project import new_project  # the dock opens without it

        links = [link for key in self._results.keys if (link := self._results.link(key)) is not None]
        for link in links:
            check_kept(self._autosaving.whole(link))
        project = new_project(folder)
        self._known.clear()
        for link in links:
            self._add(project, link)
        if self._session.model is not None:
            self._keep_model(project, self._session.model, is_current=True)
        self.log.note("Save project", folder=project.name)
        project.note(self.log.take())
        try:
            is_safe = self._autosaving.saver.move(project, WAIT_S)
        except UserError:
            project.close()
            raise
        self.project = project
        self.changed.emit()
        remember_project(project.root)
        status = self._autosaving.saver.status
        if status.kind in ("failed", "held"):
            raise UserError(f"The labels are not saved in the project yet: {status.message}", status.hint)
        if not is_safe:  # the writer's thread is at it
            messages.show_info("The project is still being written.", "The line at the bottom says when it is saved.")
            return
        try:
            project.finish()
        except (OSError, UserError) as error:
            message, hint = describe_error(error)
            raise UserError(f"Not all of the project is saved: {message}", f"{hint} It is tried again.") from error

    def _add(self, project: Project, link: Link) -> None:
        owner = next((one for one in self._workspace.viewer.layers if one.unique_id == link.image_id), None)
        if owner is None:
            return
        image, reading = self._autosaving.whole(link), self._workspace.reading_of(owner)
        reader = str(owner.source.reader_plugin or "")
        known = self._ids[link.key] = identify(image)
        project.add(image, known, reading.axes or "", reading.voxel_size, reader)
        self._keep_model(project, self._session.result(link.key).model)

    def _keep_model(self, project: Project, name: str, *, is_current: bool = False) -> None:
        if name:
            self._known.add(name)
            with suppress(UserError):  # it was deleted: nobody can keep it
                project.use_model(name, library.find_model(name), is_current=is_current)

    def export(self, path: Path) -> None:
        """Write the current labels with their origin into a file, beside the window.

        Parameters
        ----------
        path : Path
            Its suffix says the format.

        Raises
        ------
        UserError
            When there are no labels.
        """
        from napari_unet.app.provenance import ExportRequest, export_labels

        link = self._results.need()
        labels = layers.labels_array(link.labels).copy()
        request = ExportRequest(path, labels, self._session.result(link.key))
        job: Job[Path] = Job(f"Export '{link.labels.name}'", exclusive=False)
        self._session.jobs.start(export_labels, request, job, on_done=self._on_exported)

    def _on_exported(self, path: Path) -> None:
        self.log.note("Export labels", file=path.name)
        self._on_happened()
        messages.show_info(f"The labels are in '{path}'.")

    # ------------------------------------------------------------ opening

    def open(self, folder: Path, ask: Questions) -> None:
        """Open a project in this window, instead of what is open.

        Parameters
        ----------
        folder : Path
            Of the project, or its ``project.json``.
        ask : Questions
            Asked where an image is missing.

        Raises
        ------
        UserError
            When it cannot be read, is open here already, or images or labels of it are left out.
        """
        from napari_unet.app.project import open_project

        project = open_project(folder)
        if self.project is not None and project.root == self.project.root and self._writable is not None:
            raise UserError(f"'{project.name}' is open in this window.", "There is nothing to open.")
        viewer = self._workspace.viewer
        if len(viewer.layers) and not ask.may_close():
            project.close()
            return
        self.project = None  # what is closed now belongs to what was open
        self._known.clear()
        viewer.layers.clear()
        place = OwnFolder(library.autosave_folder()) if project.read_only is not None else project
        try:
            self._autosaving.saver.move(place, WAIT_S)
        except UserError:
            project.close()
            self.changed.emit()
            raise
        self.project = project
        self.changed.emit()
        self._take_models(project)
        troubles = self._show_all(project, ask)
        remember_project(project.root)
        if project.read_only is None:
            self.log.note("Open project", folder=project.name)
            project.note(self.log.take())
        if troubles:
            raise UserError("\n".join(troubles))

    def _take_models(self, project: Project) -> None:
        from napari_unet.app.project_models import install_models

        with messages.told():
            names = install_models(project.root)
            if project.model:
                with suppress(UserError):
                    self._session.set_model(names.get(project.model, project.model))

    def _show_all(self, project: Project, ask: Questions) -> list[str]:
        """Open all images with their labels; give what to tell of those that are not as they were."""
        elsewhere: list[Path] = []
        troubles = []
        for ref in project.images:
            path = project.find(ref, elsewhere) or self._ask(ref, ask)
            if path is None:
                troubles.append(f"'{ref.image.name}' was not found and is left out; its labels stay in the project.")
                continue
            elsewhere.append(Path(path).parent)
            try:
                troubles += self._show(project, ref, path)
            except UserError as error:
                troubles.append(f"'{ref.image.name}': {error.message} {error.hint}")
        return troubles

    @staticmethod
    def _ask(ref: ImageRef, ask: Questions) -> str | None:
        from napari_unet.core.store.project import is_same_file

        path = ask.locate(ref)
        is_wanted = path is not None and (is_same_file(path, ref) or ask.use_other(ref, path))
        return str(path.absolute()) if path is not None and is_wanted else None

    def _show(self, project: Project, ref: ImageRef, path: str) -> list[str]:
        """Open one image and its labels."""
        from napari_unet.app.autosave_draft import load
        from napari_unet.core.store.project import is_same_file

        layer = open_image(self._workspace.viewer, path, ref)
        self._workspace.follow(layer)
        if (self._workspace.reading.axes, ref.voxel_size) != (ref.axes, None):
            self._workspace.read_as(Reading(ref.axes, ref.voxel_size, is_chosen=True))
        image = self._workspace.image()
        known = identify(image)
        project.bind(ref, known)
        for saved in reversed(project.saved(ref)):
            restored = load(saved, image)
            if project.read_only is None:
                self._autosaving.show(saved, layer, restored)
            else:
                self._show_locked(layer, ref.axes, restored)
        sums = {known.checksum, ref.image.checksum} - {""}
        if len(sums) == 2 or not is_same_file(Path(path), ref):
            return [f"'{ref.image.name}' has changed since its labels were drawn: look whether they still fit."]
        return []

    def _show_locked(self, layer: ImageLayer, axes: str, restored: Restored) -> None:
        """Show labels that can only be looked at."""
        at = None if restored.box is None else tuple(part.start for part in restored.box)
        made = layers.add_labels(self._workspace.viewer, layer, axes, restored.labels, restored.title, at=at)
        if restored.classes:
            layers.name_classes(made, restored.classes)
        made.editable = False

    # ------------------------------------------------------------ what happens meanwhile

    def _on_opened(self, link: Link) -> None:
        if self._writable is None:
            return
        with messages.told():
            check_kept(self._autosaving.whole(link))
            self._add(self._writable, link)

    def _on_result(self, key: str) -> None:
        model = self._session.result(key).model if self._writable is not None and self._session.has(key) else ""
        if self._writable is not None and model not in self._known:
            self._keep_model(self._writable, model)
        link, known = self._results.link(key), self._ids.get(key)
        owner = next((one for one in self._workspace.viewer.layers if link and one.unique_id == link.image_id), None)
        if self._writable is not None and known is not None and owner is not None:
            reading = self._workspace.reading_of(owner)
            self._writable.set_voxel_size(known, reading.axes or "", reading.voxel_size)

    def _on_model(self, name: str) -> None:
        if self._writable is not None:
            self._keep_model(self._writable, name, is_current=True)

    def _on_happened(self, *_: object) -> None:
        if self._writable is not None:
            self._writable.note(self.log.take())

    def close_links(self) -> None:
        """Let the project know what was done last; the autosaver writes it."""
        self._on_happened()
        self._session.history.happened.disconnect()
