# `make demo` and `make test` need nothing but Python 3.10 to 3.13, make and bash: they build what is missing.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:

ENVIRONMENT ?= .venv
BIN := $(ENVIRONMENT)/bin
READY := $(ENVIRONMENT)/.ready
LAVA_READY := .venv-lava/.ready
PEERS := .venv-peers
QUALIA := .venv-qualia
SANAFE := .venv-sanafe
WORKERS ?= 2
FUZZ_SECONDS ?= 600
NETWORKS ?= 2000

.PHONY: help
help:  ## list these targets
	@sed -n 's/^\([a-z-]*\):.*##  *\(.*\)/\1\t\2/p' Makefile | expand -t 14

.PHONY: demo
demo: $(READY) $(LAVA_READY)  ## digits, from the trained model to a certificate and an energy report
	@$(BIN)/python examples/digits/demo.py

.PHONY: test
test: $(READY) $(LAVA_READY) browser  ## every test
	$(BIN)/pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder --durations=10 -rs

.PHONY: test-peers
test-peers: $(PEERS)/.ready $(QUALIA)/.ready $(SANAFE)/.ready $(LAVA_READY)  ## networks of SpikingJelly, snnTorch, sinabs, norse and lava-dl, in an environment of theirs
	$(PEERS)/bin/pytest tests/peers -n $(WORKERS) --dist loadfile --durations=10 -rs

.PHONY: check
check: lint types test  ## lint, types and every test

.PHONY: lint
lint: $(READY)  ## ruff
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

.PHONY: types
types: $(READY)  ## mypy --strict
	$(BIN)/mypy

.PHONY: fuzz
fuzz: $(PEERS)/.ready $(LAVA_READY)  ## NETWORKS=2000 random networks through every program, SpikingJelly and Lava included; every bit of a NIR file
	$(PEERS)/bin/python -m tests.fuzz.everywhere --networks $(NETWORKS)
	$(PEERS)/bin/python -m tests.artifact.every_bit

.PHONY: hunt
hunt: $(READY) $(LAVA_READY)  ## random networks through every form, for FUZZ_SECONDS=600; failures are made small
	$(BIN)/python -m tests.fuzz.fuzz --seconds $(FUZZ_SECONDS)

.PHONY: bench
bench: $(READY) $(LAVA_READY) $(PEERS)/.ready $(SANAFE)/.ready  ## the measurements in benchmarks/
	@for script in $(sort $(wildcard benchmarks/*.py)); do echo "== $$script"; $(BIN)/python "$$script"; done

.PHONY: docs
docs: $(READY)  ## check that the links in the documents lead somewhere
	$(BIN)/pytest -q tests/architecture/test_documents.py

.PHONY: clean
clean:  ## remove what was built, keeping the environments
	rm -rf build .wheel-build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -not -path './.venv*' -prune -exec rm -rf {} +

.PHONY: lock
lock: $(READY)  ## choose new versions for requirements/lock.txt
	requirements/compile.sh $(BIN)/python

.PHONY: browser
browser:
	@tests/install_browser.sh

$(READY): pyproject.toml requirements/lock.txt requirements/overrides.txt requirements/install.sh requirements/interpreter.sh
	requirements/install.sh $(ENVIRONMENT)
	@touch $@

$(PEERS)/.ready: pyproject.toml $(wildcard requirements/*)
	requirements/install_peers.sh $(PEERS)
	@touch $@

$(QUALIA)/.ready: pyproject.toml $(wildcard requirements/*)
	requirements/install_qualia.sh $(QUALIA)
	@touch $@

$(SANAFE)/.ready: requirements/sanafe.txt requirements/install_sanafe.sh requirements/interpreter.sh
	requirements/install_sanafe.sh $(SANAFE)
	@touch $@

$(LAVA_READY): snn2chip/lava_environment.py | $(READY)
	$(BIN)/python -m snn2chip doctor --fix lava
	@mkdir -p $(@D) && touch $@
