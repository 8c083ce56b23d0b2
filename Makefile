# The main targets are `make up` and `make test`. Each installs what is missing first.

PORT ?= 8000
FLOWER_PORT ?= 5555
DATA_DIR ?= var
PYTHON ?= $(shell command -v python3 || command -v python)

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCHED := $(VENV)/.benched
DOCUMENTED := $(VENV)/.documented
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --no-annotate

.DEFAULT_GOAL := help
.PHONY: help setup up demo test check format docs bench screenshot glossary lock migration clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## install what is missing into .venv

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, but there is no python3 on the PATH." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$("$(PYTHON)" --version 2>&1). Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	@echo "installing the dependencies; the first time takes a minute or two"

$(INSTALLED): pyproject.toml requirements-dev.txt | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $(INSTALLED)

$(BENCHED): pyproject.toml benchmarks/requirements.txt $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement benchmarks/requirements.txt
	@touch $(BENCHED)

$(DOCUMENTED): pyproject.toml docs/requirements.txt $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement docs/requirements.txt
	@touch $(DOCUMENTED)

up: setup ## run everything on this machine (PORT, FLOWER_PORT, DATA_DIR)
	@exec $(BIN)/tidings up --port $(PORT) --flower-port $(FLOWER_PORT) --data-dir "$(DATA_DIR)"

demo: setup ## place 100 mixed orders in the shop of `make up`
	@$(BIN)/tidings demo --url http://127.0.0.1:$(PORT)

# `loadfile` keeps the tests of a file on one worker, which then share its servers. Without
# `--no-loadscope-reorder` the files with few but long tests would run last. The tests start many
# processes: where no bytecode may be written, each of them would compile everything again. The slow
# ones start the most, so they have fewer beside them.
test: setup ## run the tests, with CI=true also the slow ones
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(if $(CI),3,5) --dist loadfile --no-loadscope-reorder $(if $(CI),,-m "not slow") $(OPTIONS)

check: setup ## check lint rules, format, types, import contracts and event contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/tidings contracts check --strict

format: setup ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup $(BENCHED) ## run the benchmarks beside the alternatives (OPTIONS="--quick")
	$(BIN)/python -m benchmarks --output docs $(OPTIONS)

screenshot: setup ## take the pictures of the docs, or of every page (FOLDER=pages)
	$(BIN)/python -m docs.screenshot $(FOLDER)

docs: setup $(DOCUMENTED) ## build the documentation site into build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

glossary: setup ## write docs/glossary.md from the docstrings
	$(BIN)/python -m docs.glossary

lock: | $(BIN)/pip ## update the lock files, with hashes and without addresses
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) pyproject.toml --extra sentry --extra otel --output-file requirements.txt
	$(COMPILE) pyproject.toml --extra dev --constraint requirements.txt --output-file requirements-dev.txt
	$(COMPILE) pyproject.toml --extra bench --constraint requirements-dev.txt --output-file benchmarks/requirements.txt
	$(COMPILE) pyproject.toml --extra docs --constraint requirements-dev.txt --output-file docs/requirements.txt

migration: setup ## draft the next migration: make migration m="add loyalty points"
	$(BIN)/python -m tidings.migrations "$(m)"

clean: ## delete the environment and the caches; the data in var/ stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
