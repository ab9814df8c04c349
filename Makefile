# setup: .venv from nothing. demo, test, bench: call it first.

PYTHON ?= python3
BIN := .venv/bin
BUILT := .venv/.built-from-lock

.PHONY: setup demo test bench

setup: $(BUILT)

$(BUILT): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11: make setup PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# The exit code 1 says that a cause was found: that is the demonstration's success.
demo: setup
	$(BIN)/unstuck run examples/rice.py; test $$? -eq 1

test: setup
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

bench: setup
	$(BIN)/python -m benchmarks
