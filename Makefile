# Each target makes the virtual environment and installs what it needs when that is missing or stale.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-from-lock
DATA ?=
WEIGHTS ?=
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help install demo test test-slow lint format bench lock clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP) ## Make the virtual environment

demo: $(STAMP) ## The whole way on the local emulator [DATA=folder of X-rays] [WEIGHTS=backbone.h5]
	$(BIN)/cxr demo $(if $(DATA),--data "$(DATA)") $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(ARGS)

test: $(STAMP) ## The tests (minutes)
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile $(ARGS)

test-slow: $(STAMP) ## The long proofs
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(STAMP) ## Linter, formatter, strict types, import rules
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/ruff format --check src tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix src tests benchmarks
	$(BIN)/ruff format src tests benchmarks

bench: $(STAMP) ## Measurements, as ratios (benchmarks/long is for those that take hours and need a folder of X-rays)
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python $$script || exit 1; done

lock: ## Renew requirements.lock (needs uv)
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file requirements.lock

clean: ## Remove the virtual environment, caches and demo folders
	rm -rf $(VENV) cxr-demo cxr-demo-* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
