# demo: set up and run the main job · test: set up and pass the tests · check: format, lint, types, imports
# soak: a thousand schedules of faults (INTERLUDE_FAULT_SCHEDULES=n for another number)

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: demo test soak check format clean

demo: $(READY)
	$(BIN)/interlude run experiments/quickstart.yaml

test: $(READY)
	$(BIN)/python -m pytest

soak: $(READY)
	INTERLUDE_FAULT_SCHEDULES=$${INTERLUDE_FAULT_SCHEDULES:-1000} $(BIN)/python -m pytest tests/faults/test_faults.py

check: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) runs

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@
