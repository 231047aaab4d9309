# Everything a newcomer needs. Each target makes its own virtual environment in .venv, from requirements that are
# pinned by hash; nothing has to be installed but Python 3.11+ with venv, and make.

PYTHON ?= python3
BIN := .venv/bin
RUNTIME := .venv/.runtime-ready
TESTING := .venv/.test-ready
BUILDING := .venv-build/.ready
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes
# Linters and tests are one run of pytest: tests/unit/test_quality.py runs the linters. Two workers: two cores.
PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist worksteal
WORKERS ?= 2

.PHONY: help demo test test-fast simulate chaos cluster-test compiled interpreted lint format lock venv clean
.DELETE_ON_ERROR:

help:
	@echo "make demo       the whole service on this machine, with a lively market, in about two minutes"
	@echo "make test       linters, types and all tests"
	@echo "make test-fast  the same without the tests that need a broker or a database"
	@echo "make simulate   the whole service in a deterministic simulation: SEEDS=1..1000"
	@echo "make chaos      real processes killed, paused, starved and damaged, with a backlog of a million: SEED=1 ROUNDS=4"
	@echo "make cluster-test  matchers and brokers of a cluster killed, stopped and cut off, many times; six minutes"
	@echo "make compiled   compile the matcher's rules ahead of time, which halves their processor time; needs gcc"
	@echo "make interpreted  remove what was compiled"
	@echo "make lint       linters and types only"
	@echo "make format     lay the source out as the linter wants it"
	@echo "make lock       choose and pin new versions of the dependencies"
	@echo "make clean      remove .venv, caches and what was compiled"

demo: $(RUNTIME)
	@./groupbuy demo

test: $(TESTING)
	@$(PYTEST) tests

test-fast: $(TESTING)
	@$(PYTEST) -m "not slow" tests/unit tests/contract

SEEDS ?= 1..1000
simulate: $(TESTING)
	@$(BIN)/python -m tests.simulation --seeds $(SEEDS)

SEED ?= 1
ROUNDS ?= 4
BACKLOG ?= 1000000
chaos: $(TESTING)
	@$(BIN)/python -m tests.chaos --seed $(SEED) --rounds $(ROUNDS) --backlog $(BACKLOG)

cluster-test: $(TESTING)
	@$(BIN)/python -m tests.cluster

# The interpreter of what compiles is told not to use, or mind, what was compiled before.
COMPILING = GROUPBUY_INTERPRETED=1 PYTHONPATH=. $(1) -P -m deploy.compiling
compiled: $(BUILDING)
	@$(call COMPILING,.venv-build/bin/python)

interpreted:
	@rm -f compiled-rules.json groupbuy_rules__mypyc.*.so
	@find events services -name '*.so' -delete

lint: $(TESTING)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy --strict events services deploy
	@$(BIN)/lint-imports

format: $(TESTING)
	@$(BIN)/ruff check --fix-only --quiet .
	@$(BIN)/ruff format .

venv: $(RUNTIME)

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "groupbuy needs Python 3.11 or newer; $(PYTHON) is `$(PYTHON) --version 2>&1`. Try: make PYTHON=python3.12" >&2; exit 2; }
	@$(PYTHON) -m venv --clear .venv || \
		{ rm -rf .venv; echo "could not make .venv: is Python's venv module installed (python3-venv)?" >&2; exit 2; }
	@touch $@

$(RUNTIME): requirements.lock | .venv/.made
	@echo "installing the run-time packages into .venv" >&2
	@$(PIP_INSTALL) -r requirements.lock
	@touch $@

# Beside the run-time packages: who runs the rules needs no compiler.
$(BUILDING): requirements-build.lock | .venv/.made
	@echo "installing what compiles the rules into .venv-build" >&2
	@$(BIN)/python -m venv --clear .venv-build
	@.venv-build/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-build.lock
	@touch $@

# The test requirements contain the run-time ones at the same versions, and what compiles the rules is tested too.
$(TESTING): requirements-test.lock requirements.lock requirements-build.lock | .venv/.made
	@echo "installing the run-time and test packages into .venv" >&2
	@$(PIP_INSTALL) -r requirements-test.lock -r requirements-build.lock
	@touch $(RUNTIME) $@

# uv lives in an environment of its own: only whoever changes dependencies needs it.
UV_COMPILE = .venv-lock/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url
lock:
	@test -x .venv-lock/bin/uv || { $(PYTHON) -m venv .venv-lock && .venv-lock/bin/pip install --quiet uv; }
	$(UV_COMPILE) pyproject.toml -o requirements.lock
	$(UV_COMPILE) -c requirements.lock --extra test pyproject.toml -o requirements-test.lock
	$(UV_COMPILE) -c requirements-test.lock --group build -o requirements-build.lock

clean: interpreted
	rm -rf .venv .venv-build .venv-lock .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
