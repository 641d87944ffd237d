# Every target works on a machine that has python3, pip, make and a package index.
PYTHON ?= python3
BIN = .venv/bin

.PHONY: quickstart test check bench soak matrix install

quickstart: install
	$(BIN)/erlangen quickstart

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

check: install
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: install
	for file in benchmarks/[a-z]*.py; do $(BIN)/python -m benchmarks.$$(basename $$file .py) --json || exit 1; done

matrix: install
	$(BIN)/python -m pytest -n 2 --dist loadfile tests/behaviour --matrix docs/scale.md

soak: install
	$(BIN)/python -m pytest -n 2 -m soak

install: .venv/installed

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv --clear --without-pip .venv
	$(PYTHON) -m pip --python $(BIN)/python install --quiet --disable-pip-version-check -c constraints.txt -e ".[dev]"
	touch $@
