# Each target sets up all it needs, in $(VENV); Python and make are enough to start.
PYTHON ?= python3
VENV ?= .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
WORKERS ?= 2

.PHONY: help demo test soak generators check docs generate coverage bench clean

help:
	@echo "make demo      run the main job on the bundled server"
	@echo "make test      run the tests"
	@echo "make soak      collect 2,000 files through everything that goes wrong (minutes)"
	@echo "make generators  type the bundled server's OpenAPI document with others' generators (needs node)"
	@echo "make check     lint, types, layers, generated code"
	@echo "make docs      build the docs into site/"
	@echo "make generate  make src/firsthandapi/_sync from _async"
	@echo "make coverage  run the tests and measure what they reach"
	@echo "make bench     measure against bare httpx, json and hmac"

$(VENV)/.demo: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(PIP) --editable '.[testing,cli]'
	touch $@

$(VENV)/.dev: $(VENV)/.demo requirements-dev.txt
	$(PIP) --editable '.[testing,cli,pandas,huggingface,remote,mcp]' --requirement requirements-dev.txt
	touch $@

$(VENV)/.docs: $(VENV)/.demo requirements-docs.txt
	$(PIP) --requirement requirements-docs.txt
	touch $@

demo: $(VENV)/.demo
	$(BIN)/firsthandapi demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n $(WORKERS) -m "not slow"

soak: $(VENV)/.dev
	$(BIN)/python -m pytest -q -s -m slow

# The types that strangers' generators make of the bundled server's document. Needs node 20: https://nodejs.org
generators: $(VENV)/.dev
	npm install --silent --no-audit --no-fund --prefix build/generators openapi-typescript@7 typescript@5
	$(PYTHON) -m venv build/generators/venv
	build/generators/venv/bin/python -m pip install --quiet --disable-pip-version-check openapi-python-client==0.29.1
	FIRSTHAND_GENERATORS=$(CURDIR)/build/generators $(BIN)/python -m pytest -q tests/server/test_generators.py

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/generate_sync.py --check
	$(BIN)/lint-imports
	$(BIN)/python scripts/snippets.py build/snippets
	$(BIN)/mypy
	$(BIN)/mypy build/snippets
	$(BIN)/pyright

docs: $(VENV)/.docs
	mkdir -p build
	$(BIN)/typer scripts/cli_reference.py utils docs --name firsthandapi --output build/cli.md
	$(BIN)/python scripts/cli_reference.py build/cli.md
	$(BIN)/zensical build --strict --clean
	$(BIN)/python scripts/check_links.py site

generate: $(VENV)/.dev
	$(BIN)/python scripts/generate_sync.py

coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -n $(WORKERS) -m "not slow"
	$(BIN)/coverage combine --quiet
	$(BIN)/python scripts/check_coverage.py

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) firsthandapi-demo build site .cache
