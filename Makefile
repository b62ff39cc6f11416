# Each target sets up all it needs, in $(VENV); Python and make are enough to start.
PYTHON ?= python3
VENV ?= .venv
ifeq ($(OS),Windows_NT)
SCRIPTS = Scripts
else
SCRIPTS = bin
endif
BIN = $(VENV)/$(SCRIPTS)
# $(call venv,python,folder) makes an environment, again if a failure left it without pip, or if an older Python made it.
venv = $(2)/$(SCRIPTS)/python -c 'import pip, $(NEW)' 2>/dev/null || { \
	  $(1) -c 'import $(NEW)' || { echo "Python 3.11 or later is needed: $(1) --version says $$($(1) --version 2>&1);" \
	    "name one: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }; \
	  $(1) -m venv $$(test ! -f $(2)/pyvenv.cfg || echo --clear) $(2); }
NEW = sys; sys.exit(sys.version_info < (3, 11))
# What is imported gets compiled when it is: most modules of large packages never are.
INSTALL = -m pip install --quiet --disable-pip-version-check --no-compile
# A registry may fail once.
THRICE = sh $(CURDIR)/scripts/thrice.sh
PIP = $(THRICE) $(BIN)/python $(INSTALL) --constraint constraints.txt
# Twice the cores that CI has: tests wait for sockets and processes much of the time.
WORKERS ?= 4
PYTEST = pytest -q -n $(WORKERS) --dist worksteal
EXAMPLES ?= 1000
RUN ?= $(BIN)/python -m
# A registry that does not answer ends one try. node knows no certificate of the machine by itself.
NPM = NODE_EXTRA_CA_CERTS=$${NODE_EXTRA_CA_CERTS:-/etc/ssl/certs/ca-certificates.crt} $(THRICE) npm install --silent --no-audit --no-fund --fetch-timeout 30000 --fetch-retries 1 --prefix

# Where it is set, each process that a test starts would compile what it imports.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo full console pictures filesystem ultralytics fleet ray slow pipelines test test-core test-lowest test-free soak generators tus mcp-conformance contract fuzz check docs dist release generate coverage bench clean

help:
	@echo "make demo      run the main job on the bundled server"
	@echo "make test      run the tests"
	@echo "make test-core run the tests of the client, the datasets, and the server"
	@echo "make test-lowest run the tests of the client with the lowest versions declared"
	@echo "make test-free run the tests of the client without a global lock: PYTHON=python3.14t"
	@echo "make fleet     run the tests against a real Redis"
	@echo "make filesystem run the tests of firsthand:// with PyTorch, Dask, DuckDB, and Polars"
	@echo "make console   run the tests of the console in Chromium; screenshots go to build/console/"
	@echo "make ultralytics  train YOLO as the guide does (AGPL-3.0, so no other target installs it)"
	@echo "make pictures  make the pictures of the README and the docs again"
	@echo "make ray       run the tests on a real local Ray"
	@echo "make pipelines run the examples for Airflow, Dagster, and Prefect"
	@echo "make soak      run the slow tests: 2,000 files through everything that goes wrong, the whole matrix of faults"
	@echo "make full      run everything, as each night: every target, on each Python of this machine"
	@echo "make slow      run all that is slow or heavy: soak, filesystem, fleet, and ray"
	@echo "make generators  type the bundled server's OpenAPI document with others' generators (needs Node)"
	@echo "make tus       send to a server of one's own with others' clients of tus (needs Node)"
	@echo "make mcp-conformance  run the official suite against the agents' server (needs Node)"
	@echo "make contract  check a server against the wire contract: URL=http://127.0.0.1:8080, ARGS=--read-only"
	@echo "make fuzz      look for examples that break a rule (minutes)"
	@echo "make check     lint, types, layers, generated code"
	@echo "make docs      build the docs into site/"
	@echo "make dist      build what a release consists of"
	@echo "make release   build it, check it, and try it as users install it: all of a release but the upload"
	@echo "make generate  write the fields of a job and the options of a call into the methods, and make src/firsthandapi/_sync from _async"
	@echo "make coverage  run the tests and measure what they reach"
	@echo "make bench     measure against bare httpx, json and hmac"

# After its Python was removed or replaced, or the clone moved, an environment works no more, whatever was installed into it.
WHOLE = 'import pip, importlib.util as util; assert util.find_spec("firsthandapi")'
$(VENV)/.broken:
# The pip of a new venv is as old as its Python; --group came with 25.1.
$(VENV)/.demo: pyproject.toml constraints.txt $(shell $(BIN)/python -c $(WHOLE) 2>/dev/null || echo $(VENV)/.broken)
	@$(call venv,$(PYTHON),$(VENV))
	$(PIP) 'pip>=25.1'
	$(PIP) --editable '.[testing,cli]'
	touch $@

$(VENV)/.test: $(VENV)/.demo
	$(PIP) --editable '.[testing,serve,pandas,huggingface,remote,images,ai]' --group test
	touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(PIP) --editable '.[testing,serve,cli,pandas,huggingface,remote,images,ai,mcp,fleet,truststore,content-credentials]' --group dev
	touch $@

$(VENV)/.filesystem: $(VENV)/.dev
	$(PIP) --group filesystem
	touch $@

$(VENV)/.ray: $(VENV)/.dev
	$(PIP) --editable '.[ray]'
	touch $@

$(VENV)/.docs: $(VENV)/.demo
	$(PIP) --group docs
	touch $@

demo: $(VENV)/.demo
	$(BIN)/firsthandapi demo

test: $(VENV)/.dev
	$(RUN) $(PYTEST) -m "not slow"

OF_THE_CLIENT = tests/client tests/core tests/download tests/base/network tests/test_webhooks.py \
  tests/test_event_router.py tests/base/test_watching.py

# The lowest versions that pyproject.toml declares.
.venv-lowest/.test: VENV := .venv-lowest
.venv-lowest/.test: pyproject.toml scripts/lowest.py
	@$(call venv,$(PYTHON),$(VENV))
	$(THRICE) $(BIN)/python $(INSTALL) 'pip>=25.1'
	mkdir -p build
	$(BIN)/python scripts/lowest.py testing > build/lowest.txt
	$(THRICE) $(BIN)/python $(INSTALL) --constraint build/lowest.txt --editable '.[testing]' --group client
	touch $@

test-lowest: VENV := .venv-lowest
# A plugin that no test here needs: that of the lowest anyio warns under a pytest that is newer.
test-lowest: .venv-lowest/.test
	$(BIN)/python -m $(PYTEST) -p no:anyio -m "not slow" $(OF_THE_CLIENT)

# Threads that really run at once: a Python without a global lock, for which not every package of the tests has wheels.
.venv-free/.test: VENV := .venv-free
.venv-free/.test: pyproject.toml constraints.txt
	@$(call venv,$(PYTHON),$(VENV))
	$(PIP) 'pip>=25.1'
	$(PIP) --editable '.[testing]' --group client
	touch $@

test-free: VENV := .venv-free
test-free: .venv-free/.test
	PYTHON_GIL=0 $(BIN)/python -m $(PYTEST) -m "not slow" $(OF_THE_CLIENT)

# What may differ from one Python to the next. The rest starts programs and reads pages: slow, and the same everywhere.
test-core: $(VENV)/.test
	$(BIN)/python -m $(PYTEST) -m "not slow" $(foreach each,cli contract console mcp docs engines examples pipelines serve,--ignore tests/$(each))

soak: $(VENV)/.dev
	$(BIN)/python -m $(PYTEST) -m slow --ignore tests/engines/fleet --ignore tests/examples/test_queues.py

slow: soak filesystem fleet ray

# All that the project tests, as each night and before an issue is closed: 30 to 45 minutes.
full:
	bash .ci/full

# Many processes on one API key, slow tests too, which `soak` leaves out, and queues. Needs Redis or Valkey, such as
# `apt-get install redis-server`. Most wait for the rate limit, so two run at a time; the test that
# measures the shares of twelve processes runs alone.
fleet: WORKERS = 2
fleet: $(VENV)/.dev
	@command -v redis-server valkey-server >/dev/null || { echo "install Redis first: apt-get install redis-server"; exit 1; }
	$(BIN)/python -m pytest -q tests/engines/fleet -k twelve_processes
	$(BIN)/python -m $(PYTEST) tests/engines/fleet tests/examples/test_queues.py -k "not twelve_processes"

# Libraries that read a job where it is, or a folder, and the guides that show them. PyTorch is large: 200 MB, and more where it brings CUDA.
filesystem: $(VENV)/.filesystem
	$(BIN)/python -m pytest -q tests/engines/filesystem tests/dataset/test_training.py tests/docs/test_documents.py \
	  -k "not test_documents or filesystem or datasets or training"

# Its license is AGPL-3.0, so no other target brings it. Offline, it loads no weights and reports to nobody.
ultralytics: $(VENV)/.filesystem
	$(PIP) ultralytics==8.4.190
	YOLO_OFFLINE=true YOLO_CONFIG_DIR=$(CURDIR)/build $(BIN)/python -m pytest -q tests/docs/test_documents.py -k training

# A Ray of two workers on this machine. Ray is 240 MB on disk, and no other target installs it.
ray: $(VENV)/.ray
	$(BIN)/python -m pytest -q tests/engines/ray

# The pages of the bundled server, of one of one's own, and of the docs, in a real browser. Needs Chromium, such as
# `apt-get install chromium`. With nginx and Caddy, also what the guide says of proxies.
# Each worker has a Chromium of its own.
console: WORKERS = 2
console: $(VENV)/.dev site/.checked
	@command -v chromium chromium-browser google-chrome >/dev/null || { echo "install Chromium first: apt-get install chromium"; exit 1; }
	$(PIP) --group console
	FIRSTHAND_CONSOLE=$(CURDIR)/build/console $(BIN)/python -m $(PYTEST) tests/console

# The pictures of the README and the docs, and the outputs of the example notebook.
pictures: $(VENV)/.dev
	@command -v chromium chromium-browser google-chrome >/dev/null || { echo "install Chromium first: apt-get install chromium"; exit 1; }
	$(PIP) --group console
	$(BIN)/python scripts/pictures.py

# The examples for orchestrators, each with its own: they want different versions of what all need. 800 MB on disk.
OF_PIPELINES = -q -p no:cacheprovider -p second_try --noconftest -o pythonpath=tests tests/pipelines
pipelines: export PYTHONPATH = tests
pipelines: build/pipelines/airflow.done build/pipelines/dagster.done build/pipelines/prefect.done
	build/pipelines/airflow/bin/python -m pytest $(OF_PIPELINES) -k airflow
	build/pipelines/dagster/bin/python -m pytest $(OF_PIPELINES) -k dagster
	build/pipelines/prefect/bin/python -m pytest $(OF_PIPELINES) -k prefect

build/pipelines/%.done: tests/pipelines/%.txt
	mkdir -p build/pipelines
	@$(call venv,$(PYTHON),build/pipelines/$*)
	$(THRICE) build/pipelines/$*/bin/python $(INSTALL) --no-deps -r $<
	$(THRICE) build/pipelines/$*/bin/python $(INSTALL) --no-deps --editable .
	touch $@

# The types that strangers' generators make of the bundled server's document. Needs node 20: https://nodejs.org
generators: $(VENV)/.dev
	@command -v npm >/dev/null || { echo "install Node first: apt-get install nodejs npm"; exit 1; }
	$(NPM) build/generators openapi-typescript@7 typescript@5
	@$(call venv,$(BIN)/python,build/generators/venv)
	$(THRICE) build/generators/venv/bin/python $(INSTALL) openapi-python-client==0.29.1
	FIRSTHAND_GENERATORS=$(CURDIR)/build/generators $(BIN)/python -m pytest -q tests/server/test_generators.py tests/server/test_control.py

# Clients of tus send to a server of one's own, and go on after it was killed.
tus: $(VENV)/.dev
	@command -v npm >/dev/null || { echo "install Node first: apt-get install nodejs npm"; exit 1; }
	$(NPM) build/tus tus-js-client@4
	@$(call venv,$(BIN)/python,build/tus/venv)
	$(THRICE) build/tus/venv/bin/python $(INSTALL) tuspy==1.1.0
	FIRSTHAND_TUS=$(CURDIR)/build/tus $(BIN)/python -m pytest -q tests/serve/test_tus_clients.py

# The official suite of the Model Context Protocol. It needs Node 22, which it brings: any npm will do.
mcp-conformance: $(VENV)/.dev
	@command -v npm >/dev/null || { echo "install Node first: apt-get install nodejs npm"; exit 1; }
	$(NPM) build/mcp-conformance node@22 @modelcontextprotocol/conformance@0.2.0-alpha.12
	FIRSTHAND_MCP_CONFORMANCE=$(CURDIR)/build/mcp-conformance $(BIN)/python -m pytest -q tests/mcp/test_mcp_conformance.py

# Which promises of the wire contract a server keeps, with the API key in FIRSTHAND_API_KEY.
contract: $(VENV)/.test
	$(BIN)/python -m pytest contract --url "$(URL)" $(ARGS)

check: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python scripts/generate_fields.py --check
	$(BIN)/python scripts/generate_sync.py --check
	$(BIN)/lint-imports
	$(BIN)/python scripts/check_names.py
	$(BIN)/zizmor --offline --quiet .github action.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml examples/ci/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/python scripts/snippets.py build/snippets
	$(BIN)/mypy
	$(BIN)/mypy build/snippets
	$(BIN)/pyright
	$(BIN)/python scripts/check_types.py

# Random examples, many of them: for hours if you like, EXAMPLES=100000.
fuzz: $(VENV)/.dev
	FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m $(PYTEST) -m hypothesis --hypothesis-profile fuzz

# What a release consists of.
dist: $(VENV)/.dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist

# All of a release but the upload: what the page of the package shows, and the wheel in an environment of its own.
release: dist
	$(PIP) --group release
	$(BIN)/python -m twine check --strict dist/*
	rm -rf build/release
	$(BIN)/python -m venv build/release
	$(THRICE) build/release/bin/python $(INSTALL) --constraint constraints.txt \
	  "$$(echo dist/*.whl)[testing,cli]"
	cd build && release/bin/firsthandapi demo

# With PUBLISHED=folder, the site is put there as well, as the newest version beside the older ones.
docs: $(VENV)/.docs
	$(BIN)/python scripts/cli_reference.py build/cli
	$(BIN)/zensical build --strict --clean
	$(BIN)/python scripts/finish_docs.py site $(PUBLISHED)
	$(BIN)/python scripts/check_links.py site
	touch site/.checked

site/.checked: $(shell find docs examples src scripts *.md *.toml -type f -not -name '*.pyc')
	$(MAKE) docs

generate: $(VENV)/.dev
	$(BIN)/python scripts/generate_fields.py
	$(BIN)/python scripts/generate_sync.py

coverage: $(VENV)/.dev
	$(BIN)/coverage erase
	$(MAKE) test RUN='$(BIN)/coverage run -m'
	$(BIN)/coverage combine --quiet
	$(BIN)/python scripts/check_coverage.py

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) dist firsthandapi-demo build site .cache
