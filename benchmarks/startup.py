"""What the plugin adds to the start of napari: its import and manifest, and the opening of the dock.

Both are measured within one process, after what napari does alone: the difference between two processes scatters by as
much as it is large.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.measure import Cost, environment, say
from benchmarks.record import Figure, Result, Settings
from napari_unet.launch import has_display

TARGET = 0.1
"""CPU seconds more than napari alone."""

NAPARI = """
import napari.window, npe2
from napari import Viewer
"""
"""All of napari with its window; `import napari` alone loads hardly anything."""

PLUGIN = """
manager = npe2.PluginManager.instance()
manager.register(npe2.PluginManifest.from_distribution("napari-unet"))
import napari_unet.ui.main_widget
"""
"""The plugin is found by its entry point, its manifest read and checked, and the dock's module imported."""

WINDOW = (
    NAPARI
    + """
from qtpy.QtWidgets import QApplication
viewer = Viewer()
app = QApplication.instance()
app.processEvents()
"""
)
"""napari finds and reads all manifests when its first viewer opens, so that only the dock itself is left."""

DOCK = """
viewer.window.add_plugin_dock_widget("napari-unet", "U-Net")
app.processEvents()
"""

SCRIPT = """
import json, sys, time
def now():
    return time.process_time(), time.perf_counter()
start = now()
{before}
middle = now()
{after}
end = now()
costs = [[b - a for a, b in zip(*pair)] for pair in ((start, middle), (middle, end))]
print(json.dumps([*costs, "torch" in sys.modules]))
if "viewer" in globals():
    viewer.close()
"""


COMPILED = {"PYTHONDONTWRITEBYTECODE": ""}
"""An installed plugin is compiled, as napari is. Where this is set, each start would compile what was edited anew."""


@dataclass(frozen=True)
class Start:
    """What napari took alone, and what the plugin took after it."""

    alone: Cost
    more: Cost


def run(settings: Settings) -> Result:
    """Measure imports everywhere, and the dock where there is a display."""
    rounds = 3 if settings.quick else 9
    parts = {"Importing the plugin": (NAPARI, PLUGIN)}
    if has_display():
        parts["Opening the dock"] = (WINDOW, DOCK)
    else:
        say("the dock is left out: there is no display")
    starts: dict[str, list[Start]] = {what: [] for what in parts}
    with tempfile.TemporaryDirectory() as folder, environment({"NAPARI_CONFIG": f"{folder}/settings.yaml", **COMPILED}):
        for number in range(rounds):
            for what, scripts in parts.items():
                starts[what].append(measure(*scripts))
                say(f"round {number + 1} of {rounds}, {what}: {starts[what][-1].more.cpu:.3f} CPU s")
    figures = [
        figure
        for what, found in starts.items()
        for figure in _figures(what, found, TARGET if what == "Importing the plugin" else None)
    ]
    samples = {f"{what}, CPU s": [one.more.cpu for one in found] for what, found in starts.items()}
    samples |= {f"{what}, s": [one.more.wall for one in found] for what, found in starts.items()}
    return Result(tuple(figures), samples)


def measure(before: str, after: str) -> Start:
    """Run two scripts one after the other in a fresh Python.

    Raises
    ------
    RuntimeError
        When they fail, or have imported torch.
    """
    script = SCRIPT.format(before=before, after=after)
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if found.returncode:
        raise RuntimeError(f"a script failed:\n{script}\n{found.stderr}")
    alone, more, has_torch = json.loads(found.stdout.splitlines()[-1])
    if has_torch:
        raise RuntimeError(f"torch was imported before anything was asked of it:\n{script}")
    return Start(Cost(*alone), Cost(*more))


def _figures(what: str, found: Sequence[Start], target: float | None) -> list[Figure]:
    return [
        Figure(f"{what}: CPU time more than napari alone", median(one.more.cpu for one in found), "s", target),
        Figure(f"{what}: time more than napari alone", median(one.more.wall for one in found), "s"),
        Figure(f"{what}: CPU time of napari alone", median(one.alone.cpu for one in found), "s"),
    ]
