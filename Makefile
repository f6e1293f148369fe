# Every verb sets up .venv by itself when it is missing or out of date.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.built
PEERS := $(VENV)/.peers
BACKENDS := $(VENV)/.backends
FUZZER := $(VENV)/.fuzzer
SECONDS ?= 60
CORE := $(wildcard csrc/*.[ch] src/shopguide/*.pyx src/shopguide/*.pxi src/shopguide/*.pxd)
C_FILES = $(shell git ls-files 'csrc/*.[ch]' 'tests/c/*.[ch]' 'tests/fuzz/*.[ch]')

.DEFAULT_GOAL := help
.PHONY: demo test fuzz build bench dist lint format clean help kafka-up kafka-down storm-jar storm-up storm-down

help: ## what each verb does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: $(STAMP) ## .venv with the package, its command and all tools

$(STAMP): pyproject.toml setup.py $(CORE)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'setuptools>=77,<81' wheel 'Cython>=3.1' 'numpy>=2'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[dev]'
	@touch $@

demo: build ## a simulated shop, live: a page to click through, lists pushed to it and to ZeroMQ subscribers
	@$(BIN)/shopguide demo

$(PEERS): pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[bench]'
	@touch $@

$(BACKENDS):
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'tensorflow-cpu>=2.18'
	@touch $@

test: build ## everything: unit, property, C under sanitizers, the whole line, a real browser
	@sh tests/programs.sh
	@$(MAKE) --no-print-directory $(BACKENDS) || echo "test: tensorflow does not install; its test says so"
	@$(BIN)/python -m pytest -n auto --dist loadfile tests/test_*.py
	@$(BIN)/python -m pytest --ignore-glob 'tests/test_*.py'

$(FUZZER): pyproject.toml
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --editable '.[fuzz]'
	@touch $@

fuzz: build ## random steps in every structure, random bytes for every parser: a minute each (SECONDS=600, ONLY=items)
	@sh tests/fuzz/clang.sh
	@$(MAKE) --no-print-directory $(FUZZER) || echo "fuzz: atheris does not install"
	@$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS) $(ONLY)

bench: build ## how fast, as ratios against a baseline in the same run
	@$(MAKE) --no-print-directory $(PEERS) || echo "bench: the peers do not install; their lines say so"
	@for b in bench/bench_*.py; do $(BIN)/python $$b || exit 1; done

dist: build ## wheel and source distribution into dist/, each installed into a clean environment and tried
	@$(BIN)/python deploy/dist.py

lint: build ## ruff, mypy, cython-lint, clang-format
	@$(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@$(BIN)/mypy
	@PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint src/shopguide/*.pyx src/shopguide/*.pxi
	@$(BIN)/clang-format --dry-run --Werror $(C_FILES)

format: build ## let ruff and clang-format lay out the code
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format --quiet .
	@$(BIN)/clang-format -i $(C_FILES)

kafka-up: build ## a Kafka broker on this machine, in .cluster/kafka (needs Java 17, Maven)
	@$(BIN)/python deploy/kafka.py up

kafka-down: build ## stop that broker; its data stays
	@$(BIN)/python deploy/kafka.py down

storm-jar: build ## the topology's jar for `sparse submit -j`, .cluster/recommend.jar (needs a JDK, Maven)
	@$(BIN)/python deploy/jar.py

storm-up: build ## a Storm cluster on this machine, in .cluster/storm (needs Java 17, Maven)
	@$(BIN)/python deploy/storm.py up

storm-down: build ## end that cluster, its topologies first
	@$(BIN)/python deploy/storm.py down

clean: ## remove what was built
	@rm -rf $(VENV) build dist .pytest_cache .hypothesis .mypy_cache .ruff_cache tests/c/bin jvm/multilang/target
	@rm -f src/shopguide/_core.c src/shopguide/*.so
