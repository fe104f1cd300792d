# The buttons. Each is pressed by CI, or deleted.
export PYTHONSAFEPATH = 1
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.ready

.PHONY: dev test check demo replay bench wheel clean

# Environment, current pip, the dev group, the extension. Safe to repeat.
dev: $(STAMP)
$(STAMP): pyproject.toml Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name Cargo.toml)
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --group dev
	VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin develop --quiet
	touch $(STAMP)

test: dev
	cargo test --quiet --workspace --exclude tinyagent-python
	$(BIN)/python -m pytest -q

check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings

clean:
	rm -rf $(VENV) target dist
