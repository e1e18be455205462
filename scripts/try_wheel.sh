#!/bin/sh
# Build the source package and, from it, the wheel; install the wheel in a clean environment and use it from
# outside the checkout: finds what only the checkout has.
set -eu
root="$(cd "$(dirname "$0")/.." && pwd)"
clean="$(mktemp -d)"
trap 'rm -rf "$clean"' EXIT

cd "$root"
rm -rf dist
.venv/bin/python -m build --outdir dist .
.venv/bin/python -m venv "$clean/venv"
"$clean/venv/bin/pip" install -q "$root"/dist/*.whl -c constraints.txt

cd "$clean"
export NAPARI_UNET_HOME="$clean/home"
venv/bin/python - <<'PYTHON'
from importlib.metadata import version
from npe2 import PluginManifest
import napari_unet

assert "venv" in napari_unet.__file__, napari_unet.__file__
assert napari_unet.__version__ == version("napari-unet")
manifest = PluginManifest.from_distribution("napari-unet")
print(f"napari-unet {napari_unet.__version__}: imported, manifest '{manifest.name}' found")
PYTHON
venv/bin/napari-unet models list | tee models.txt
grep -q nuclei-2d models.txt || { echo "the wheel lacks the bundled model nuclei-2d" >&2; exit 1; }
