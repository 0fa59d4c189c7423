# `make help` lists the targets. R=no leaves R out, RPY2=no rpy2; PYTHON=... names another Python.
PYTHON ?= python3
R ?= yes
RPY2 ?= yes
BIN := .venv/bin
export PYTHON R RPY2
# Compiled modules are kept, whatever the machine's settings say: the tests start Python some hundred
# times, and each would compile the package again, for 0.3 s.
export PYTHONDONTWRITEBYTECODE :=

.DEFAULT_GOAL := help
.PHONY: help setup reference test coverage lint types wheel docs fresh bench faults fuzz benchmark exactness after \
  after-fuzz functions exports versions datasets golden schema clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | \
	  awk -F '\t' '{ printf "  make %-12s %s\n", $$1, $$2 }'

setup: ## what the others do first: .venv, R with lme4 (R=no leaves it out), the rpy2 that fits
	@sh scripts/setup.sh

reference: setup ## the main job: the reference suite on every engine, and what the documents print
	@$(BIN)/python reference/published/check.py

test: setup ## the tests
	@$(BIN)/python -m pytest -q -n auto $(ARGS)

# reached with R, rpy2 and the data sets that are not in the project (96 with the rivals installed)
COVERED = 94
coverage: setup ## the tests, and what of the code they run: at least COVERED %
	@$(BIN)/python -m pytest -q -n auto --cov --cov-report=term:skip-covered \
	  --cov-fail-under=$(COVERED) $(ARGS)

lint: setup ## ruff: style and format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: setup ## mypy (strict) and pyright
	@$(BIN)/mypy
	@$(BIN)/pyright

wheel: setup ## build the wheel and run the tests against it in an environment of its own
	@sh scripts/test_wheel.sh $(ARGS)

docs: setup ## build the documentation site into build/site; every page's code is run
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  'mkdocs-material>=9.5,<10' 'mkdocstrings[python]>=0.26'
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

fresh: ## the two commands in a bare Debian root (debootstrap, as root); SUITE=bookworm, trixie or sid
	@SUITE="$(SUITE)" ARGS="$(ARGS)" sh scripts/fresh.sh

bench: setup ## time the ways to R: first fit, what the bridge adds, the pool (needs R; minutes)
	@$(BIN)/python benchmarks/bridge.py $(ARGS)

faults: setup ## 1,000 fits from 8 threads while R is killed 20, then 200 times (needs R; minutes)
	@$(BIN)/python benchmarks/faults.py $(ARGS)

fuzz: setup ## hostile names, levels, formulas and values on every engine (minutes)
	@$(BIN)/python benchmarks/fuzz.py $(ARGS)

benchmark: setup ## time the engines on the same models (needs R; some minutes)
	@$(BIN)/python benchmarks/engines.py

exactness: setup ## how far the native engine is from polished lme4, model by model (no R needed)
	@$(BIN)/python benchmarks/exactness.py

after: setup ## time what comes after the fit against R (needs R; a minute)
	@$(BIN)/python -W ignore benchmarks/after_fit.py

after-fuzz: setup ## random models and questions after the fit, put to live R and to us (needs R; half an hour)
	@$(BIN)/python benchmarks/after_fuzz $(ARGS)

functions: setup ## docs/functions.md: what comes after the fit, compared with R's answers
	@$(BIN)/python -W ignore benchmarks/functions.py

exports: setup ## docs/exports.md: what R's packages export, and where it is here (needs R)
	@$(BIN)/python benchmarks/exports.py

versions: setup ## docs/versions.md: what versions of R and its packages changed, and what we do
	@$(BIN)/python scripts/versions_page.py

datasets: setup ## make the data sets again (needs R) and compare with what is here
	@$(BIN)/python datasets/make.py --check

golden: setup ## make the golden values again from R (LMERBRIDGE_DATA: folder with bounce.csv)
	@Rscript --vanilla reference/golden.R reference datasets "$$LMERBRIDGE_DATA"
	@Rscript --vanilla reference/further/models.R reference/further
	@Rscript --vanilla reference/golden.R reference/further
	@Rscript --vanilla reference/inference/inference.R
	@Rscript --vanilla tests/stored/model_matrices.R tests/stored

schema: setup ## write the JSON Schema of FitResult from the dataclasses
	@$(BIN)/python -m lmerbridge.result.write_schema

clean: ## remove .venv and everything that was built
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
