# On a fresh machine `make demo` needs nothing but Python 3.11-3.13 with venv: it makes .venv, installs the
# package into it, and draws the likelihood landscapes of experiments/demo/model.toml into demo-output/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
DEVELOP := $(VENV)/.installed-dev
BENCH := $(VENV)/.installed-bench
DEMO := experiments/demo/model.toml
DEMO_OUT := demo-output
DEMO_PARAMETERS := --slice 'prior.means[1]' --slice 'prior.means[0]' --slice 'decoder.weights[0][1,0]' \
	--plane 'prior.means[0],prior.means[1]'

.PHONY: demo test test-slow test-torch test-estimators lint types imports bench figures results maximum-likelihood maximum-likelihood-fine \
	sample-complexity alignment ledger estimators clean

demo: $(INSTALLED)
	$(BIN)/ident-theory landscape $(DEMO) $(DEMO_PARAMETERS) --out $(DEMO_OUT) --no-resume
	@echo "Figures (PNG) and results (netCDF) are in $(DEMO_OUT)/"

test: $(DEVELOP)
	$(BIN)/pytest -m "not slow" -n auto

test-slow: $(DEVELOP)
	$(BIN)/pytest -m slow

# What `make test` skips where torch is not installed.
test-torch: $(BENCH)
	$(BIN)/pytest -k torch tests/unit/test_mixture_kernels.py tests/unit/test_search_store.py tests/oracle/test_search.py
	$(BIN)/pytest tests/unit/test_bridge.py

# `make test` has these too where torch is installed.
test-estimators: $(BENCH)
	$(BIN)/pytest -m "not slow" -n auto $(wildcard tests/*/test_estimator*.py) tests/properties/test_couplings.py \
		tests/cli/test_train_cli.py

lint: $(DEVELOP)
	$(BIN)/ruff check .

types: $(DEVELOP)
	$(BIN)/mypy

imports: $(DEVELOP)
	$(BIN)/lint-imports

# The benchmarks compare with torch, which only `--device` needs besides.
bench: $(BENCH)
	$(BIN)/pytest experiments/benchmarks/bench_law.py experiments/benchmarks/bench_search.py \
		experiments/benchmarks/bench_check.py experiments/benchmarks/bench_equality.py \
		experiments/benchmarks/bench_metrics.py experiments/benchmarks/bench_affine.py \
		experiments/benchmarks/bench_train.py --benchmark-columns=min

# Figures are drawn from stored results; `results` is what makes those.
figures: $(INSTALLED)
	$(BIN)/python figures/landscape_slices.py
	$(BIN)/python figures/maximum_likelihood.py
	$(BIN)/python figures/sample_complexity.py
	$(BIN)/python figures/decoder_checks.py
	$(BIN)/python figures/equal_laws.py
	$(BIN)/python figures/aligned_latents.py
	$(BIN)/python figures/ledger.py
	$(BIN)/python figures/estimators.py

results: $(INSTALLED)
	$(BIN)/ident-theory landscape $(DEMO) $(DEMO_PARAMETERS) --out experiments/demo/results --no-resume
	rm -f experiments/demo/results/*.png

# The searches of experiments/: minutes on two cores; what takes long resumes.
maximum-likelihood: $(INSTALLED)
	$(BIN)/python experiments/maximum_likelihood/run.py share
	$(BIN)/python experiments/maximum_likelihood/run.py coarse
	$(BIN)/python experiments/maximum_likelihood/run.py slices
	$(BIN)/python figures/maximum_likelihood.py

maximum-likelihood-fine: $(INSTALLED)
	$(BIN)/python experiments/maximum_likelihood/run.py fine

sample-complexity: $(INSTALLED)
	$(BIN)/python experiments/sample_complexity/run.py
	$(BIN)/python figures/sample_complexity.py

alignment: $(INSTALLED)
	$(BIN)/python experiments/alignment/run.py
	$(BIN)/python figures/aligned_latents.py

ledger: $(INSTALLED)
	$(BIN)/python experiments/ledger/run.py
	$(BIN)/python figures/ledger.py

# Trainings; about 13 minutes of one core, resumable.
estimators: $(BENCH)
	$(BIN)/python experiments/estimators/run.py
	$(BIN)/python figures/estimators.py

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit(None if (3, 11) <= sys.version_info < (3, 14) else "Python 3.11 to 3.13 is needed, PYTHON=$(PYTHON) is " + sys.version)'
	$(PYTHON) -m venv $(VENV)

$(INSTALLED): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(DEVELOP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@ $(INSTALLED)

$(BENCH): pyproject.toml constraints.txt $(DEVELOP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev,train,flows]'
	@touch $@

clean:
	rm -rf $(VENV) $(DEMO_OUT) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
