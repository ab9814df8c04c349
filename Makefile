# setup: .venv from nothing. The others call it first. test: the default suite; net: the long pipeline tests.

PYTHON ?= python3
BIN := .venv/bin
BUILT := .venv/.built-from-lock

.PHONY: setup demo test net test-integrations test-machines bench pages site release-check

setup: $(BUILT)

$(BUILT): requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "$(PYTHON) is older than 3.11: make setup PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# Exit code 1 says that a cause was found: the demonstration succeeded.
demo: setup
	$(BIN)/unstuck run examples/rice.py; test $$? -eq 1

test: setup
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/pyright
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --durations=25

net: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m net

# The frameworks need an environment of their own; nothing in it may change the version of torch. fastai brings the
# torchvision of PyPI, which is built for CUDA: beside a CPU build of torch it cannot be imported, and lightning and
# transformers, which import it where it is installed, fail with it. No callback needs it.
FRAMEWORKS := .venv-frameworks

test-integrations: $(FRAMEWORKS)/.built
	OMP_NUM_THREADS=1 $(FRAMEWORKS)/bin/python -m pytest -m frameworks tests/integrations/frameworks

$(FRAMEWORKS)/.built: tests/integrations/frameworks/requirements.txt requirements.lock
	$(PYTHON) -m venv $(FRAMEWORKS)
	grep -h '^torch==' requirements.lock > $(FRAMEWORKS)/constraints.txt
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check -c $(FRAMEWORKS)/constraints.txt \
		torch pytest hypothesis -r tests/integrations/frameworks/requirements.txt
	$(FRAMEWORKS)/bin/python -c 'import torchvision' 2>/dev/null || $(FRAMEWORKS)/bin/python -m pip uninstall --quiet --yes torchvision
	$(FRAMEWORKS)/bin/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -c $(FRAMEWORKS)/constraints.txt -e .
	@touch $@

# Ray needs an environment of its own too.
MACHINES := .venv-machines

test-machines: $(MACHINES)/.built
	OMP_NUM_THREADS=1 $(MACHINES)/bin/python -m pytest -m machines tests/tabular/machines

$(MACHINES)/.built: tests/tabular/machines/requirements.txt requirements.lock
	$(PYTHON) -m venv $(MACHINES)
	$(MACHINES)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.lock \
		-r tests/tabular/machines/requirements.txt
	$(MACHINES)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@

# The three pages of the gallery. Exit code 1 says that a cause was found.
pages: setup
	for name in rice heart_rate pictures; do \
		$(BIN)/unstuck run --quiet --html examples/pages/$$name.html examples/$$name.py; test $$? -eq 1 || exit 1; \
	done

# The documentation, in site/; building it needs no network once its environment is there.
SITE := .venv-site

site: $(SITE)/.built
	$(SITE)/bin/mkdocs build --strict

$(SITE)/.built: docs/requirements.txt
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	@touch $@

# Builds the wheel and the source distribution into dist/ and installs each in a new environment, for each Python named.
RELEASE := .venv-release
PYTHONS ?= $(PYTHON)

release-check: $(RELEASE)/.built
	rm -rf dist
	$(RELEASE)/bin/python -m build --outdir dist . > $(RELEASE)/build.log || { cat $(RELEASE)/build.log; exit 1; }
	for python in $(PYTHONS); do \
		UNSTUCK_PYTHON=$$python OMP_NUM_THREADS=1 $(RELEASE)/bin/python -m pytest -m release -o timeout=0 tests/release || exit 1; \
	done

$(RELEASE)/.built:
	$(PYTHON) -m venv $(RELEASE)
	$(RELEASE)/bin/python -m pip install --quiet --disable-pip-version-check build pytest pytest-timeout hypothesis
	@touch $@

bench: setup
	$(BIN)/python -m benchmarks
