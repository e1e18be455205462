"""Forms made from the option dataclasses: what the command line reads is what the dock shows.

A field that may be None shows "automatic" below its smallest value; `advanced` fields are folded away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, Field, fields
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args, get_type_hints

from magicgui.widgets import CheckBox, ComboBox, FloatSpinBox, LineEdit
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QIcon
from qtpy.QtWidgets import QComboBox, QFormLayout, QLabel, QPushButton, QSizePolicy, QVBoxLayout, QWidget
from superqt import QCollapsible

from napari_unet.core.base.errors import UserError
from napari_unet.ui.qt import Signal

if TYPE_CHECKING:
    from magicgui.widgets.bases import ValueWidget

AUTOMATIC = "automatic"
OPEN, CLOSED = "\u25be", "\u25b8"  # small triangles, down and right
QWIDGETSIZE_MAX = 16777215  # Qt's own "no limit"; the bindings do not give it

Options = TypeVar("Options")


class OptionsForm(QWidget, Generic[Options]):
    """Edit the fields of a frozen dataclass.

    Parameters
    ----------
    kind : type
        The dataclass; each field's metadata gives `label`, `help`, `unit`, `min`, `max`, `step`, `choices`, `advanced`.
    only : tuple of str
        The fields to show, in this order; all when empty. The others keep their default.
    without : tuple of str
        Fields to leave out.
    folded : str
        The title over the advanced fields.
    """

    value_changed = Signal(object)

    def __init__(
        self, kind: type[Options], *, only: tuple[str, ...] = (), without: tuple[str, ...] = (), folded: str = "More"
    ) -> None:
        super().__init__()
        self._kind, self._hidden = kind, {}  # type: ignore[var-annotated]
        self._first: QFormLayout | None = None
        known = {f.name: f for f in fields(kind)}  # type: ignore[arg-type]
        names = [n for n in (only or known) if n not in without]
        self.widgets = {n: _widget_of(known[n], get_type_hints(kind)[n]) for n in names}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        advanced = [n for n in names if known[n].metadata.get("advanced")]
        plain = [n for n in names if n not in advanced]
        if plain:
            layout.addWidget(self._rows(plain))
        self.fold: QCollapsible | None = None
        if plain and advanced:
            self.fold = folding(folded, self._rows(advanced))
            layout.addWidget(self.fold)
        elif advanced:
            layout.addWidget(self._rows(advanced))
        self.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)

    def _rows(self, names: list[str]) -> QWidget:
        box = QWidget()
        rows = QFormLayout(box)
        rows.setContentsMargins(0, 0, 0, 0)
        rows.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self._first = self._first or rows
        for name in names:
            widget = self.widgets[name]
            widget.changed.connect(self._on_changed)
            label = QLabel(widget.label)
            label.setToolTip(widget.tooltip)
            label.setBuddy(widget.native)
            guard_wheel(widget.native)
            rows.addRow(label, widget.native)
        return box

    def put_first(self, label: str, widget: QWidget) -> None:
        """Put a control of another kind above the options, aligned with them."""
        if self._first is not None:
            name = QLabel(label)
            name.setBuddy(widget)
            name.setToolTip(widget.toolTip())
            self._first.insertRow(0, name, widget)

    def put_last(self, widget: QWidget) -> None:
        """Put a widget of another kind below the advanced options, folded away with them."""
        content = None if self.fold is None else self.fold.content()
        rows = None if content is None else content.layout()
        if isinstance(rows, QFormLayout):
            rows.addRow(widget)

    def value(self) -> Options:
        """Give the options as they stand.

        Raises
        ------
        UserError
            When a text cannot be read.
        """
        shown = {n: _read(w) for n, w in self.widgets.items()}
        return self._kind(**{**self._hidden, **shown})

    def set_value(self, options: Options) -> None:
        """Show other options; emits once if anything changed."""
        before = self.value()
        self._hidden = {f.name: getattr(options, f.name) for f in fields(self._kind)}  # type: ignore[arg-type]
        for name, widget in self.widgets.items():
            with widget.changed.blocked():
                _write(widget, getattr(options, name))
        if before != self.value():
            self._on_changed()

    def _on_changed(self, *_: object) -> None:
        try:
            value = self.value()
        except UserError:
            return  # a half-typed text: told when it is used
        self.value_changed.emit(value)


def folding(title: str, content: QWidget) -> QCollapsible:
    """Fold a widget away under a title."""
    fold = QCollapsible(title)
    fold.setDuration(0)  # an animation leaves half-drawn rows in a scrolled dock
    # superqt paints its arrows in the palette's colour, which napari's themes do not set: letters follow the theme.
    fold.setExpandedIcon(QIcon())
    fold.setCollapsedIcon(QIcon())
    fold.setContent(content)
    fold.toggled.connect(partial(_show_content, fold, title))
    layout = fold.layout()
    if layout is not None:
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
    fold.collapse(animate=False)
    fold.toggleButton().setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    fold.toggleButton().setToolTip(f"Show or hide: {title.lower()}")
    return fold


def _show_content(fold: QCollapsible, title: str, is_shown: bool) -> None:
    """Hide what is folded, so that Tab passes it by, and let what is not grow when a fold inside opens."""
    content = fold.content()
    fold.setText(f"{OPEN if is_shown else CLOSED} {title}")
    content.setVisible(is_shown)
    content.setMaximumHeight(QWIDGETSIZE_MAX if is_shown else 0)


class _WheelGuard(QObject):
    """Leave the wheel to the scrolled dock unless the widget has the focus: numbers must not change by scrolling."""

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        is_wheel = event is not None and event.type() == QEvent.Type.Wheel
        if is_wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()  # type: ignore[union-attr]  # it is not None
            return True
        return False


def guard_wheel(widget: QWidget) -> None:
    """Change a widget's value by the wheel only while it has the focus."""
    widget.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(_WheelGuard(widget))


def push_button(text: str, tip: str, call: Callable[[], None]) -> QPushButton:
    """Make a button that does one thing, and says what."""
    button = QPushButton(text)
    button.setToolTip(tip)
    button.clicked.connect(call)
    return button


def enlarge(button: QPushButton) -> None:
    """Make the one button of a tab that does its work the largest."""
    font = button.font()
    font.setBold(True)
    button.setFont(font)
    button.setMinimumHeight(44)


def shrink(box: QComboBox) -> None:
    """Let a combo box be narrower than its longest entry, so that the dock fits 400 px."""
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)


def _widget_of(field: Field[Any], hint: Any) -> ValueWidget[Any]:
    meta = field.metadata
    unit = meta.get("unit")
    label = meta["label"] + (f" ({unit})" if unit else "")
    default = None if field.default is MISSING else field.default
    shown: dict[str, Any] = {"name": field.name, "label": label, "tooltip": meta["help"]}
    kinds = get_args(hint) or (hint,)
    if "choices" in meta:
        return ComboBox(value=default, choices=list(meta["choices"]), **shown)
    if bool in kinds:
        return CheckBox(value=bool(default), **shown)
    if float in kinds or int in kinds:
        return _number(default, whole=int in kinds, optional=type(None) in kinds, meta=meta, shown=shown)
    return LineEdit(value=str(default or ""), **shown)


def _number(default: float | None, *, whole: bool, optional: bool, meta: Any, shown: dict[str, Any]) -> FloatSpinBox:
    low, high, step = float(meta["min"]), float(meta["max"]), float(meta["step"])
    bottom = low - step if optional else low
    widget = FloatSpinBox(value=bottom if default is None else default, min=bottom, max=high, step=step, **shown)
    spin = widget.native
    spin.setDecimals(0 if whole else _decimals(low, step))
    spin.setMinimum(bottom)
    spin.setValue(bottom if default is None else default)
    spin.setKeyboardTracking(False)
    if optional:
        spin.setSpecialValueText(AUTOMATIC)
    spin.setProperty("automatic_below", low if optional else None)
    spin.setProperty("whole", whole)
    return widget


def _decimals(*numbers: float) -> int:
    """Count the decimals that write all numbers exactly: 1 to 6."""
    return next((d for d in range(1, 7) if all(abs(round(n, d) - n) < 1e-9 for n in numbers)), 6)


def _read(widget: ValueWidget[Any]) -> Any:
    value = widget.value
    if not isinstance(widget, FloatSpinBox):
        return value.strip() if isinstance(value, str) else value
    low = widget.native.property("automatic_below")
    if low is not None and value <= widget.native.minimum():
        return None
    value = value if low is None else max(low, value)
    return int(value) if widget.native.property("whole") else value


def _write(widget: ValueWidget[Any], value: Any) -> None:
    widget.value = widget.native.minimum() if value is None else value
