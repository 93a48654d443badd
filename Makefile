# Two commands matter: `make demo` and `make test`. Both build .venv on first use; `make help` lists the rest.

# The interpreter that .venv is made from; `make demo PYTHON=/path/to/python3.12` chooses another.
PYTHON ?=
VENV   ?= .venv
JOBS   ?= 2
DEMO   ?= runs/demo

# Each study in results/ is the shipped scenario of its name; `make results STUDY=name` runs one.
STUDIES := related_unrelated low_resource_images low_resource_text unseen_images unseen_text \
           adding_unrelated_images adding_unrelated_text capacity relatedness_dial \
           ablation_images ablation_text \
           ctrl_minus ctrl_plus ctrl_in ctrl_out ctrl_plastic trust_split_mnist \
           trust_split_mnist_si trust_permuted_mnist
STUDY   ?= $(STUDIES)

# Each benchmark is a module benchmarks/NAME.py; `make bench BENCH=name` runs one.
NO_BENCH := benchmarks/_%.py benchmarks/measuring.py benchmarks/cost_model.py benchmarks/mutation.py
BENCHES := $(patsubst benchmarks/%.py,%,$(filter-out $(NO_BENCH),$(wildcard benchmarks/*.py)))
BENCH   ?= $(BENCHES)

CANDIDATES := $(or $(PYTHON),python3 python3.13 python3.12 python3.11 python3.10 python)

BIN  := $(VENV)/bin
DONE := $(VENV)/.done

# A step that passed is not run again until a file it reads, or the data folder, changes.
SOURCES := $(shell find cl_moe tests benchmarks examples scenarios notebooks README.md Makefile pyproject.toml \
                   -type f -not -path '*/__pycache__/*' -not -path '*/.ipynb_checkpoints/*' 2>/dev/null) $(wildcard results/*.py)

say = printf '\n\033[1m== %s\033[0m\n'

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo results claims bench reliability test test-all retest install format notebooks style types imports clean FORCE

help: ## list the targets
	@echo "make TARGET, where TARGET is one of"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' Makefile | expand -t 14

demo: $(DONE)/install ## install, run the built-in study, print its table and where its figures are
	@$(say) "running the built-in study demo (a minute on two cores; nothing is downloaded; whole runs are not run again)"
	@$(BIN)/cl-moe run demo --jobs $(JOBS) --out $(DEMO)
	@$(say) "done"
	@echo "to read:       open $(DEMO)/report.html (figures: $(DEMO)/figures/)"
	@echo "the command:   $(BIN)/cl-moe --help, or: source $(BIN)/activate, and then cl-moe"
	@echo "to go on:      $(BIN)/cl-moe list scenarios, and README.md"

results: $(DONE)/text ## run the studies of results/ again on real data (hours; STUDY=name runs one)
	@test -n "$(CL_MOE_DATA_DIR)" || { echo "the studies run on real data:" \
	    "set CL_MOE_DATA_DIR to a folder that holds them (see results/README.md)" >&2; exit 1; }
	@for study in $(STUDY); do \
	    $(say) "$$study: into runs/results/$$study (whole runs are not run again), then results/$$study"; \
	    $(BIN)/cl-moe run $$study --jobs $(JOBS) --no-figures --out runs/results/$$study && \
	    $(BIN)/cl-moe export runs/results/$$study results/$$study \
	        --command "make results STUDY=$$study" || exit 1; \
	done
	@$(MAKE) --no-print-directory claims

claims: $(DONE)/install ## print what results/ has measured of what is claimed; write claims.md, headline.md, kinds.md and the README's sentences
	@$(BIN)/python results/claims.py
	@$(BIN)/python results/headline.py

bench: $(DONE)/bench ## take every benchmark again, side by side (BENCH=name takes one); write results/benchmarks
	@for bench in $(BENCH); do \
	    $(say) "$$bench: into results/benchmarks/$$bench.md"; \
	    OMP_NUM_THREADS=1 $(BIN)/python -m benchmarks.$$bench || exit 1; \
	done

reliability: $(DONE)/dev ## count what hostile input, kills, damage and full disks end in; write results/reliability.md (half an hour)
	@OMP_NUM_THREADS=1 CL_MOE_FAST=1 $(BIN)/python -W ignore -m benchmarks.reliability

test: $(DONE)/style $(DONE)/types $(DONE)/imports $(DONE)/tests ## run every check
	@echo "every check has passed on these files (\`make retest\` runs them all again)"

retest: ## forget what has passed, then run every check
	@rm -f $(addprefix $(DONE)/,style types imports tests)
	@$(MAKE) --no-print-directory test

test-all: $(DONE)/style $(DONE)/types $(DONE)/imports ## run every check, and the slow tests too
	@$(say) "tests, slow ones too"
	@$(PYTEST)

install: $(DONE)/install ## make .venv and install cl_moe into it

format: $(DONE)/dev ## let ruff set the code right
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

notebooks: $(DONE)/dev ## run the notebooks at full size and keep what they print
	@OMP_NUM_THREADS=1 PYTHONWARNINGS=ignore $(BIN)/jupyter execute --inplace notebooks/*.ipynb

style: $(DONE)/style ## ruff: rules and format
types: $(DONE)/types ## mypy
imports: $(DONE)/imports ## import-linter: who may import whom

clean: ## remove .venv, caches and the demo's results
	rm -rf $(VENV) $(DEMO) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the environment ---------------------------------------------------------------------------

$(BIN)/python:
	@python=""; \
	for candidate in $(CANDIDATES); do \
	    if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null; then \
	        python="$$candidate"; break; \
	    fi; \
	done; \
	if [ -z "$$python" ]; then \
	    echo "cl_moe needs Python 3.10 or newer, and found none (tried $(CANDIDATES));" \
	         "install one, or name it: make demo PYTHON=/path/to/python3" >&2; exit 1; \
	fi; \
	$(say) "making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV) || { rm -rf $(VENV); \
	    echo "this Python cannot make a virtual environment; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }

$(DONE)/install: pyproject.toml | $(BIN)/python
	@mkdir -p $(DONE)
	@$(say) "installing cl_moe and what it stands on (the first time takes minutes: PyTorch is large)"
	@$(BIN)/python -m pip install --disable-pip-version-check -e .
	@touch $@

$(DONE)/dev: pyproject.toml | $(BIN)/python
	@mkdir -p $(DONE)
	@$(say) "installing cl_moe, what it stands on, and the tools of the checks (the first time takes minutes)"
	@$(BIN)/python -m pip install --disable-pip-version-check -e '.[dev]'
	@touch $(DONE)/install $@

$(DONE)/text: pyproject.toml | $(DONE)/install
	@$(say) "installing the sentence embeddings that the studies of texts need"
	@$(BIN)/python -m pip install --disable-pip-version-check -e '.[text]'
	@touch $@

$(DONE)/bench: pyproject.toml | $(DONE)/install
	@$(say) "installing what the benchmarks compare with"
	@$(BIN)/python -m pip install --disable-pip-version-check -e '.[bench]'
	@touch $@

# --- the checks --------------------------------------------------------------------------------

# One process a core, one torch thread a process: more only get in each other's way.
PYTEST = OMP_NUM_THREADS=1 CL_MOE_FAST=1 $(BIN)/python -m pytest -q -n $(JOBS) --nbmake tests cl_moe benchmarks notebooks

$(DONE)/style: $(DONE)/dev $(SOURCES)
	@$(say) "style: ruff"
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@touch $@

$(DONE)/types: $(DONE)/dev $(SOURCES)
	@$(say) "types: mypy, strict"
	@$(BIN)/mypy
	@touch $@

$(DONE)/imports: $(DONE)/dev $(SOURCES)
	@$(say) "who imports whom: import-linter"
	@$(BIN)/lint-imports
	@touch $@

$(DONE)/tests: $(DONE)/dev $(DONE)/data $(SOURCES)
	@$(say) "tests, doctests, the README, every scenario and method at tiny size, and the notebooks"
	@$(PYTEST) -m 'not slow'
	@touch $@

# Holds the data folder's name, and is renewed only when that changes.
$(DONE)/data: FORCE | $(DONE)/dev
	@echo "$(CL_MOE_DATA_DIR)" | cmp -s - $@ || echo "$(CL_MOE_DATA_DIR)" > $@
