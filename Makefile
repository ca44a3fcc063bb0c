# sms-router: `make run` starts it, `make test` proves it.
.DEFAULT_GOAL := help
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3.14 python3,$(shell command -v $(name) 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
EXPRESS := loadtests/bench/apps/express

.PHONY: help run install test slow stores check fix bench profile trace load chaos fuzz lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 18

run: $(VENV)/.run ## start the router (and, without Twilio credentials, an offline Twilio) on 127.0.0.1:8000
	@$(BIN)/sms-router serve

install: $(VENV)/.run ## make .venv with the locked dependencies

test: $(VENV)/.dev ## run the tests
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

slow: $(VENV)/.dev ## run the tests that take longer: whole stories, limits, failovers
	@$(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m slow

stores: $(VENV)/.dev ## run the tests of what is stored on a Redis Cluster and on Sentinels, failovers too
	@TEST_STORES=cluster,sentinel $(BIN)/python -m pytest --numprocesses 2 --dist loadfile -m "slow or not slow" \
		tests/store tests/routing tests/membership tests/onboarding tests/end_to_end/test_kinds_of_redis.py

check: $(VENV)/.dev ## lint and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

fix: $(VENV)/.dev ## let the linter mend what it can
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .

bench: $(VENV)/.dev ## measure CPU per message, side by side, and how it grows
	@test -d $(EXPRESS)/node_modules || ! command -v npm >/dev/null || npm ci --silent --prefix $(EXPRESS) || true
	@$(BIN)/python -m loadtests.bench $(OPTIONS)

profile: $(VENV)/.dev ## show where the microseconds of one message go
	@$(BIN)/python -m loadtests.profiling $(OPTIONS)

trace: $(VENV)/.dev ## list the functions that one message calls (OPTIONS=handler, OPTIONS=status, OPTIONS=--first)
	@$(BIN)/python -m loadtests.trace $(OPTIONS)

load: $(VENV)/.load ## let people text for a minute, and judge every answer (HOST=https://... for a deployment)
	@$(BIN)/python -m loadtests.load $(if $(filter http%,$(HOST)),--host $(HOST)) $(if $(USERS),--users $(USERS)) \
		$(if $(RATE),--rate $(RATE)) $(if $(TIME),--time $(TIME)) $(if $(WEB),--web) $(OPTIONS)

chaos: $(VENV)/.dev ## break things while people text, one at a time and in pairs (ONLY=name, ONLY=singles)
	@$(BIN)/python -m loadtests.chaos $(if $(ONLY),--only "$(ONLY)") $(OPTIONS)

fuzz: $(VENV)/.fuzz ## let bytes without sense look for what a reader cannot take (SECONDS=30 each, ONLY=name)
	@$(BIN)/python -m loadtests.fuzz $(if $(SECONDS),--seconds $(SECONDS)) $(if $(ONLY),--only $(ONLY))

lock: ## renew the lock files (needs uv)
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate pyproject.toml --group pyproject.toml:build -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate -c requirements.lock pyproject.toml --group pyproject.toml:build --group pyproject.toml:dev -o requirements-dev.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate -c requirements-dev.lock --group pyproject.toml:load -o requirements-load.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
		--no-header --no-annotate --group pyproject.toml:fuzz -o requirements-fuzz.lock

clean: ## forget the environment and the local data
	rm -rf $(VENV) .data

$(VENV)/bin/python:
	@test -n "$(PYTHON)" && $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "sms-router needs Python 3.11 or newer; name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || \
		{ echo "This Python cannot make virtual environments; on Debian: apt-get install python3-venv"; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing the packages of requirements.lock into $(VENV) (a minute or two, the first time) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock || \
		{ echo "The packages are not installed. This needs a network, or an index that pip knows; then the same again."; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@echo "Installing what the tests need into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

$(VENV)/.fuzz: requirements-fuzz.lock $(VENV)/.dev
	@echo "Installing atheris into $(VENV) ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-fuzz.lock
	@touch $@

# locust brings a pytest plugin and patches the standard library: it has an environment of its own.
$(VENV)/.load: requirements-load.lock $(VENV)/.dev
	@echo "Installing locust into $(VENV)/load ..."
	@$(BIN)/python -m venv $(VENV)/load
	@$(VENV)/load/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-load.lock
	@touch $@
