# make train   creates .venv, installs backlit, trains it on the bundled digits
# make test    the quick tests             make lint   style and types
# make docs    the documentation, in docs/_build/html; every example in it is executed, some on MNIST: it is
#              downloaded once, or read from $BACKLIT_DATA/mnist
# make bench   the speed tables, beside the libraries that are installed in .venv
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml $(wildcard CMakeLists.txt native/*.cpp native/*.hpp native/*/*.cpp native/*/*.hpp)

.PHONY: train test test-slow lint docs bench clean

train: .venv/installed
	$(BIN)/backlit train digits

test: .venv/tests-installed
	$(BIN)/python -m pytest -m "not slow"

test-slow: .venv/tests-installed
	$(BIN)/python -m pytest -m slow

lint: .venv/tests-installed
	$(BIN)/ruff check .
	$(BIN)/mypy

# From nothing, so that no example and no page is left over from another state of the code.
docs: .venv/docs-installed
	rm -rf docs/_build
	$(BIN)/python -m sphinx -W --keep-going -n -q -j 2 docs docs/_build/html
	$(BIN)/python docs/making/links.py docs/_build/html

bench: .venv/installed
	$(BIN)/python benchmarks/step_speed.py
	$(BIN)/python benchmarks/mnist_98.py
	$(BIN)/python benchmarks/noise_cost.py
	$(BIN)/python benchmarks/estimator_speed.py

# The installation for the tests is one for training too: touching both stamps saves a second compilation.
.venv/installed: $(SOURCES)
	@echo "installing into .venv; compiling the core takes about a minute"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

.venv/tests-installed: $(SOURCES)
	@echo "installing into .venv; compiling the core takes about a minute"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[test]"
	touch .venv/installed $@

.venv/docs-installed: $(SOURCES)
	@echo "installing into .venv; compiling the core takes about a minute"
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[docs]"
	touch .venv/installed $@

clean:
	rm -rf .venv build dist docs/_build docs/notebooks
