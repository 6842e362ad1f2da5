# Two commands to start with: `make demo` and `make test`. Each creates the environment if it is missing and reuses it afterwards.
SHELL := /bin/bash
VENV ?= .venv
PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
RUN := $(VENV)/bin/python
READY := $(VENV)/.ready

.PHONY: help setup demo test test-all test-slurm test-cuda bench bench-cuda docs lint format clean-demo
.DEFAULT_GOAL := help

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY)  ## create the environment in .venv (once)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "NAP2 needs Python 3.11 or newer; found: $$($(PYTHON) --version 2>&1 || echo none). Install one, or say make PYTHON=/path/to/python3.11 …"; exit 1; }
	@echo "Creating the environment in $(VENV) with $$($(PYTHON) --version); this takes a few minutes, once …"
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@$(RUN) -m pip install --quiet --disable-pip-version-check --upgrade pip
	@$(RUN) -m pip install --quiet --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,slurm]'
	@touch $(READY)
	@echo "Environment ready."

demo: $(READY)  ## the whole pipeline on scikit-learn's digits (about 10 minutes on 2 cores)
	@$(RUN) train.py stage=pipeline experiment=digits

clean-demo:  ## forget the demo's results, so that it starts from nothing
	rm -rf stores/digits runs/digits

test: $(READY)  ## lint, types and the fast tests
	@$(MAKE) --no-print-directory lint
	@$(RUN) -m pytest -n auto --maxprocesses 4 --dist loadfile

test-all: $(READY)  ## the fast and the slow tests
	@$(RUN) -m pytest -m 'not slurm and not cuda'

test-slurm: $(READY)  ## install and start a real single-node Slurm, and run the tests that need one
	@bash tests/slurm/install.sh
	@$(RUN) -m pytest -m slurm tests/slurm

test-cuda: $(READY)  ## the tests that need a GPU
	@$(RUN) -c 'import sys, torch; torch.cuda.is_available() or sys.exit(f"torch {torch.__version__} sees no GPU here; make test-all runs what a stand-in can show.")'
	@$(RUN) -m pytest -m cuda

bench: $(READY)  ## measure every speed goal as a ratio in one run; writes docs/performance.md
	@OMP_NUM_THREADS=1 $(RUN) -m benchmarks

bench-cuda: $(READY)  ## candidates per ten minutes on a GPU, and a snapshot's share; writes docs/performance.md
	@$(RUN) -c 'import sys, torch; torch.cuda.is_available() or sys.exit(f"torch {torch.__version__} sees no GPU here; make bench measures what needs none.")'
	@OMP_NUM_THREADS=1 $(RUN) -m benchmarks collection

docs: $(READY)  ## run the code of the guides and paste what it prints (after make demo and stage=publish experiment=digits)
	@OMP_NUM_THREADS=1 $(RUN) docs/build_guides.py

lint: $(READY)  ## ruff (lint, format) and mypy
	@$(RUN) -m ruff check .
	@$(RUN) -m ruff format --check .
	@$(RUN) -m mypy

format: $(READY)  ## apply ruff's fixes and format
	@$(RUN) -m ruff check --fix .
	@$(RUN) -m ruff format .
