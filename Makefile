VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; \
	then echo $$python; break; fi; done)

.DEFAULT_GOAL := help
.PHONY: help demo demo-cluster test test-faults matrix lint bench docs clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' Makefile

demo: $(VENV)/.package ## Serve the demo site; HOST, PORT and DEMO_* configure it
	@$(BIN)/python demo_site/manage.py serve

demo-cluster: $(VENV)/.cluster ## Serve it on Redis, under daphne, uvicorn and nginx, configured likewise
	@$(BIN)/python -m tests.system Redis nginx
	@$(BIN)/python demo_site/manage.py cluster

test: $(VENV)/.development ## Run the whole test suite and measure its coverage
	@$(BIN)/python -m tests.system
	@$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest
	@$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

test-faults: $(VENV)/.development ## Inject faults at length and at scale, and sum up what held
	@$(BIN)/python -m tests.system
	$(BIN)/python -m pytest -m slow_fault tests/faults

matrix: $(VENV)/.development ## Run the quick tests on each Python there is and each Django; TESTS=tests for all
	@$(BIN)/python -m pip install --quiet --group matrix
	@$(BIN)/python -m tests.system
	$(BIN)/nox $(if $(TESTS),-- $(TESTS))

lint: $(VENV)/.development ## Check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/.development ## Measure against a stock Channels consumer
	$(BIN)/python -m bench.run

docs: $(VENV)/.development ## Write anew what the documentation repeats of the code
	$(BIN)/python -m docs.generate

clean: ## Remove all that the other targets made
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* demo_site/var
	rm -rf .hypothesis .mypy_cache .nox .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is what `venv` installs last: an interrupted run is taken up again.
$(BIN)/pip:
	@$(or $(PYTHON),false) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed; make PYTHON=... names one." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.package: pyproject.toml | $(BIN)/pip
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(VENV)/.cluster: pyproject.toml | $(VENV)/.package
	$(BIN)/python -m pip install --quiet --editable '.[redis]' --group cluster
	@touch $@

$(VENV)/.development: pyproject.toml | $(VENV)/.package
	$(BIN)/python -m pip install --quiet --group test --group lint
	@touch $@
