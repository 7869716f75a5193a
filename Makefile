# Each target makes .venv first. `make help` lists them; `make check` is what to run before a commit.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
# Test processes. Half of the time of a test is a wait for a server, a process or a full second: two for each of two cores.
WORKERS ?= 4
PYTEST := $(BIN)/python -m pytest tests
PARALLEL = -n $(WORKERS) --dist loadscope  # tests/scheduling.py says what a scope is
# Bytecode is kept, whatever the environment says: tests start hundreds of processes, and each would compile what it imports.
export PYTHONDONTWRITEBYTECODE :=
# Folders of tests and of their servers lie in memory where 8 GiB of it are free: a whole run writes 1 GiB of files, and 600 databases
# of PostgreSQL with 7 MiB each.
IN_MEMORY := $(shell test -w /dev/shm && test "$$(df -Pk /dev/shm | awk 'END { print $$4 }')" -gt 8388608 && echo /dev/shm)
export PYTEST_DEBUG_TEMPROOT := $(IN_MEMORY)
FAST := not slow and not services and not cluster and not faults

.DEFAULT_GOAL := help
.PHONY: help demo docs screenshots test lint check coverage test-faults bench audit sbom format clean

help: ## Lists the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[all,test,dev]'
	@# Without compiled bytecode every worker process starts three times slower.
	-$(BIN)/python -m compileall -q .venv/lib
	touch $(READY)

# The demo needs less than the tests do; where those are installed, nothing is added.
.venv/.demo: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -e $(READY) || { $(PYTHON) -m venv .venv && $(BIN)/python -m pip install --quiet --editable '.[demo]' && \
		{ $(BIN)/python -m compileall -q .venv/lib || true; }; }
	touch $@

demo: .venv/.demo ## A shop in SQLite: loaded, killed, resumed, changed, loaded again
	$(BIN)/python -m demo

docs: $(READY) ## Builds the documentation site: site/index.html
	$(BIN)/python -m pip install --quiet --editable '.[docs]'
	$(BIN)/python scripts/make_reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict

screenshots: $(READY) ## Makes the pictures of docs/monitoring.md again
	-scripts/install-test-services
	$(BIN)/python scripts/make_screenshots.py

lint: $(READY) ## Checks format, lint and strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: WORKERS = 3
check: lint ## Before a commit: lint, and the fast tests
	$(PYTEST) -m '$(FAST)' $(PARALLEL) -x

test: $(READY) ## All tests, with real servers and Ray
	-scripts/install-test-services
	$(PYTEST) -m 'not faults' $(PARALLEL) --durations=10

test-faults: $(READY) ## Long searches and fault campaigns, about an hour
	$(PYTEST) -m faults --timeout 3600
	INGEST_SEARCHES=long $(BIN)/python -m pytest -m 'not faults' --timeout 3600 $(shell grep -rl --include='*.py' 'searches import examples' tests)
	INGEST_RICH_TEXT_DOCUMENTS=10000 $(PYTEST) --timeout 3600 tests/strategies/test_rich_text_words.py

coverage: $(READY) ## All tests, and which lines they ran: htmlcov/index.html
	-scripts/install-test-services
	$(PYTEST) -m 'not faults' $(PARALLEL) --cov=ingest_ray --cov=ingest_strategies --cov-branch --cov-report=html --cov-report=term:skip-covered

ROWS ?= 6000000
ROUNDS ?= 5
bench: $(READY) ## The goals of speed in one table, with their peers; half an hour (ROWS=2000000 ROUNDS=1: five minutes)
	$(BIN)/python -m bench.goals --rows $(ROWS) --rounds $(ROUNDS)

# In an environment of their own: their dependencies are not ours.
TOOLS := .venv/tools
$(TOOLS)/.ready: $(READY)
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet 'pip-audit>=2.9,<3' 'cyclonedx-bom>=7,<8'
	touch $@

audit: $(READY) ## Looks for known faults of the installed packages, where the index can be reached
	@$(BIN)/python -c 'import urllib.request; urllib.request.urlopen("https://pypi.org/pypi/pip/json", timeout=20)' 2>/dev/null \
		|| { echo "not audited: https://pypi.org cannot be reached"; exit 0; }; \
	$(MAKE) --no-print-directory $(TOOLS)/.ready && \
	$(TOOLS)/bin/pip-audit --strict --skip-editable --progress-spinner off --path "$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"

sbom: $(TOOLS)/.ready ## Writes sbom.json: the installed packages in the format of CycloneDX
	$(TOOLS)/bin/cyclonedx-py environment --pyproject pyproject.toml --output-reproducible --output-format JSON --output-file sbom.json $(BIN)/python

format: $(READY) ## Formats, and mends what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## Removes .venv and what demo and tests left
	rm -rf .venv demo-home htmlcov .coverage sbom.json site docs/reference
