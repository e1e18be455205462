"""What the plugin adds to the start of napari: its import and manifest, and the opening of the dock."""

from __future__ import annotations

import compileall
import json
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import median

import napari_unet
from benchmarks.measure import Cost, environment, interleaved, say
from benchmarks.record import Figure, Result, Settings
from napari_unet.launch import has_display

TARGET = 0.1
"""CPU seconds more than napari alone."""

NAPARI = """
import napari.window, npe2
from napari import Viewer
"""
"""All of napari with its window; `import napari` alone loads hardly anything."""

PLUGIN = (
    NAPARI
    + """
manager = npe2.PluginManager.instance()
manager.register(npe2.PluginManifest.from_distribution("napari-unet"))
import napari_unet.ui.main_widget
"""
)
"""The plugin is found by its entry point, its manifest read and checked, and the dock's module imported."""

EMPTY_WINDOW = """
viewer = Viewer()
app = QApplication.instance()
app.processEvents()
"""

DOCK = (
    EMPTY_WINDOW
    + """
viewer.window.add_plugin_dock_widget("napari-unet", "U-Net")
app.processEvents()
"""
)
"""napari finds and reads all manifests when its first viewer opens, so that only the dock itself is left."""

TAIL = """
import json, sys, time
print(json.dumps([time.process_time(), time.time(), "torch" in sys.modules]))
if "viewer" in globals():
    viewer.close()
"""


def run(settings: Settings) -> Result:
    """Measure imports everywhere, and the dock where there is a display."""
    rounds = 3 if settings.quick else 9
    # pip compiles what it installs, napari too; of a checkout it is done at the first start, which is not measured.
    compileall.compile_dir(Path(napari_unet.__file__).parent, quiet=1)
    costs = interleaved({"napari": partial(start, NAPARI), "plugin": partial(start, PLUGIN)}, rounds)
    figures = _figures("Importing the plugin", costs, "napari", "plugin", target=TARGET)
    if has_display():
        head = NAPARI + "from qtpy.QtWidgets import QApplication\n"
        scripts = {"window": head + EMPTY_WINDOW, "window and dock": head + DOCK}
        with tempfile.TemporaryDirectory() as folder, environment({"NAPARI_CONFIG": f"{folder}/settings.yaml"}):
            shown = interleaved({name: partial(start, script) for name, script in scripts.items()}, rounds)
        costs |= shown
        figures += _figures("Opening the dock", shown, "window", "window and dock")
    else:
        say("the dock is left out: there is no display")
    samples = {f"{name}, CPU s": [cost.cpu for cost in part] for name, part in costs.items()}
    samples |= {f"{name}, s": [cost.wall for cost in part] for name, part in costs.items()}
    return Result(tuple(figures), samples)


def start(script: str) -> Cost:
    """Run a script in a fresh Python, from the start of the process to the script's end.

    Raises
    ------
    RuntimeError
        When it fails, or has imported torch.
    """
    started = time.time()
    found = subprocess.run([sys.executable, "-c", script + TAIL], capture_output=True, text=True)
    if found.returncode:
        raise RuntimeError(f"a script failed:\n{script}\n{found.stderr}")
    cpu, ended, has_torch = json.loads(found.stdout.splitlines()[-1])
    if has_torch:
        raise RuntimeError(f"torch was imported before anything was asked of it:\n{script}")
    return Cost(cpu, ended - started)


def _figures(
    what: str, costs: dict[str, list[Cost]], without: str, with_it: str, *, target: float | None = None
) -> list[Figure]:
    pairs = list(zip(costs[with_it], costs[without], strict=True))
    more = {"CPU time": median(a.cpu - b.cpu for a, b in pairs), "time": median(a.wall - b.wall for a, b in pairs)}
    base = median(cost.cpu for cost in costs[without])
    return [
        Figure(f"{what}: CPU time more than {without} alone", more["CPU time"], "s", target),
        Figure(f"{what}: time more than {without} alone", more["time"], "s"),
        Figure(f"{what}: CPU time of {without} alone", base, "s"),
    ]
