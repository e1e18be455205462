"""The buttons and settings of the correction tools, made from their registry: a new tool needs nothing here."""

from __future__ import annotations

from functools import partial
from typing import Any

from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QGridLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_unet.core.edits import EDITS
from napari_unet.ui import shortcuts
from napari_unet.ui.forms import OptionsForm, folding, guard_wheel, shrink
from napari_unet.ui.qt import Signal

ROWS = (
    (
        ("previous", "Previous", "Go to the object before in the table."),
        ("next", "Next", "Go to the next object in the table."),
        (
            "accept",
            "Accept",
            "They are right: they teach, and no prediction changes them. Goes on to the next.",
        ),
        ("unsure", "Unsure", "The selected objects shall not teach; once more takes it back."),
    ),
    (
        ("pick", "Pick", "While it is down, clicks on objects select them, one by one (in pan/zoom mode)."),
        ("cut", "Line", "Draw a line: along a cut for Split, along a new object for Draw, else through objects."),
        ("outline", "Outline", "Draw an outline: around objects for any tool, or of one for Draw."),
        ("seeds", "Seeds", "Place a point in each part of an object, then press Split."),
    ),
    (
        ("suggest", "Suggest", "Draws the region most worth correcting next: doubtful objects, every third by lot."),
        ("region", "Region", "Draw rectangles for the two buttons on its right; without any, the view counts."),
        ("done", "All done", "In the rectangles, or in the view, every object is right and the rest is background."),
        ("background", "Background", "In the rectangles, or in the view, what carries no label is background."),
    ),
    (
        ("undo", "Undo", "Take the last step back."),
        ("redo", "Redo", "Do it once more."),
        (
            "own",
            "Own labels",
            "Review the selected labels layer, whatever tool made it: what you accept or change teaches. Without one, "
            "draw on an empty new one.",
        ),
    ),
)
"""Name, text and tooltip of the tab's buttons beside those of the tools, row by row."""

COLUMNS = 4
OBJECT, SLICE = "object", "slice"
SCOPES = ((OBJECT, "the whole object"), (SLICE, "the shown slice only"))


class ToolBox(QWidget):
    """Press a tool to use it; set its parameters below."""

    used = Signal(str)
    """The name of the tool that was pressed."""

    def __init__(self) -> None:
        super().__init__()
        self.buttons = {name: self._button(name) for name in EDITS}
        kinds = {name: kind for name, tool in EDITS.items() if (kind := tool.parameters()) is not None}
        self.forms: dict[str, OptionsForm[Any]] = {name: OptionsForm(kind) for name, kind in kinds.items()}
        self.scope = QComboBox()
        for key, text in SCOPES:
            self.scope.addItem(text, key)
        self.scope.setToolTip("In a stack: whether a tool changes objects in all slices, or in the one that is shown.")
        self._scope_name = QLabel("Tools change")
        self._scope_name.setToolTip(self.scope.toolTip())
        self._scope_name.setBuddy(self.scope)
        self.settings_of = QComboBox()
        self.settings_of.setToolTip("The tool whose settings are shown: the one used last, or choose another.")
        for name in self.forms:
            self.settings_of.addItem(EDITS[name].title, name)
        self.settings_of.currentIndexChanged.connect(self._show_form)
        for box in (self.scope, self.settings_of):
            shrink(box)
            guard_wheel(box)
        self._lay_out()
        self.show_scope(False)

    def _button(self, name: str) -> QPushButton:
        tool = EDITS[name]
        button = QPushButton(tool.title)
        button.setToolTip(shortcuts.with_key(tool.tip, name) if tool.key else tool.tip)
        button.clicked.connect(partial(self.press, name))
        return button

    def _lay_out(self) -> None:
        scope = QFormLayout()
        scope.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        scope.addRow(self._scope_name, self.scope)
        settings = QWidget()
        rows = QVBoxLayout(settings)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.addWidget(self.settings_of)
        for form in self.forms.values():
            rows.addWidget(form)
        self._show_form(0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addLayout(scope)
        layout.addLayout(in_rows(list(self.buttons.values())))
        layout.addWidget(folding("Tool settings", settings))

    def _show_form(self, index: int) -> None:
        for place, form in enumerate(self.forms.values()):
            form.setVisible(place == index)

    def press(self, name: str, *_: object) -> None:
        """Use a tool, and show its settings for the next time."""
        if name in self.forms:
            self.settings_of.setCurrentIndex(self.settings_of.findData(name))
        self.used.emit(name)

    def parameters(self, name: str) -> dict[str, Any]:
        """Give what is chosen for a tool.

        Raises
        ------
        UserError
            When a text cannot be read.
        """
        return dict(vars(self.forms[name].value())) if name in self.forms else {}

    @property
    def is_in_slice(self) -> bool:
        """Tell whether tools change the shown slice only."""
        return self._scope_name.isVisibleTo(self) and self.scope.currentData() == SLICE

    def show_scope(self, is_stack: bool) -> None:
        """Ask for the scope where there are slices."""
        self._scope_name.setVisible(is_stack)
        self.scope.setVisible(is_stack)


def in_rows(buttons: list[QPushButton], n_columns: int = COLUMNS) -> QGridLayout:
    """Lay buttons out in columns of one width, narrow enough for the dock."""
    grid = QGridLayout()
    grid.setSpacing(4)
    for place, button in enumerate(buttons):
        button.setMinimumWidth(0)
        grid.addWidget(button, place // n_columns, place % n_columns)
    for column in range(n_columns):
        grid.setColumnStretch(column, 1)
    return grid
