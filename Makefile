# The two commands are `make up` and `make test`; each installs what is missing first.

PORT ?= 8000
FLOWER_PORT ?= 5555
DATA_DIR ?= var
PYTHON ?= $(shell command -v python3 || command -v python)

VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
BENCHED := $(VENV)/.benched
COMPILE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links --no-annotate

.DEFAULT_GOAL := help
.PHONY: help setup up demo test check format bench lock migration screenshot clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## install what is missing into .venv

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed, and there is no python3 on the PATH." >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Python 3.11 or newer is needed; $(PYTHON) is $$("$(PYTHON)" --version 2>&1). Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	@echo "installing what Tidings needs; the first time takes a minute or two"

$(INSTALLED): pyproject.toml requirements-dev.txt | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --editable .
	@touch $(INSTALLED)

$(BENCHED): pyproject.toml benchmarks/requirements.txt $(INSTALLED)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement benchmarks/requirements.txt
	@touch $(BENCHED)

up: setup ## run everything on this machine; PORT, FLOWER_PORT and DATA_DIR may be set
	@exec $(BIN)/tidings up --port $(PORT) --flower-port $(FLOWER_PORT) --data-dir "$(DATA_DIR)"

demo: setup ## place 100 mixed orders against what `make up` runs
	@$(BIN)/tidings demo --url http://127.0.0.1:$(PORT)

# In the order of their files: the long ones are few to a file, and would come last and alone otherwise.
test: setup ## run the tests; with CI=true the slow ones too
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(if $(CI),,-m "not slow")

check: setup ## lint, types and import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup $(BENCHED) ## measure beside what one would use instead; OPTIONS="--quick" and others
	$(BIN)/python -m benchmarks --output docs $(OPTIONS)

screenshot: setup ## take the README's pictures from a running instance of its own
	$(BIN)/python -m docs.screenshot

lock: | $(BIN)/pip ## pin the dependencies anew, with hashes and without addresses
	@test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(COMPILE) pyproject.toml --output-file requirements.txt
	$(COMPILE) pyproject.toml --extra dev --constraint requirements.txt --output-file requirements-dev.txt
	$(COMPILE) pyproject.toml --extra bench --constraint requirements-dev.txt --output-file benchmarks/requirements.txt

migration: setup ## draft the next migration from the tables: make migration m="what it does"
	$(BIN)/python -m tasks.migrations "$(m)"

clean: ## forget the environment and the caches; the data in var/ stays
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
