# sms-router: `make run` starts it, `make test` runs its tests.
.DEFAULT_GOAL := help
# An interpreter is usable when it runs (a pyenv shim may not), is new enough and can create environments.
USABLE = -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for name in python3.14 python3.13 python3.12 python3.11 python3; do \
	"$$name" $(USABLE) 2>/dev/null && { echo "$$name"; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
# A line for every fifth package that pip looks up, so that a slow network is not taken for a standstill.
PROGRESS := '/^Collecting/ && ++n % 5 == 0 {print "  " n " packages ..."; fflush()} \
	/^Installing/ {print "  " n " packages are here; writing them ..."; fflush()}'
EXPRESS := loadtests/bench/apps/express

.PHONY: help run install test slow stores check fix bench profile trace load chaos fuzz mutate lock clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

run: $(VENV)/.run ## start the router on 127.0.0.1:8000; without Twilio credentials, the sandbox too
	@$(BIN)/sms-router serve

install: $(VENV)/.run ## create .venv with the locked dependencies

test: $(VENV)/.dev ## run the tests
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest --numprocesses 4 --dist loadfile --no-loadscope-reorder

slow: $(VENV)/.dev ## run the slow tests: whole scenarios, limits, failovers, properties with many examples
	@EXAMPLES=200 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m slow

stores: $(VENV)/.dev ## run the storage tests against Redis Cluster and Sentinel, failovers included
	@TEST_STORES=cluster,sentinel $(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "slow or not slow" \
		tests/store tests/routing tests/membership tests/onboarding tests/end_to_end/test_redis_topologies.py

check: $(VENV)/.dev ## run the linter and the type checker
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

fix: $(VENV)/.dev ## apply the fixes of the linter and format the code
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(VENV)/.dev ## measure CPU time per message, compared with other stacks, and how it grows
	@test -d $(EXPRESS)/node_modules || ! command -v npm >/dev/null || npm ci --silent --prefix $(EXPRESS) || true
	@$(BIN)/python -m loadtests.bench $(OPTIONS)

profile: $(VENV)/.dev ## show how the CPU time of one message is spent
	@$(BIN)/python -m loadtests.profiling $(OPTIONS)

trace: $(VENV)/.dev ## list the functions that one message calls (OPTIONS="handler --before none")
	@$(BIN)/python -m loadtests.trace $(OPTIONS)

load: $(VENV)/.load ## send load for a minute and check every answer (HOST=https://... for a deployment)
	@$(BIN)/python -m loadtests.load $(if $(filter http%,$(HOST)),--host $(HOST)) $(if $(USERS),--users $(USERS)) \
		$(if $(RATE),--rate $(RATE)) $(if $(TIME),--time $(TIME)) $(if $(WEB),--web) $(OPTIONS)

chaos: $(VENV)/.dev ## inject faults under load, one at a time and in pairs (ONLY=name, ONLY=singles)
	@$(BIN)/python -m loadtests.chaos $(if $(ONLY),--only "$(ONLY)") $(OPTIONS)

fuzz: $(VENV)/.fuzz ## fuzz the parsers (SECONDS=30 each, ONLY=name)
	@$(BIN)/python -m loadtests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ONLY),--only $(ONLY))

mutate: $(VENV)/.mutate ## plant faults in the pure core and the Lua scripts (ONLY=area, SEED=1, MUTANTS=60)
	@$(BIN)/python -m loadtests.mutation $(if $(ONLY),--only $(ONLY)) $(if $(SEED),--seed $(SEED)) \
		$(if $(MUTANTS),--mutants $(MUTANTS))

lock: ## update the lock files (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate pyproject.toml --group pyproject.toml:build -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate -c requirements.lock pyproject.toml --group pyproject.toml:build --group pyproject.toml:dev -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate -c requirements-dev.lock --group pyproject.toml:load -o requirements-load.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --group pyproject.toml:fuzz -o requirements-fuzz.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate -c requirements-dev.lock --group pyproject.toml:mutate -o requirements-mutate.lock

clean: ## delete the environment and the local data
	rm -rf $(VENV) .data

$(VENV)/bin/python:
	@python="$(PYTHON)"; test -n "$$python" && "$$python" $(USABLE) 2>/dev/null || { \
		echo "sms-router needs Python 3.11 or newer with venv (Debian and Ubuntu: apt-get install python3-venv)."; \
		echo "To use another interpreter: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }; \
	"$$python" -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the packages of requirements.lock into $(VENV); the first time takes a minute or two ..."
	@rm -f $(VENV)/.locked; { PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --disable-pip-version-check --progress-bar off \
		--require-hashes -r requirements.lock && touch $(VENV)/.locked; } | awk $(PROGRESS); \
		test -f $(VENV)/.locked || \
		{ echo "The packages could not be installed: pip needs a network or a configured package index. Then run make again."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing the packages of the tests into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.fuzz: requirements-fuzz.lock $(VENV)/.dev
	@echo "Installing atheris into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	@touch $@

$(VENV)/.mutate: requirements-mutate.lock $(VENV)/.dev
	@echo "Installing mutmut into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-mutate.lock
	@touch $@

# locust installs a pytest plugin and patches the standard library, so it gets an environment of its own.
$(VENV)/.load: requirements-load.lock $(VENV)/.dev
	@echo "Installing locust into $(VENV)/load ..."
	@$(BIN)/python -m venv $(VENV)/load
	@$(VENV)/load/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-load.lock
	@touch $@
