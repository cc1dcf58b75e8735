# make demo | test | check | fix | clean
#
# PYTHON   the interpreter that makes .venv, 3.11 or newer   make demo PYTHON=python3.12
# PYTEST   options for pytest                                make test PYTEST="-m 'not slow' -x"
#
# pip takes packages from where it always does; see README.md for a torch without CUDA.

PYTHON ?= python3
PYTEST ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
FORMATTED := nas plugins search_spaces benchmarks tests

.PHONY: demo test check lint types fix clean
.DELETE_ON_ERROR:

demo: $(VENV)/.run
	$(BIN)/nas search

test: $(VENV)/.dev
	$(BIN)/python -m pytest --numprocesses 2 --dist loadgroup $(PYTEST)

check: lint types

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check $(FORMATTED)

types: $(VENV)/.dev
	$(BIN)/mypy

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format $(FORMATTED)

clean:
	rm -rf $(VENV) build dist *.egg-info nas/space/_fingerprint*.so .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "expected Python 3.11 or newer, got $$($(PYTHON) --version 2>&1 | head -n 1) from '$(PYTHON)';" \
	       "name another one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
	  echo "'$(PYTHON) -m venv' failed; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(VENV)/.run: pyproject.toml constraints.txt nas/space/_fingerprint.c | $(BIN)/python
	@echo "installing into $(VENV); the first time takes a few minutes"
	$(PIP) --editable .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt nas/space/_fingerprint.c | $(BIN)/python
	@echo "installing into $(VENV); the first time takes a few minutes"
	$(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/.run
