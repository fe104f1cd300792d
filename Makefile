# The buttons. Each is pressed by .ci/run or by a test of it, or deleted.
# `make test` is the first command of a fresh clone: it sets up what it needs.
export PYTHONSAFEPATH = 1
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN = $(abspath $(VENV))/bin
READY = $(VENV)/.ready
PIP = -m pip --quiet --disable-pip-version-check install
MATURIN = PIP_QUIET=1 VIRTUAL_ENV=$(abspath $(VENV)) $(BIN)/maturin
# The slow tests build wheels and kill processes: minutes. CI runs them all; so does SLOW=1.
CHOICE = $(if $(CI)$(SLOW),,-m "not slow")
ALONE = $(abspath target)/alone
# Where the recorded streams lie, also for tests that run elsewhere.
export TINYAGENT_CORPUS ?= $(wildcard $(abspath ../shared/corpus))

.PHONY: dev test rebuild check demo replay crash bench bench-quick compare wheel fuzz schedules torture clean

# Environment, current pip, the dev group, the extension. Safe to repeat.
dev: $(READY)
$(READY): pyproject.toml Cargo.toml Cargo.lock $(shell find rust -name '*.rs' -o -name Cargo.toml)
	@test -n "$(PYTHON)" || { echo "tinyagent needs CPython 3.11 or newer; found none"; exit 1; }
	@# Debian has pip but no ensurepip: there pip is brought in from outside.
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { \
		$(PYTHON) -m venv --clear --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet pip; }
	$(BIN)/python $(PIP) --upgrade 'pip>=25.1'
	$(BIN)/python $(PIP) --group dev
	$(MATURIN) develop --quiet
	touch $(READY)

# cargo first, so that the last lines are pytest's.
test: dev
	cargo test --quiet --workspace --exclude tinyagent-python
	$(BIN)/python -m pytest -q $(CHOICE)

# Once more, with agents that forget after each input all that is not in their log. The tests of
# what an agent costs, or reads, are left out, for this costs and reads more; and those without one.
AGENTLESS = bench comparison events interchange rust typing viewer
rebuild: dev
	$(BIN)/python -m pytest -q -m "not slow" -k "not scale and not bench and not behind_a_snapshot" \
		--ta-rebuild-every=1 $(addprefix --ignore=tests/,$(AGENTLESS))

check: dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	cargo fmt --all --check
	cargo clippy --quiet --workspace --all-targets -- -D warnings
	@# The fuzz targets are no members; nothing is linked here, so no C++ compiler is needed.
	for each in rust/*/fuzz; do CUSTOM_LIBFUZZER_PATH=/none.a cargo clippy --quiet --locked \
		--target-dir target --manifest-path $$each/Cargo.toml -- -D warnings || exit; done

# A real agent turn over a local HTTP stream: recorded, shown, replayed. No key, no network.
demo: dev
	$(BIN)/python -m tinyagent demo

# Every recording in replays/, with the first divergence in full.
replay: dev
	$(BIN)/python -m pytest -v tests/test_replays.py

# Processes killed beside a tool, at every place, and taken up in every way: a table, a minute.
crash: dev
	$(BIN)/python tests/crash_matrix.py

# What a turn and a delta cost beside peers and floors, and the verdict on every goal, to
# docs/benchmarks.md. Measured is a release wheel, in an environment of its own below target/.
# TINYAGENT_PEERS names a folder with the peers, if there is one (tests/bench/peers.py).
bench: $(READY)
	rm -rf target/bench
	$(MATURIN) build --quiet --out target/bench
	$(BIN)/python tests/bench/beside.py --wheel target/bench/*.whl --write

# Crash, damage and storage beside named versions of peers, from the package index: to
# docs/comparison.md. Five minutes, and two gigabytes below target/.
compare: dev
	$(BIN)/python tests/comparison/compare.py --write

# The same in two minutes, of what can be told by then.
bench-quick: $(READY)
	rm -rf target/bench
	$(MATURIN) build --quiet --out target/bench
	$(BIN)/python tests/bench/beside.py --wheel target/bench/*.whl --quick

# sdist and wheel into dist/; the tests against the wheel, in an environment of its own, with no
# sources in sight.
wheel: dev
	rm -rf dist $(ALONE)
	$(MATURIN) sdist --out dist
	$(MATURIN) build --quiet --out dist
	$(BIN)/python -m venv $(ALONE)/venv
	$(ALONE)/venv/bin/python $(PIP) --upgrade 'pip>=25.1'
	$(ALONE)/venv/bin/python $(PIP) --group dev dist/*.whl
	mkdir $(ALONE)/here
	cp -r $(wildcard tests replays docs README.md pyproject.toml) $(ALONE)/here
	cd $(ALONE)/here && $(ALONE)/venv/bin/python -m pytest -q -m "not slow"

# Each fuzz target for FUZZ_S seconds. Needs nothing but cargo and a C++ compiler.
fuzz: dev
	$(BIN)/python tests/fuzz/run.py

# The long tier of the small worlds with agents: 200,000 schedules (SCHEDULES=...), a quarter of an
# hour on two idle cores. The short ones are a part of `make test`.
schedules: dev
	$(BIN)/python tests/sim/run.py

# The long tier of the log's torture: an hour on two idle cores. TA_SEED=... repeats what failed.
# The short one is a part of `make test`.
torture:
	TORTURE=1 cargo test --package tinyagent-log --lib

clean:
	rm -rf $(VENV) target dist
	find . -name __pycache__ -prune -exec rm -rf {} +
	rm -f python/tinyagent/_alchemy*.so
