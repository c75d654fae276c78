# `make` lists the targets. Everything runs in .venv, which is made again when the pins change.
# PYTHON=python3.12 chooses the interpreter, PORT=3001 the UI's port, ARGS="..." adds arguments to a command.

SHELL := /bin/bash
.DEFAULT_GOAL := help
BIN := .venv/bin
PORT ?= 3000
PINS := pyproject.toml setup.py $(wildcard constraints/*.txt) scripts/make-venv
ifdef PYTHON
ifneq ($(shell $(PYTHON) --version 2>&1),$(shell $(BIN)/python --version 2>&1))
PINS += another-python
endif
endif
BICEP := ../shared/tools/check_bicep.py

# The local history of runs is found by these, whatever the shell has set.
export DAGSTER_HOME := $(CURDIR)
export DAGSTER_DISABLE_TELEMETRY := 1
export DBT_SEND_ANONYMOUS_USAGE_STATS := false

.PHONY: help demo dev status doctor test lint lint-types lint-rest format bench wheel image tiny dbt-base dbt-slim dbt-docs reset clean ci \
  another-python

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/installed ## Build a day of data, from generated sources to gold
	@$(BIN)/lake demo $(ARGS)

dev: .venv/installed ## Open Dagster's UI at http://localhost:3000 (PORT=3001 for another port)
	@$(BIN)/lake dev --port $(PORT) $(ARGS)

status: .venv/installed ## Show what is in the lake
	@$(BIN)/lake status

doctor: .venv/installed ## Check this machine and the lake, and say what to fix
	@$(BIN)/lake doctor

test: .venv/installed-dev ## Run the tests, two at a time (ARGS="-k silver" for some)
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: lint-rest lint-types ## Check style, types, imports, the dbt project, the workflows and the Bicep files

# Apart, since it takes as long as all the rest: CI runs both at once.
lint-types: .venv/installed-dev
	$(BIN)/mypy

lint-rest: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/dbt --quiet parse --project-dir dbt --profiles-dir dbt
	DATABRICKS_HOST=none DATABRICKS_TOKEN=none LAKE_CATALOG=none LAKE_DATABRICKS_WAREHOUSE_ID=0 $(BIN)/dbt --quiet parse \
	  --target databricks --target-path target/parse-databricks --project-dir dbt --profiles-dir dbt
	scripts/actionlint
	@if [ -d infra/bicep ] && [ -f $(BICEP) ]; then \
	  set -x; $(BIN)/python $(BICEP) infra/bicep; \
	else echo "Bicep: not checked (needs infra/bicep and $(BICEP))"; fi

format: .venv/installed-dev ## Write the code in the project's style
	$(BIN)/ruff check --fix --exit-zero .
	$(BIN)/ruff format .

bench: .venv/installed-dev ## Measure: python -m bench --help lists what
	@$(BIN)/python -m bench $(ARGS)

wheel: .venv/installed ## Build the wheels: dist/ and, for Databricks, dist/databricks/
	@$(BIN)/python -m pip wheel . --no-deps --quiet --wheel-dir dist
	@$(BIN)/python scripts/databricks-wheel

image: ## Build the image of the lake on Azure, with Docker
	docker build --tag dagster-lake $(ARGS) .

tiny: .venv/installed ## Build an hour of a tiny lake by Dagster's own command, in .lake-tiny
	@scripts/tiny-lake

# What CI does with dbt on a pull request: docs/delivery.md.
dbt-base: .venv/installed ## Keep dbt's manifest and the tiny lake, for a slim build to compare with
	@scripts/dbt-base dist/dbt-base

dbt-slim: .venv/installed ## Build the dbt models that differ from BASE, and those after them
	@scripts/dbt-slim $(or $(BASE),dist/dbt-base)

dbt-docs: .venv/installed ## Write dbt's documentation of the tiny lake: dist/dbt-docs/index.html
	@scripts/dbt-docs

reset: .venv/installed ## Remove the lake and Dagster's history, after asking
	@$(BIN)/lake reset $(ARGS)

clean: ## Remove caches and .venv; the lake stays
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis dbt/target dbt/logs
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

ci: ## Run what continuous integration runs
	@.ci/run

.venv/installed: $(PINS)
	@scripts/make-venv
	@touch $@

# The test tools come on top of what users get, so both are then up to date.
.venv/installed-dev: $(PINS)
	@scripts/make-venv dev
	@touch .venv/installed $@
