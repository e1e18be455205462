# make demo | test: each does all the set-up by itself, once. make help: the list.
PYTHON ?= python3
PY := .venv/bin/python
# Windows need a display: a virtual one where there is none.
HEADLESS = $(if $(DISPLAY)$(WAYLAND_DISPLAY),,$(if $(shell command -v xvfb-run),xvfb-run -a -s "-screen 0 1400x900x24"))

.DEFAULT_GOAL := help
.PHONY: help setup system demo test test-windows test-rest nightly lint wheel bench screenshots docs clean

help:
	@echo "make demo         segment a real image, show the result (without a display: write it to demo/)"
	@echo "make test         lint, types, architecture, manifest and all tests"
	@echo "make nightly      the same with 500 random lives of a labels layer instead of 25"
	@echo "make lint         the same without the tests"
	@echo "make wheel        build the package and try it in a clean environment"
	@echo "make bench        measure speed (minutes)"
	@echo "make screenshots  make the pictures of the documentation again"
	@echo "make docs         build the documentation into docs/_build"
	@echo "make setup        what all of these do first; make clean takes it away"

# --- set-up: stamp files in .venv, so that nothing is installed twice ---

setup: .venv/.package

system:
	@sh scripts/system_libraries.sh $(PYTHON)

.venv/.package: pyproject.toml constraints.txt hatch_build.py | system
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11))" || \
	  { echo "napari-unet needs Python 3.11 or newer: make PYTHON=/path/to/python3 ..." >&2; exit 1; }
	@echo "Setting up .venv: some minutes the first time."
	$(PYTHON) -m venv .venv
	$(PY) -m pip install -q -e ".[gui,test,dev]" -c constraints.txt
	@touch $@

.venv/.docs: .venv/.package
	$(PY) -m pip install -q -e ".[docs]" -c constraints.txt
	@touch $@

# --- work ---

demo: setup
	.venv/bin/napari-unet demo --out demo

# The tests with windows and those without run side by side, each in a process of its own.
test: export OMP_WAIT_POLICY = PASSIVE
test: lint
	@$(MAKE) --no-print-directory --jobs 2 test-windows test-rest

test-windows:
	$(HEADLESS) $(PY) -m pytest -q tests/ui

test-rest:
	$(HEADLESS) $(PY) -m pytest -q tests --ignore tests/ui

nightly: export NAPARI_UNET_EXAMPLES = 500
nightly: test

lint: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	.venv/bin/lint-imports
	.venv/bin/codespell
	$(PY) -m validate_pyproject pyproject.toml
	$(PY) -m npe2 validate --imports napari.yaml

wheel: setup
	sh scripts/try_wheel.sh

bench: setup
	$(HEADLESS) $(PY) -m benchmarks

screenshots: setup
	$(HEADLESS) $(PY) docs/screenshots.py
	$(HEADLESS) $(PY) docs/animation.py

docs: .venv/.docs
	$(PY) -m sphinx -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf .venv dist docs/_build demo
