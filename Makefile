# Two commands are enough: `make book` and `make test`.  Each sets up everything it needs in $(VENV).

VENV      ?= .venv
PYTHON    ?= python3
PIP_EXTRA ?=

NOTEBOOKS := $(sort $(wildcard notebooks/*.ipynb))
READY     := $(VENV)/.ready
BIN       := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help book slides pdf worksheet test test-old test-lowest lint notebooks reproduce full claims sample gallery bench clean

help:  ## Say what can be made
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:.*## /\t/' | expand -t 14
	@echo
	@echo "Variables: VENV (the environment's folder), PYTHON (3.11 or newer, to create it),"
	@echo "PIP_EXTRA (options for pip install, for example another package index; see README.md)"

book: $(READY)  ## Build the book from the committed outputs; warnings are errors
	rm -rf _build/html _build/.doctrees  # else a page that is not read again keeps its dead links, and no warning is given
	$(BIN)/jupyter-book build . -W -n --keep-going
	@echo "Open $(CURDIR)/_build/html/index.html"

slides: $(READY)  ## Make slides of the chapters of part one, which open offline; into _build/slides
	rm -rf _build/slides
	$(BIN)/python -m book.printed.slides _build/slides

pdf: book  ## Print part one to _build/part-one.pdf, and the worksheet and its key beside it; wants Chromium
	$(BIN)/python -m book.printed.pages _build/html _build

worksheet: $(READY)  ## Draw the worksheet and its key again; writes book/static/worksheet*.html
	$(BIN)/python -m book.printed.worksheet book/static

test: $(READY)  ## Run every test: units, properties, notebooks (nbval), the built book
	$(BIN)/python -m pytest -n 2 --dist loadfile  # two at once, each file by one of them

test-old: $(READY)  ## Run the notebooks once more, as on a processor from before AVX
	$(BIN)/python -m pytest --old-machine tests/test_notebooks.py

test-lowest:  ## Test the package on the lowest versions that pyproject.toml allows, in an environment of its own
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -c 'import tomllib; \
	  lowest = tomllib.load(open("pyproject.toml", "rb"))["project"]["dependencies"]; \
	  print("\n".join(name.replace(">=", "==") for name in lowest))' > $(VENV)-lowest/lowest.txt
	$(VENV)-lowest/bin/python -m pip install --disable-pip-version-check $(PIP_EXTRA) \
	  -r $(VENV)-lowest/lowest.txt hypothesis nbformat pytest scipy
	$(VENV)-lowest/bin/python -m pytest tests/test_angles.py tests/test_errors.py tests/test_rows.py tests/test_specs.py \
	  tests/test_store.py tests/films tests/films_1 tests/learning tests/experiment

lint: $(READY)  ## Check style and types: ruff, mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

notebooks: $(READY)  ## Execute the notebooks in order and store their outputs
	$(BIN)/python notebooks/execute.py $(NOTEBOOKS)

reproduce: $(READY)  ## Run the paper's experiment, size fast
	$(BIN)/python -m lumbo reproduce --size fast

full: $(READY)  ## Run the paper's experiment, all seeds: hours; stop and go on as you like
	$(BIN)/python -m lumbo reproduce --size full

claims: $(READY)  ## Judge the paper's claims by the stored full run; writes book/claims.md
	$(BIN)/python -m lumbo claims

sample: $(READY)  ## Draw the films of data_synth/sample again
	rm -rf data_synth/sample
	$(BIN)/python -m lumbo films --n 3 --out data_synth/sample

gallery: $(READY)  ## Draw the gallery of factors again; writes book/gallery.md and its pictures
	$(BIN)/python benchmarks/gallery.py

bench: $(READY)  ## Measure where the time goes, beside other engines; half an hour
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/peers.py
	$(BIN)/python benchmarks/engines.py
	$(BIN)/python benchmarks/engines/growth.py

clean:  ## Remove what was built; keep the environment
	rm -rf _build build dist *.egg-info .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

# The stamp is the last step, so an interrupted set-up is taken up again.
$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	  "Python 3.11 or newer is needed; name one with make PYTHON=...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check $(PIP_EXTRA) -r requirements.txt
	$(BIN)/python -m pip install --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@
