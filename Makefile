# The verbs of the project. `make demo` and `make test` set everything up by themselves.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CORES ?= all
SOAK_MINUTES ?= 60
SOAK_SEED ?= 0
export PATH := $(CURDIR)/$(BIN):$(PATH)

.DEFAULT_GOAL := help
.PHONY: help setup setup-train check test demo test-demo test-real test-slurm soak audit bench bench-gpu calibrate study study-full docs lock

help:  ## show the verbs
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup: $(VENV)/.core  ## install the library and its tools, without torch, into .venv

setup-train: $(VENV)/.train  ## the same with torch, for encoders and the demo

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Phenoprints needs Python 3.11 or newer; got $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.core: pyproject.toml envs/lock.txt | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint envs/lock.txt --editable '.[test,check]'
	@# A reference of the tests, without its dependencies, which are not needed and large.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint envs/lock.txt --no-deps efaar_benchmarking
	@touch $@

$(VENV)/.train: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint envs/lock.txt --editable '.[train,test-train]'
	@touch $@

check: $(VENV)/.core  ## style, types, workflow lint and the one direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check --quiet .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

test: $(VENV)/.train check  ## check, then the default tests
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses=2 --dist=loadgroup -m "not slow and not slurm"

demo: $(VENV)/.train  ## the whole journey on a simulated screen; ends with the path of the report
	$(BIN)/snakemake --cores $(CORES) --quiet rules host -- all

test-demo: $(VENV)/.train  ## hold a finished demo against the truth of its screen
	$(BIN)/pytest tests/demo

test-real: $(VENV)/.train  ## a real plate end to end with an encoder trained on it, within 15 minutes (PHENOPRINTS_TEST_DATA)
	OMP_NUM_THREADS=1 $(BIN)/pytest tests/real -m slow

test-slurm: $(VENV)/.train  ## a small run on a real Slurm of two nodes on this machine (root, slurm-wlm, munge)
	@tests/slurm/cluster.sh missing
	tests/slurm/cluster.sh start
	$(BIN)/pytest tests/slurm -m slurm --numprocesses=3; code=$$?; tests/slurm/cluster.sh stop; exit $$code

soak: $(VENV)/.train  ## random kills, damage, double runs and fuzzing (SOAK_MINUTES=60 SOAK_SEED=0)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check atheris 2>/dev/null \
	  || echo "atheris does not install here: no random input will be guided by coverage"
	$(BIN)/python tests/faults/soak.py --minutes $(SOAK_MINUTES) --seed $(SOAK_SEED)

audit: $(VENV)/.core  ## locked dependencies against what is installed and against advisories
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint envs/lock.txt pip-audit
	$(BIN)/python envs/audit.py

bench: $(VENV)/.train  ## speed and memory against peers, in one run: results/bench/summary.json
	$(BIN)/python -m benchmarks.run

bench-gpu: $(VENV)/.train  ## training and inference on this machine's card: results/bench/gpu.json
	$(BIN)/python benchmarks/gpu.py

calibrate: $(VENV)/.train  ## false-phenoprint rates over many designs (FULL=1 takes a night): results/bench/calibration.tsv
	$(BIN)/python -m benchmarks.calibrate $(if $(FULL),--full)

study: $(VENV)/.train  ## does curation make a better encoder? three arms, five seeds, some 30 minutes on two quiet cores
	$(BIN)/snakemake --cores $(CORES) --quiet rules host --configfile config/study.yaml -- study
	@echo results/study/studies/curation/index.html

study-full: $(VENV)/.train  ## further arms, the paper's ratio of crops, twelve blocks: a night
	$(BIN)/snakemake --cores $(CORES) --quiet rules host --configfile config/study-full.yaml -- study
	@ls results/study-full/studies/*/index.html

docs: $(VENV)/.docs  ## the documentation as pages: docs/_build/html/index.html
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs docs/_build/html

$(VENV)/.docs: $(VENV)/.core
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint envs/lock.txt --editable '.[docs]'
	@touch $@

lock: setup-train  ## write the exact versions that are installed to envs/lock.txt
	$(BIN)/python -m pip freeze --exclude-editable | grep -v ' @ ' > envs/lock.txt
	$(BIN)/python envs/write.py
