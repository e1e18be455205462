"""What the dock works on: the current model, the results that are open, the undo list, trainings and jobs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from psygnal import Signal

from napari_unet.app import annotations as notes
from napari_unet.app import library, lineage
from napari_unet.app.history import History, StateStep
from napari_unet.app.jobs import Job, Jobs, Runner
from napari_unet.app.merging import merge_prediction
from napari_unet.app.overview import Overview, look_over
from napari_unet.app.result import Result, bytes_kept, carry_confidence
from napari_unet.app.trainer import Trainer
from napari_unet.core.base.errors import UserError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_unet.app.annotations import Box, Corrections, Labels, Mask, ObjectState
    from napari_unet.app.requests import KeptOutput, SegmentResult
    from napari_unet.core.base.image import Image
    from napari_unet.core.base.options import SegmentOptions


class Session:
    """Carry out what the user asks for, and keep the state between.

    Parameters
    ----------
    runner : Runner
        Where jobs run.
    """

    model_changed = Signal(str)
    result_changed = Signal(str)

    def __init__(self, runner: Runner) -> None:
        self.history = History()
        self.jobs = Jobs(runner)
        self.trainer = Trainer(self)
        self._model: str | None = None
        self._previous: str | None = None
        self._results: dict[str, Result] = {}
        self._used: dict[str, str] = {}

    # --- the model -------------------------------------------------------------------------------

    @property
    def model(self) -> str | None:
        """Give the name of the current model; None before one was chosen."""
        return self._model

    @property
    def previous_model(self) -> str | None:
        """Give the version before the current one, where it is still there; else the model before the last training."""
        return self._previous

    def set_model(self, name: str) -> None:
        """Use another model from now on.

        Raises
        ------
        UserError
            When the library has none of that name.
        """
        folder = library.find_model(name)
        if name != self._model:
            self._model, self._previous = name, lineage.previous(folder)
            self.model_changed.emit(name)

    def choose_model(self, name: str) -> None:
        """Use the model that the user chose: now, after the next start, and it is never cleared away by itself.

        Raises
        ------
        UserError
            When the library has none of that name.
        """
        self.set_model(name)
        library.keep_model(name)
        library.remember_used(name)

    def adopt_model(self, name: str) -> None:
        """Use a model that a training has just brought; what was current before can be taken back."""
        before = self._model
        self.set_model(name)
        self._previous = self._previous or before
        library.remember_used(name)

    def take_back_model(self) -> None:
        """Use the version from before the training that made the current model.

        Raises
        ------
        UserError
            When there was no training, or the old model was deleted.
        """
        if self._previous is None:
            raise UserError("No training has changed the model.", "Choose a model in the list.")
        self.set_model(self._previous)
        library.remember_used(str(self._model))

    def default_model(self, image: Image) -> str | None:
        """Choose a model for an image: the one used last for it, the current one if it fits, else the best fit.

        Returns
        -------
        str or None
            None where no model of the library fits the image's axes and channels.
        """
        return library.best_model(image, prefer=(self._used.get(image.name), self._model))

    def model_folder(self) -> Path:
        """Give the folder of the current model.

        Raises
        ------
        UserError
            When none is chosen, or it was deleted.
        """
        if self._model is None:
            raise UserError("No model is chosen.", "Choose one in the list.")
        return library.find_model(self._model)

    # --- results and what the user says about them -----------------------------------------------

    def open_result(
        self,
        key: str,
        image: Image,
        labels: Labels,
        *,
        prediction: KeptOutput | None = None,
        semantic: bool = False,
        model: str = "",
    ) -> None:
        """Keep a labels layer under a key; `labels` are what was predicted, zeros where all is drawn by hand."""
        sure = {} if prediction is None else carry_confidence(prediction, labels, labels)
        made_by = {} if prediction is None else prediction.made_by
        self._results[key] = Result(image, notes.start(labels, semantic=semantic), prediction, model, sure, made_by)
        self.result_changed.emit(key)

    def bring_back(self, key: str, result: Result, *, undoable: bool = False) -> None:
        """Keep for a labels layer what was autosaved; one undo step where it replaces something."""
        if undoable:
            self._put_with_step("Restore", key, result)
            return
        self._results[key] = result
        self.result_changed.emit(key)

    def set_voxel_size(self, key: str, voxel_size: tuple[float, ...] | None) -> None:
        """Measure in another voxel size, µm, from now on; no step to undo: it is said of the image, not of labels."""
        result = self.result(key)
        self._results[key] = replace(result, image=replace(result.image, voxel_size=voxel_size))
        self.result_changed.emit(key)

    def close_result(self, key: str) -> None:
        """Forget a labels layer that was removed, with its undo steps and what is computed for it."""
        self._results.pop(key, None)
        self.jobs.supersede(_topic(key))
        self.jobs.supersede(f"overview {key}")
        self.history.forget(key)

    def has(self, key: str) -> bool:
        """Tell whether a labels layer is open."""
        return key in self._results

    def result(self, key: str) -> Result:
        """Give what is kept for a labels layer.

        Raises
        ------
        UserError
            When it is not open.
        """
        if key not in self._results:
            raise UserError("These labels do not belong to a segmented image.", "Segment the image first.")
        return self._results[key]

    def accept(self, key: str, ids: Iterable[int]) -> None:
        """Say that objects are right."""
        self._say("Accept", key, notes.accept(self.result(key).corrections, ids))

    def unaccept(self, key: str, ids: Iterable[int]) -> None:
        """Take acceptance back."""
        self._say("Take acceptance back", key, notes.unaccept(self.result(key).corrections, ids))

    def mark_unsure(self, key: str, ids: Iterable[int]) -> None:
        """Say that objects shall not teach."""
        self._say("Unsure", key, notes.mark_unsure(self.result(key).corrections, ids))

    def mark_sure(self, key: str, ids: Iterable[int]) -> None:
        """Let objects teach again."""
        self._say("Sure", key, notes.mark_sure(self.result(key).corrections, ids))

    def mark_done(self, key: str, box: Box) -> None:
        """Say that everything inside a region is right."""
        self._say("All done here", key, notes.mark_done(self.result(key).corrections, box))

    def unmark_done(self, key: str, index: int) -> None:
        """Take a finished region back."""
        self._say("Take region back", key, notes.unmark_done(self.result(key).corrections, index))

    def mark_background(self, key: str, region: Mask | Box) -> None:
        """Say that voxels are background."""
        self._say("This is background", key, notes.mark_background(self.result(key).corrections, region))

    def rename(self, key: str, after: Result) -> None:
        """Keep what is known once objects got other ids (`app.renaming`), before these are written into the labels."""
        self._put_with_step("Relabel", key, after)

    def states(self, key: str, labels: Labels) -> dict[int, ObjectState]:
        """Say of each object whether it is predicted, edited, accepted or unsure."""
        return notes.states(self.result(key).corrections, labels)

    def look_over(self, key: str, labels: Labels, on_done: Callable[[Overview], None]) -> Job[Overview]:
        """Count the objects and find what was edited, beside the window; a newer look supersedes an older one.

        The labels are not copied: where they are painted meanwhile, what is found has to be dropped.
        """
        job: Job[Overview] = Job("Count the objects", f"overview {key}", exclusive=False)
        return self.jobs.start(look_over, (self.result(key).corrections, labels), job, on_done=on_done)

    def confidences(self, key: str) -> dict[int, float]:
        """Give how certain the model was of each object that it predicted, 0 to 1."""
        return dict(self.result(key).confidence)

    def _say(self, name: str, key: str, corrections: Corrections) -> None:
        before = self.result(key)

        def put(said: Corrections) -> None:
            # What is predicted may change without a step of its own (`app.live_session`): it stays as it is now.
            now = self.result(key)
            self.bring_back(key, replace(now, corrections=replace(said, predicted=now.corrections.predicted)))

        put(corrections)
        kept = bytes_kept(before, self.result(key))
        self.history.push(StateStep(name, put, before.corrections, corrections, key, kept))

    def _put_with_step(self, name: str, key: str, after: Result) -> None:
        before = self.result(key)

        def put(result: Result) -> None:
            size = self._results[key].image.voxel_size if key in self._results else result.image.voxel_size
            self._results[key] = replace(result, image=replace(result.image, voxel_size=size))
            self.result_changed.emit(key)

        put(after)
        self.history.push(StateStep(name, put, before, after, key, bytes_kept(before, after)))

    # --- segmenting ------------------------------------------------------------------------------

    def segment(
        self,
        image: Image,
        on_done: Callable[[SegmentResult], None],
        *,
        options: SegmentOptions,
        box: Box | None = None,
        time: int | None = None,
        first: Box | None = None,
        topic: str = "",
    ) -> Job[SegmentResult]:
        """Segment an image with the current model.

        Parameters
        ----------
        image : Image
            Must not change while the job runs.
        on_done : callable
            Gets the result in the main thread.
        options : SegmentOptions
            What the user fixed.
        box : Box, optional
            One slice for each spatial axis.
        time : int, optional
            One time point.
        first : Box, optional
            What is looked at, one slice for each spatial axis: it is computed first.
        topic : str
            To drop the result when the layer is removed: ``jobs.supersede(topic)``.

        Raises
        ------
        UserError
            Without a model, or while another job has the device.
        """
        from napari_unet.app import commands  # loads much, and the dock opens without it
        from napari_unet.app.requests import SegmentRequest

        request = SegmentRequest(image, self.model_folder(), options, box, time, first, asks=True)
        job: Job[SegmentResult] = Job(f"Segment '{image.name}'", topic)
        self.jobs.start(commands.segment, request, job, on_done=on_done)
        self.remember_model(image)
        return job

    def remember_model(self, image: Image) -> None:
        """Remember that the current model was used for an image."""
        self._used[image.name] = str(self._model)

    def redecode(
        self, key: str, options: SegmentOptions, on_done: Callable[[SegmentResult], None]
    ) -> Job[SegmentResult] | None:
        """Decode a kept output with other thresholds; a newer call supersedes an older one, and so does a new output.

        Returns
        -------
        Job or None
            None for labels that no model of the library predicted.
        """
        from napari_unet.app import commands
        from napari_unet.app.requests import RedecodeRequest

        result = self.result(key)
        if result.prediction is None or not result.model:
            return None
        kept = result.prediction

        def _on_done(found: SegmentResult) -> None:
            now = self.result(key).prediction
            if now is not None and now.output is kept.output:  # else Segment, or undo, has put another one there
                on_done(found)

        request = RedecodeRequest(kept, library.find_model(result.model), options)
        job: Job[SegmentResult] = Job("Change thresholds", _topic(key), exclusive=False)
        return self.jobs.start(commands.redecode, request, job, on_done=_on_done)

    def merge_result(self, key: str, labels_now: Labels, result: SegmentResult) -> Labels:
        """Put a new prediction into a result; one undo step.

        Parameters
        ----------
        key : str
            Of the labels layer.
        labels_now : integer array
            The layer's array; not changed.
        result : SegmentResult
            From `segment` or `redecode`.

        Returns
        -------
        integer array
            To be written into the layer, inside the same ``history.group``.
        """
        before = self.result(key)
        corrections = before.corrections
        if corrections.semantic != result.is_semantic:
            raise UserError(
                f"'{result.model}' segments {'classes' if result.is_semantic else 'objects'}, these labels are "
                f"{'classes' if corrections.semantic else 'objects'}.",
                "Remove the labels layer or hide it, and segment again: that makes a new one.",
            )
        labels, merged = merge_prediction(corrections, labels_now, result.labels, result.box)
        sure = carry_confidence(result.prediction, labels[result.box or ...], result.labels)
        if result.box is not None:
            sure = {**before.confidence, **sure}
        judged = merged.accepted | merged.edited  # by a person: the model's opinion counts no more
        after = Result(
            before.image,
            merged,
            result.prediction,
            result.model,
            {one: value for one, value in sure.items() if one not in judged},
            result.prediction.made_by,
        )
        self._put_with_step("Segment", key, after)
        return labels


def _topic(key: str) -> str:
    return f"decode {key}"
