# make demo, make test, make lint and make bench each set up what they need.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test lint bench docs setup clean

demo: $(VENV)/ready
	$(BIN)/auditkit demo --out demo

# One thread inside each operation: the two workers have a core each.
test: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m auditkit.catalogue --check

bench: $(VENV)/ready
	$(BIN)/python benchmarks/predictor.py
	$(BIN)/python benchmarks/calibration.py
	$(BIN)/python benchmarks/gate_error.py
	$(BIN)/python benchmarks/group_intervals.py
	$(BIN)/python benchmarks/crash.py
	$(BIN)/python benchmarks/leakage.py
	$(BIN)/python benchmarks/rerun.py
	$(BIN)/python benchmarks/memory.py

# Rewrites what is generated from the code: docs/checks.md, the JSON schemas, the README's table.
docs: $(VENV)/ready
	$(BIN)/python -m auditkit.catalogue

setup: $(VENV)/ready

# torch brings what its build needs (CUDA libraries on some machines, none on others); everything
# else is exactly what the lock says.
$(VENV)/ready: requirements/lock.txt pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c requirements/lock.txt torch
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps -r requirements/lock.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
