# make demo   makes .venv, installs, and runs the main job on synthetic faces
# make parity trains the demo if need be, exports it, and compares every route to its answer
# make test   makes .venv, installs, and runs lint, types and tests
# make check  lint, types and tests in an existing .venv
# make bench  records speed and memory in benchmarks/results (about fifteen minutes)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo parity test check lint types tests bench clean

demo: $(VENV)/.installed
	$(BIN)/deepcoder-demo --output_dir=runs/demo

parity: $(VENV)/.installed-parity
	test -f runs/demo/metrics.json || $(BIN)/deepcoder-demo --output_dir=runs/demo
	$(BIN)/deepcoder-export --model_dir=runs/demo/model --output_dir=runs/demo/parity \
	  --version=1 --overwrite --tflite=float32,float16,int8 --data_dir=runs/demo/prepared
	$(BIN)/python -m tools.parity --model_dir=runs/demo/model --export=runs/demo/parity/1 \
	  --json=runs/demo/parity.json

test: $(VENV)/.installed-test check

# mypy has one thread: it runs beside the first tests.
check: lint
	$(MAKE) --jobs=2 types tests

lint:
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types:
	$(BIN)/mypy

tests:
	$(BIN)/python -m pytest -n 2 --dist loadfile

# pip compiles with one core, compileall with all; files that are no Python of this version stay.
define install
$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile --editable "$(1)"
$(BIN)/python -m compileall -qq -j 0 $(VENV)/lib || true
endef

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: setup.py | $(VENV)/bin/python
	$(call install,.)
	touch $@

$(VENV)/.installed-test: setup.py | $(VENV)/bin/python
	$(call install,.[test])
	touch $(VENV)/.installed $@

$(VENV)/.installed-parity: setup.py | $(VENV)/bin/python
	$(call install,.[parity])
	touch $(VENV)/.installed $@

$(VENV)/.installed-lite: setup.py | $(VENV)/bin/python
	$(call install,.[lite])
	touch $(VENV)/.installed $@

bench: $(VENV)/.installed-lite
	for name in vcae_step gp_step sparse_step gp_exact synthesis prepare predict tflite; do \
	  $(BIN)/python benchmarks/$$name.py > benchmarks/results/$$name.partial && \
	  mv benchmarks/results/$$name.partial benchmarks/results/$$name.json || exit 1; \
	done

clean:
	rm -rf $(VENV) runs
