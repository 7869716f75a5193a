# The two commands of the README are `make demo` and `make test`; each makes .venv first. `make check` is what to run
# before a commit.

PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready

.PHONY: demo test check format bench test-faults clean

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[all,test,dev]'
	@# Without compiled bytecode every worker process starts three times slower.
	-$(BIN)/python -m compileall -q .venv/lib
	touch $(READY)

demo: $(READY)
	$(BIN)/python -m demo

test: $(READY)
	-scripts/install-test-services
	$(BIN)/python -m pytest tests -m 'not faults' -n 3 --dist loadgroup --durations=10

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest tests -m 'not services and not cluster and not faults' -x

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY)
	$(BIN)/python -m bench.postgres_to_delta

test-faults: $(READY)
	$(BIN)/python -m pytest tests -m faults --timeout 3600

clean:
	rm -rf .venv demo-home
