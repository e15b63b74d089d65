# make demo    the main job on a small real research repository, about a minute
# make test    lint, types and the whole test suite
# make bench   the figures of benchmarks/, measured here
# make docs    docs/cli.md from the --help of every verb
#
# Each target sets up its own Python environment in .venv first (once), so a machine with
# Python 3.11 or newer and make is enough. PYTHON=... chooses the interpreter.

VENV := .venv
# More than one for each CPU: many tests wait for processes that wait themselves.
WORKERS := 3
BIN  := $(VENV)/bin
PIP  := $(BIN)/python -m pip --disable-pip-version-check --quiet
CANDIDATES := $(PYTHON) $(if $(PYTHON),,python3 python3.14 python3.13 python3.12 python3.11 python)

# With it, every process of the tests would compile what it imports once more.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint bench docs clean

help:
	@sed -n 's/^# \(make \)/\1/p' Makefile

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

test: lint $(VENV)/.trainers
	$(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

docs: $(VENV)/.dev
	$(BIN)/python docs/generate_cli.py

clean:
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp holds when the environment has what the target needs.
$(VENV)/.demo: pyproject.toml | $(VENV)/.python
	@echo "Installing aexp and what the demo needs into $(VENV) (once, a minute or two) ..."
	@$(PIP) install --editable '.[demo]'
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.python
	@echo "Installing aexp and what its tests need into $(VENV) (once, a minute or two) ..."
	@$(PIP) install --editable '.[dev]'
	@touch $@

# TORCH_INDEX=https://download.pytorch.org/whl/cpu gets a PyTorch without CUDA.
$(VENV)/.trainers: $(VENV)/.dev
	@echo "Installing the training libraries of tests/callbacks into $(VENV) (once, a minute or two) ..."
	@$(PIP) install $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) --editable '.[trainers]'
	@touch $@

# A name on PATH may be a shim of a version that is not installed, so each one is tried.
$(VENV)/.python:
	@for name in $(CANDIDATES); do \
	  "$$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  "$$name" -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "error: $$name cannot make virtual environments (its ensurepip module is missing)." >&2; \
	    echo "hint:  on Debian or Ubuntu: apt-get install python3-venv" >&2; exit 1; }; \
	  "$$name" -m venv --clear $(VENV) && touch $@ && exit 0; exit 1; \
	done; \
	echo "error: no Python 3.11 or newer among: $(CANDIDATES)" >&2; \
	echo "hint:  install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1
