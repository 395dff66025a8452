# Every task of a developer or of CI. `make` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The Python to make .venv with, 3.11 to 3.13: make setup PYTHON=python3.12
PYTHON ?= python3
DOCKER ?= docker
UV ?= uv

BIN := .venv/bin
EXTRAS := build beam trainer dev
LOCKS := $(EXTRAS:%=requirements/%.txt)
MANIFESTS := $(filter-out %/kustomization.yaml,$(wildcard k8s/*/*.yaml))

.PHONY: help
help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: setup
setup: .venv/.installed ## Make .venv with the pinned packages and pmc2vec itself

# Each stamp is newer than what it was made from, so nothing is done twice.
.venv/.pinned: $(LOCKS)
	@test -x $(BIN)/python || $(PYTHON) -c 'import sys; \
	  v = sys.version_info[:2]; (3, 11) <= v <= (3, 13) or sys.exit( \
	  "make: $(PYTHON) is Python %d.%d, pmc2vec needs 3.11 to 3.13: " \
	  "make setup PYTHON=/path/to/python3.12" % v)'
	@echo "Installing the pinned packages into .venv (a few minutes the first time)"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes $(LOCKS:%=-r %)
	@touch $@

.venv/.installed: .venv/.pinned pyproject.toml setup.py
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: setup ## Sample, build, train and query, on made-up articles, in two minutes
	@$(BIN)/pmc2vec demo

.PHONY: test
test: setup ## Run the tests that need no more than this machine, and no patience
	@$(BIN)/python -m pytest -m "not slow and not flink and not gpu"

.PHONY: test-all
test-all: setup ## Run every test; what is not here (a browser, Flink, a GPU) is skipped
	@$(BIN)/python -m pytest

.PHONY: lint
lint: setup ## Check style, the Dockerfile and the Kubernetes manifests
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/kubernetes-validate --strict --quiet $(MANIFESTS)

.PHONY: types
types: setup ## Check types
	@$(BIN)/mypy

.PHONY: bench
bench: setup ## Measure: docs/benchmarks.md says what, and holds the figures
	@shopt -s nullglob; programs=(benchmarks/*.py); \
	  test $${#programs[@]} -gt 0 || { echo "make: no programs in benchmarks/" >&2; exit 1; }; \
	  for program in "$${programs[@]}"; do echo "# $$program"; $(BIN)/python "$$program"; done

.PHONY: pictures
pictures: setup ## Make the README's pictures again, in a real browser
	@$(BIN)/python -m docs.pictures.make

.PHONY: image
image: ## Build the container images pmc2vec-beam and pmc2vec-trainer
	@for half in beam trainer; do \
	  $(DOCKER) build --target $$half --tag pmc2vec-$$half:$$($(VERSION)) .; done

VERSION = sed -n 's/^__version__ = "\(.*\)"/\1/p' beam_pipelines/__init__.py

# The pins of one extra (of the build backend, for `build`), chosen so that all agree; existing pins
# are kept unless UPGRADE=--upgrade. Needs uv.
PIN = $(UV) pip compile - --quiet --universal --python-version 3.11 --no-annotate $(UPGRADE)
WANTED = $(PYTHON) -c 'import sys, tomllib; p = tomllib.load(open("pyproject.toml", "rb")); \
	  e = {"build": p["build-system"]["requires"], **p["project"]["optional-dependencies"]}; \
	  print(*(need for extra in sys.argv[1:] for need in e[extra]), sep="\n")'

.PHONY: lock
lock: export UV_CUSTOM_COMPILE_COMMAND = make lock
lock: ## Pin every package again after a change of pyproject.toml; newer ones with UPGRADE=--upgrade
	@all=$$(mktemp); trap 'rm -f "$$all"' EXIT; \
	  cat /dev/null $(wildcard $(LOCKS)) | sed 's/ *\\$$//; /--hash/d; /^#/d' | sort -u > "$$all"; \
	  $(WANTED) $(EXTRAS) | $(PIN) --output-file "$$all" > /dev/null; \
	  for extra in $(EXTRAS); do $(WANTED) $$extra | $(PIN) --generate-hashes \
	    --constraint "$$all" --output-file requirements/$$extra.txt > /dev/null; done

.PHONY: clean
clean: ## Remove what tests and builds leave; .venv stays
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find beam_pipelines trainer pmc2vec tests -name __pycache__ -type d -exec rm -rf {} +
