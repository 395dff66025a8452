# Every task of a developer or of CI. `make` lists them.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# The Python to make .venv with, 3.11 to 3.13: make setup PYTHON=python3.12
PYTHON ?= python3
UV ?= uv

BIN := .venv/bin
EXTRAS := build beam trainer dev
LOCKS := $(EXTRAS:%=requirements/%.txt)
LOCKED := $(EXTRAS) gpu

.PHONY: help
help: ## List the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

# Warnings off: setuptools has one for every editable install, and it tells a user nothing.
.venv/.installed: .venv/.pinned pyproject.toml setup.py
	@PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation --editable .
	@touch $@

.PHONY: demo
demo: setup ## Sample, build, train and query, on made-up articles, in two minutes
	@$(BIN)/pmc2vec demo

# A file's tests in one process, since they share what is costly to make.
PARALLEL := --numprocesses auto --maxprocesses 4 --dist loadfile

.PHONY: test
test: setup ## Run the tests that need no more than this machine, and no patience
	@$(BIN)/python -m pytest -m "not slow and not flink and not gpu" $(PARALLEL)

.PHONY: test-all
test-all: setup ## Run every test; what is not here (a browser, Flink, a GPU) is skipped
	@$(BIN)/python -m pytest

# Flink's jars and Beam's job server for it; needs Java 11 or 17 and Maven.
.PHONY: flink
flink: .flink/.installed ## Put a Flink cluster and Beam's job server for it into .flink

.flink/.installed: flink/pom.xml flink/requirements.txt
	@echo "Flink's jars, 320 MB"
	@test -x .flink/venv/bin/python || $(PYTHON) -m venv .flink/venv
	@.flink/venv/bin/python -m pip install --disable-pip-version-check \
	  --no-deps --require-hashes -r flink/requirements.txt
	@echo "Beam's job server, put together from some 250 files; a few minutes the first time"
	@mvn --batch-mode --strict-checksums --file flink/pom.xml \
	  -Dtarget=$(CURDIR)/.flink/target package | awk '/^Downloaded/ { if (++n % 25 == 0) \
	  print "  " n " files"; fflush() } /^\[INFO\] --- |^\[ERROR\]/ { print "  " $$0; fflush() }'
	@touch $@

.PHONY: test-flink
test-flink: setup flink ## Run the tests that start a Flink cluster
	@$(BIN)/python -m pytest -m flink tests/test_flink.py

# Servers of buckets over a folder, for the tests; need Go. Go's checksum database pins the modules.
VERSITYGW := v1.8.0
FAKE_GCS := v1.52.2

.PHONY: s3
s3: .s3/versitygw-$(VERSITYGW) .s3/fake-gcs-$(FAKE_GCS) ## Put servers of S3 and Cloud Storage for the tests into .s3

.s3/versitygw-$(VERSITYGW):
	@GOBIN=$(CURDIR)/.s3 go install github.com/versity/versitygw/cmd/versitygw@$(VERSITYGW)
	@touch $@

.s3/fake-gcs-$(FAKE_GCS):
	@GOBIN=$(CURDIR)/.s3 go install github.com/fsouza/fake-gcs-server@$(FAKE_GCS)
	@touch $@

# Beam's local engine in Go, for `build ... -- --runner=PrismRunner`; of the version of Beam's pin.
PRISM := v$(shell sed -n 's/^apache-beam==\([0-9.]*\).*/\1/p' requirements/beam.txt)

.PHONY: prism
prism: .prism/prism ## Put Beam's engine Prism into .prism; needs Go

.prism/prism: requirements/beam.txt
	@GOBIN=$(CURDIR)/.prism go install github.com/apache/beam/sdks/v2/go/cmd/prism@$(PRISM)
	@touch $@

# Kubernetes' API server and etcd, for tests/test_api_server.py; needs Go and some minutes. Kubernetes is
# not meant to be required as a module: what it has in its staging folder is named with its versions.
KUBERNETES := 37.2
ETCD := v3.7.3

.PHONY: kube
kube: .kube/etcd .kube/kube-apiserver ## Put an API server of Kubernetes and its etcd into .kube

.kube/etcd:
	@mkdir -p .kube/src-etcd; cd .kube/src-etcd; printf \
	  'module etcd\nrequire go.etcd.io/etcd/server/v3 %s\n' $(ETCD) > go.mod; \
	  go build -mod=mod -o ../etcd go.etcd.io/etcd/server/v3

.kube/kube-apiserver:
	@mkdir -p .kube/src; cd .kube/src; \
	  printf 'module kube\nrequire k8s.io/kubernetes v1.%s\n' $(KUBERNETES) > go.mod; \
	  sources=$$(go mod download -json k8s.io/kubernetes@v1.$(KUBERNETES) | sed -n 's/.*"Dir": "\(.*\)".*/\1/p'); \
	  cp "$$sources/go.sum" .; chmod u+w go.sum; grep '^go ' "$$sources/go.mod" >> go.mod; \
	  sed -n 's|.*\(k8s.io/[^ ]*\) => \./staging.*|replace \1 => \1 v0.$(KUBERNETES)|p' \
	    "$$sources/go.mod" | sort -u >> go.mod; \
	  go build -mod=mod -o ../kube-apiserver k8s.io/kubernetes/cmd/kube-apiserver

.PHONY: lint
lint: setup ## Check style, the layers, the Dockerfile and the Kubernetes manifests
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@report=$$($(BIN)/lint-imports --no-cache 2>&1) || { echo "$$report"; exit 1; }
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/python k8s/check.py

.PHONY: types
types: setup ## Check types
	@$(BIN)/mypy

# Real articles, and benchmarks.training against gensim, need arguments.
.PHONY: bench
bench: setup ## Measure a build and the training step on synthetic articles (docs/benchmarks.md has results)
	@$(BIN)/pmc2vec sample --output build/bench --articles 3000 --quiet
	@$(BIN)/python -m benchmarks.corpus build/bench/*.tar.gz --workers 2
	@$(BIN)/python -m benchmarks.step

.PHONY: pictures
pictures: setup ## Make the README's pictures again, in a real browser
	@$(BIN)/python -m docs.pictures.make

.PHONY: image
image: ## Build the images, with Docker or without a registry: make image TARGETS="beam trainer-gpu"
	@images/build $(TARGETS)

.PHONY: check-image
check-image: ## Run the images as a cluster would: no rights, no network, a root that cannot be written
	@python3 images/check.py $(TARGETS)

.PHONY: audit
audit: setup ## Ask whether a pinned package has a known vulnerability
	@$(BIN)/python requirements/audit.py $(LOCKED:%=requirements/%.txt)

# What is made has the time of the last commit, and so the same bytes wherever it is made.
dist sbom: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct)

.PHONY: sbom
sbom: setup ## List what each half is made of, as CycloneDX, in dist/
	@mkdir -p dist; for extra in beam trainer gpu; do \
	  $(BIN)/python -W ignore -m cyclonedx_py requirements requirements/$$extra.txt \
	    --pyproject pyproject.toml --output-reproducible --output-file dist/pmc2vec-$$extra.cdx.json; \
	done; ls dist/*.cdx.json

# Setuptools gives an sdist the times, owners and order of the folder: it is packed once more.
.PHONY: dist
dist: setup ## Make the wheel and the sdist in dist/, the same bytes from the same commit
	@umask 022; rm -rf dist/*.whl dist/*.tar.gz; work=$$(mktemp -d); trap 'rm -rf "$$work"' EXIT; \
	  cp -r --no-preserve=mode $(SHIPPED) "$$work"; \
	  $(BIN)/python -m build --no-isolation --outdir "$$work/dist" "$$work" > "$$work/log" 2>&1 \
	    || { cat "$$work/log" >&2; exit 1; }; \
	  sdist=$$(basename "$$work"/dist/*.tar.gz); mkdir -p dist "$$work/sdist"; \
	  tar -xzf "$$work/dist/$$sdist" -C "$$work/sdist"; \
	  tar -cf - -C "$$work/sdist" --format=gnu --sort=name --mtime="@$$SOURCE_DATE_EPOCH" \
	    --owner=0 --group=0 --numeric-owner $${sdist%.tar.gz} | gzip -9 -n > "dist/$$sdist"; \
	  mv "$$work"/dist/*.whl dist; ls dist/*.whl "dist/$$sdist"

SHIPPED := LICENSE README.md pyproject.toml setup.py beam_pipelines trainer pmc2vec

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
	  cat /dev/null $(wildcard $(LOCKED:%=requirements/%.txt)) | sed 's/ *\\$$//; /--hash/d; /^#/d' | sort -u > "$$all"; \
	  $(WANTED) $(LOCKED) | $(PIN) --output-file "$$all" > /dev/null; \
	  for extra in $(LOCKED); do $(WANTED) $$extra | $(PIN) --generate-hashes \
	    --constraint "$$all" --output-file requirements/$$extra.txt > /dev/null; done

.PHONY: clean
clean: ## Remove what tests and builds leave; .venv stays
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find beam_pipelines trainer pmc2vec tests -name __pycache__ -type d -exec rm -rf {} +
