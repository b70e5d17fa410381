# Everything a person or a machine starts: `make run` for a first look, `make test lint types` before a commit.
# Set-up happens by itself, in .venv, and only when the requirements change.
.DEFAULT_GOAL := help
SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
SAMPLE := var/sample.log
# LOG is one path; without it a generated sample is streamed.
LOG ?=
export LOG
ARGS ?=
# One more option for pytest, as in `make test PYTEST="-k ledger -x"`.
PYTEST ?=
# Tests at once: one for each core; one alone on servers that are named, whose queues the tests empty.
WORKERS ?= $(if $(TEST_BROKER_URL)$(TEST_DATABASE_URL),0,auto)

.PHONY: help run test lint types slow faults soak bench screenshots lock audit clean

help: ## say what the targets are
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' $(MAKEFILE_LIST) | expand -t 16

run: $(VENV)/run.stamp $(if $(LOG),,$(SAMPLE)) ## stream LOG=path (or a sample) through both queues into both tables; ARGS=--json
	@$(PYTHON) -m pipeline run --once "$${LOG:-$(SAMPLE)}" $(ARGS)

test: $(VENV)/dev.stamp ## the suite but slow, faults and soak; REQUIRE_SERVICES=1 makes a missing service a failure
	@$(PYTHON) -m pytest -m 'not slow and not faults and not soak' --numprocesses=$(WORKERS) --dist=loadfile $(PYTEST)

lint: $(VENV)/dev.stamp ## ruff: rules and format
	@$(VENV)/bin/ruff check . && $(VENV)/bin/ruff format --check .

types: $(VENV)/dev.stamp ## mypy, strict
	@$(VENV)/bin/mypy

slow: $(VENV)/dev.stamp ## whole systems: roles, TLS, foreign messages, metrics, replays (minutes)
	@$(PYTHON) -m pytest -m slow $(PYTEST)

faults: $(VENV)/dev.stamp ## kill, stop and starve everything, the short form (minutes)
	@$(PYTHON) -m pytest -m faults --timeout=900 $(PYTEST)

soak: $(VENV)/dev.stamp ## the same in its long form (hours)
	@$(PYTHON) -m pytest -m soak --timeout=0 $(PYTEST)

bench: $(VENV)/dev.stamp ## measure this machine; ARGS="throughput --json"
	@$(PYTHON) -m pipeline bench $(ARGS)

screenshots: $(VENV)/dev.stamp ## take the pictures of the page for the README, docs/screenshots (a minute; needs chromium)
	@$(PYTHON) -m bench.pictures docs/screenshots

lock: $(VENV)/dev.stamp ## write the versions in .venv to constraints.txt, and their hashes to requirements*.lock
	@sh .ci/lock $(PYTHON) > constraints.new && mv constraints.new constraints.txt
	@sh .ci/hashes $(VENV)/bin/uv

audit: $(VENV)/dev.stamp ## compare the locked versions with the vulnerabilities known to PyPI (needs the network)
	@sh .ci/audit $(VENV)/bin/uv $(PYTHON)

clean: ## remove .venv, caches and what was compiled; what was stored in var/ stays
	@rm -rf pipeline/_scan-* $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
	@find pipeline tasks db tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/run.stamp: requirements.lock .ci/venv .ci/scanner pipeline/scan.c
	@sh .ci/venv $(VENV) requirements.lock
	@sh .ci/scanner
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	@sh .ci/venv $(VENV) requirements-dev.lock
	@touch $@

$(SAMPLE): | $(VENV)/run.stamp
	@mkdir -p $(@D)
	@$(PYTHON) -m pipeline generate $@ --lines 10000 >&2
