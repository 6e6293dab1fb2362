# Thin on purpose: every real command is `segue ...`; these only set up and call.
PYTHON ?= python3.11
VENV := .venv
SEGUE := $(VENV)/bin/segue
STAMP := $(VENV)/.installed
CHAOS_SECONDS ?= 240
CHAOS_SEED ?= 1
CHAOS_KIND ?= gru
CHAOS_RATE ?= 100
SOAK_SECONDS ?= 3600
SOAK_KIND ?= gru
SOAK_SONGS ?= 20000
FUZZ_SECONDS ?= 60
# Test processes: one more than cores, as some wait for the broker.
JOBS ?= 3
PYTEST := $(VENV)/bin/python -m pytest
PARALLEL := --numprocesses $(JOBS) --dist loadfile --no-loadscope-reorder --durations 25
COMPILES := tests/unit/models/hybrid tests/unit/models/retrieval
REPORT ?= docs/results/bench
# Processes of tests start twice as fast from cached bytecode.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install demo test test-all test-compiled test-browser test-deployment test-kafka test-prometheus \
	chaos rebalances soak soak-hour fuzz audit bench docs lint format clean

help:  ## Show what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | sort

install: $(STAMP)  ## Create .venv with the `segue` command in it

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@mkdir -p $(VENV)/src && ln -sfn ../.. $(VENV)/src/segue  # where mypy and editors find `segue`
	@touch $(STAMP)

demo: install  ## Run plays through broker, worker and model, and watch the lists come out
	$(SEGUE) demo

fuzz: install  ## Fuzz the readers of outside bytes along their branches, by hand (FUZZ_SECONDS=)
	$(VENV)/bin/python -m pip install --quiet atheris
	$(VENV)/bin/python -m tests.unit.stream.fuzz.atheris_decoders -max_total_time=$(FUZZ_SECONDS) -max_len=4096

audit: install  ## Look for known weaknesses in what is installed; needs the network
	$(VENV)/bin/python -m pip install --quiet pip-audit
	$(VENV)/bin/pip-audit --requirement constraints.txt --no-deps --disable-pip

lint: install  ## Style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

# These tests compile most loops; all other processes then read them from __pycache__.
test-compiled: install
	$(PYTEST) --quiet $(COMPILES)

test: install  ## Lint, types, unit tests, and integration tests with the embedded broker: what CI runs
	@$(MAKE) --no-print-directory --jobs 2 lint test-compiled
	$(PYTEST) $(PARALLEL) $(addprefix --ignore ,$(COMPILES))

test-all: test  ## All that needs no other software: training, whole systems, faults; takes half an hour
	$(PYTEST) $(PARALLEL) tests/slow
	$(PYTEST) --durations 25 tests/system

test-prometheus: install  ## Rules by promtool; a real Prometheus that scrapes workers under load
	@command -v promtool >/dev/null && command -v prometheus >/dev/null || { echo 'promtool and prometheus are missing:' \
		'on Debian, apt-get install --no-install-recommends prometheus' >&2; exit 1; }
	SEGUE_TEST_PROMETHEUS=1 $(PYTEST) \
		tests/deployment/test_alerts.py tests/deployment/test_prometheus.py -v

test-deployment: install  ## Compose file, manifests and image: all that needs no Docker
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[deployment]'
	SEGUE_TEST_DEPLOYMENT=1 $(PYTEST) tests/deployment --ignore tests/deployment/test_prometheus.py -v

docs: install  ## Write the documents' tables anew
	$(VENV)/bin/python -m docs.tables
	$(VENV)/bin/python -m segue.stream.kafka.asyncapi > docs/asyncapi.json

test-kafka: install  ## Run what needs a broker against yours: BOOTSTRAP=host:port (docs/kafka-tests.md)
	@test -n "$(BOOTSTRAP)" || { echo "give BOOTSTRAP=host:port" >&2; exit 2; }
	SEGUE_TEST_BROKER=$(BOOTSTRAP) $(PYTEST) -m broker tests/unit tests/integration tests/system

chaos: install  ## Break a running system, and check all of it: CHAOS_SECONDS=, _SEED=, _KIND=, _RATE=
	$(VENV)/bin/python -m segue.offline.chaos --seconds $(CHAOS_SECONDS) --seed $(CHAOS_SEED) \
	  --kind $(CHAOS_KIND) --rate $(CHAOS_RATE) \
	  $(if $(BOOTSTRAP),--bootstrap $(BOOTSTRAP)) $(if $(RESTART),--restart-broker "$(RESTART)")

rebalances: install  ## Members join and leave as fast as the group settles, and all is checked
	$(VENV)/bin/python -m segue.offline.chaos --seconds $(CHAOS_SECONDS) --seed $(CHAOS_SEED) \
	  --kind $(CHAOS_KIND) --rate $(CHAOS_RATE) --only "group churn" --only kill \
	  $(if $(BOOTSTRAP),--bootstrap $(BOOTSTRAP))

soak: install  ## Swap models a thousand times under load and watch the memory
	SEGUE_TEST_SWAPS=1000 $(PYTEST) tests/integration/test_hot_swap.py -k soak -s

soak-hour: install  ## Half load for an hour: memory, files and latency stay flat: SOAK_SECONDS=, _KIND=, _SONGS=
	$(VENV)/bin/python -m segue.offline.benchmarks.soak --seconds $(SOAK_SECONDS) --kind $(SOAK_KIND) \
	  --songs $(SOAK_SONGS) $(if $(SOAK_RATE),--rate $(SOAK_RATE))

test-browser: install  ## The live page and the map in a real Chromium
	@command -v chromium >/dev/null || { echo 'chromium is missing:' \
		'on Debian, apt-get install --no-install-recommends chromium' >&2; exit 1; }
	$(VENV)/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[browser]'
	$(PYTEST) tests/browser

bench: install  ## Measure everything into one report, half an hour: REPORT=directory
	$(SEGUE) bench --out $(REPORT)

format: install  ## Rewrite the code in the project's format
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

clean:  ## Remove what was installed and made here
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache segue-data segue-demo
	find models stream offline tests -name __pycache__ -prune -exec rm -r {} +
