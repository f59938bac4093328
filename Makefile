# Two commands matter: `make demo` runs the main job, `make test` passes the tests. Everything goes into .venv,
# whether or not another environment is active. CPU threads: one a process (see docs/log.md).

PYTHON ?= python3
AUDIO ?=
BIN := .venv/bin
export OMP_NUM_THREADS := 1
unexport PYTHONPATH PYTHONHOME

.PHONY: demo test fast check lint types imports doctests dead duplicates clean

demo: .venv/demo.stamp
	$(BIN)/vocable demo $(if $(AUDIO),"$(AUDIO)") --out demo --overwrite

test: .venv/dev.stamp
	@tests/system-packages.sh
	$(BIN)/python -m pytest -n 2 -q

fast: .venv/dev.stamp
	$(BIN)/python -m pytest -n 2 -q -m 'not slow'

check: lint types imports dead duplicates doctests test

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/dev.stamp
	$(BIN)/mypy

imports: .venv/dev.stamp
	$(BIN)/lint-imports

dead: .venv/dev.stamp
	$(BIN)/vulture  # unused code; its settings and its whitelist are named in pyproject.toml

duplicates: .venv/dev.stamp
	$(BIN)/pylint --disable=all --enable=duplicate-code --min-similarity-lines=6 --ignore-imports=y --ignore-signatures=y \
		--ignore-docstrings=y --ignore-comments=y vocable/systems/*/tokenizer.py

doctests: .venv/dev.stamp
	$(BIN)/python -m pytest -q --doctest-modules vocable vocable_lab

.venv/made.stamp:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "vocable needs Python 3.11 or newer; name one: make PYTHON=python3.12 demo"; exit 1; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/demo.stamp: pyproject.toml constraints.txt | .venv/made.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[demo]'
	@touch $@

.venv/dev.stamp: pyproject.toml constraints.txt | .venv/made.stamp
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --constraint constraints.txt distillmos resemblyzer  # for their weights alone
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --constraint constraints.txt moonshine-voice  # not for every system
	@touch $@ .venv/demo.stamp

clean:
	rm -rf .venv build dist demo *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
