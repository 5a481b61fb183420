# Everything runs in a virtual environment of its own, so that the system's Python stays untouched.
PYTHON ?= python3
VENV ?= .venv
SAMPLE ?= profiles/dense-ge-decode
EXTRAS ?= test

BIN := $(VENV)/bin
comma := ,

.PHONY: demo test quick lint bench samples clean

demo: $(VENV)/.demo
	$(BIN)/skadvisor analyze $(SAMPLE)

test: $(VENV)/.$(subst $(comma),-,$(EXTRAS))
	$(BIN)/python -m pytest -n auto --dist loadfile

# What is marked slow is left out: under three minutes on two cores.
quick: $(VENV)/.$(subst $(comma),-,$(EXTRAS))
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow"

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

# Each promised figure as a ratio, with its bound; wants a quiet machine and takes about ten minutes.
bench: $(VENV)/.$(subst $(comma),-,$(EXTRAS))
	$(BIN)/python tests/benchmarks/bench.py

samples: $(VENV)/.demo
	$(BIN)/python profiles/build.py

clean:
	rm -rf $(VENV)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.%: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --editable ".[$(subst -,$(comma),$*)]"
	touch $@
