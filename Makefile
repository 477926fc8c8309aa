# make train   creates .venv, installs backlit, trains it on the bundled digits
# make test    the quick tests             make lint   style and types
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml $(wildcard CMakeLists.txt native/*.cpp native/*.hpp native/*/*.cpp native/*/*.hpp)

.PHONY: train test test-slow lint clean

train: .venv/installed
	$(BIN)/backlit train digits

test: .venv/tests-installed
	$(BIN)/python -m pytest -m "not slow"

test-slow: .venv/tests-installed
	$(BIN)/python -m pytest -m slow

lint: .venv/tests-installed
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv/installed: $(SOURCES)
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/tests-installed: .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	touch $@

clean:
	rm -rf .venv build dist
