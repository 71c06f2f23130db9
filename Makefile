# One entry for everything. Every target makes its own virtual environment from the lock first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
MADE := $(VENV)/.made
# Further words for `make demo` and `make lock`, e.g. make lock ARGS=--upgrade
ARGS ?=
# Tests side by side: most of their time is waiting. What fails is tried again, and listed: real
# processes on a busy machine are late now and then.
WORKERS ?= 3

.DEFAULT_GOAL := help
.PHONY: help demo test check bench bench-reload bench-load storm soak lock clean

help: ## this list
	@echo 'make demo    a DingTalk, a Dify and a chat page on this machine, with dod between them'
	@echo 'make check   format, lint, types, layers, known vulnerabilities, unit tests: two minutes'
	@echo 'make test    every test: unit, contract, SDK and end to end'
	@echo 'make bench   every number of docs/benchmarks.md but the image, in ten minutes; rewrites its table'
	@echo 'make bench-reload   from a save to its effect, with 50 bots: docs/benchmarks.md'
	@echo 'make bench-load     one load of a file of 50 bots: its time and memory'
	@echo 'make storm   everything fails at random for 3 x 10 minutes: docs/reliability.md'
	@echo 'make soak    an hour of talk and faults: memory, threads, descriptors'
	@echo 'make image   the container image, and its tests on the Docker Engine of this machine'
	@echo 'make lock    resolve the dependencies of pyproject.toml anew into requirements.lock'
	@echo 'make clean   remove the virtual environment and everything generated'

demo: $(MADE)
	@echo '== demo: both neighbours simulated, stop with Ctrl-C'
	@$(BIN)/dod demo $(ARGS)

check: $(MADE)
	@echo '== format'
	@$(BIN)/ruff format --check --quiet --diff .
	@echo '== lint'
	@$(BIN)/ruff check --quiet .
	@echo '== types'
	@$(BIN)/mypy
	@echo '== layers'
	@$(BIN)/pytest -q tests/test_layers.py
	@echo '== known vulnerabilities'
	@$(BIN)/python -m tests.advisories
	@echo '== unit tests'
	@$(BIN)/pytest -q tests/test_*.py -n $(WORKERS) --dist loadfile --reruns 2 -rRs

test: $(MADE)
	@echo '== all tests but those of the image (make image)'
	@$(BIN)/pytest -q tests --ignore=tests/image -n $(WORKERS) --dist loadfile \
	  --reruns 2 -rRs --durations=15

# ORIGINAL=checkout ORIGINAL_PYTHON=interpreter: beside zfanswer/dify-on-dingtalk v0.1.
bench: $(MADE)
	@echo '== dod beside the least bridge$(if $(ORIGINAL), and the original): ten minutes on an idle machine'
	@ORIGINAL='$(ORIGINAL)' ORIGINAL_PYTHON='$(ORIGINAL_PYTHON)' $(BIN)/python -m tests.bench $(ARGS)

bench-reload: $(MADE)
	@echo '== from a save to its effect, with 50 bots: two minutes'
	@$(BIN)/python -m tests.bench.reload

# Another storm: make storm ARGS='--seconds 60 --seed 7'
storm: $(MADE)
	@echo '== storm'
	@$(BIN)/python -m tests.storm $(or $(ARGS),--seconds 600 --seed 1 --seed 2 --seed 3)

soak: $(MADE)
	@echo '== soak'
	@$(BIN)/python -m tests.storm.soak $(or $(ARGS),--seconds 3600)

bench-load: $(MADE)
	@echo '== one load of a file of 50 bots'
	@$(BIN)/python -m tests.bench.load

# The build backend comes along, so that dod itself is installed offline and from the lock, too.
lock: $(MADE)
	@echo '== resolving requirements.lock'
	@$(BIN)/python -c 'import tomllib; \
	  print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' \
	  | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	    --no-header --no-annotate --python-version 3.11 --all-extras $(ARGS) \
	    -o requirements.lock pyproject.toml - > /dev/null
	@echo 'requirements.lock is up to date'

# Where neither an engine nor its base image is there: tests/image/base.sh, as root on Debian.
image: $(MADE)
	@echo '== image tests'
	@$(BIN)/pytest -q tests/image

image-report: $(MADE)
	@$(BIN)/python -m tests.image.report

# The part of requirements.lock that runs, after `make lock`.
lock-image: $(MADE)
	@$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url \
	  --no-header --no-annotate --python-version 3.11 -c requirements.lock \
	  -o requirements.image.lock pyproject.toml > /dev/null
	@echo 'requirements.image.lock is up to date'

clean:
	@echo '== removing the virtual environment, caches and build output'
	@rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(MADE): requirements.lock pyproject.toml
	@command -v $(PYTHON) > /dev/null \
	  || { echo 'Python is missing: apt install python3 python3-venv (or set PYTHON=…)'; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "dod needs Python 3.11 or newer, and this is $$($(PYTHON) -V); set PYTHON=…"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2> /dev/null \
	  || { echo 'Python lacks its venv module: apt install python3-venv'; exit 1; }
	@echo '== making $(VENV) from requirements.lock (a minute or two the first time)'
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --no-deps --no-build-isolation -e .
	@touch $@
