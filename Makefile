# Each target sets up what it needs, and only once: a second run starts at once and needs no network.
#   make test ARGS="-k drift"     ARGS is handed on to what the target runs
#   make demo PYTHON=python3.12   another Python; by default the first of 3.11 to 3.13 that is found

VENV   := .venv
BIN    := $(VENV)/bin
DEMO   := $(VENV)/.demo-is-set-up
DEV    := $(VENV)/.dev-is-set-up
UV     := build/uv/bin/uv
ARGS   :=
PYTHON :=
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
REVISION = $(shell git rev-parse HEAD 2>/dev/null)
ENGINE := docker
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint bench soak docs dashboards chart image sbom lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

demo: $(DEMO) ## a living email platform and its exporter, until Ctrl-C
	@exec $(BIN)/postwatch-demo $(ARGS)

# Most tests wait for something: twice as many workers as processors finish sooner.
test: $(DEV) ## every test but the long ones
	@scripts/test-servers
	@scripts/test-clients
	@scripts/test-helm $(BIN)/python
	$(BIN)/python -m pytest -n 4 --dist loadgroup -m "not soak and not bench" $(ARGS)

lint: $(DEV) ## style, types and the rules on imports
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV) ## measurements, written to docs/benchmarks.md
	@scripts/test-servers
	@scripts/test-clients
	$(BIN)/python -m pytest -m bench $(if $(findstring tests/,$(ARGS)),,tests/bench) $(ARGS)

soak: $(DEV) ## proofs that take minutes to an hour
	@scripts/test-servers
	@scripts/test-clients
	@scripts/test-helm
	$(BIN)/python -m pytest -m "soak or hypothesis" --hypothesis-profile others $(ARGS)

docs: $(DEMO) ## docs/metrics.md, docs/configuration.md and the alerter's two, from the code
	$(BIN)/python -m exporter.docs
	$(BIN)/python -m alerter.docs

dashboards: $(DEV) ## deploy/grafana/dashboards/*.json, from the code beside them
	$(BIN)/python -m deploy.grafana

chart: $(DEV) ## what of helm/postwatch is made: its schema, its table of values, copies of rules and dashboards
	$(BIN)/python -m helm.generate

image: ## the container image, by docker, or by another: ENGINE=podman
	$(ENGINE) build --build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) --tag postwatch:$(VERSION) $(ARGS) .

sbom: | $(BIN)/python ## dist/*.cdx.json: what the image holds, with licences (CycloneDX)
	@scripts/make-sbom $(BIN)/python

lock: $(UV) ## requirements/*.txt anew from pyproject.toml; with ARGS=--upgrade all to their newest
	$(UV) $(LOCK) --extra demo --group build --group dev --output-file requirements/dev.txt $(ARGS)
	$(UV) $(LOCK) --extra demo --group build --constraint requirements/dev.txt --output-file requirements/demo.txt
	$(UV) $(LOCK) --constraint requirements/dev.txt --output-file requirements/runtime.txt

clean: ## removes all that these targets made here
	rm -rf $(VENV) build dist .demo .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .grimp_cache

# What the targets stand on. One lock holds for Python 3.11 to 3.13: every version, with the hashes of its files.
LOCK := pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-emit-index-url

$(BIN)/python:
	@scripts/make-venv $(VENV) $(PYTHON)

$(DEMO): requirements/demo.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements/demo.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(DEV): requirements/dev.txt pyproject.toml | $(BIN)/python
	$(PIP) install --quiet --require-hashes -r requirements/dev.txt
	$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $(DEMO) $@

$(UV): | $(BIN)/python
	$(BIN)/python -m venv build/uv
	build/uv/bin/pip --disable-pip-version-check install --quiet uv
