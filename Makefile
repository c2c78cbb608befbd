PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2  # processes that test side by side

CHOSEN ?= not slow

.PHONY: demo test test-all pytest lint clean

demo: $(VENV)/.ready  ## set everything up and open the app
	$(BIN)/python app.py

# Side by side: the tests leave processor time that checking types can use.
test: $(VENV)/.ready-dev  ## set everything up and pass the tests
	$(MAKE) --no-print-directory --jobs=2 lint pytest

pytest: $(VENV)/.ready-dev
	GRADIO_ANALYTICS_ENABLED=False OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m "$(CHOSEN)" --cov --cov-report=term tests

test-all: export CHOSEN =  ## the same with those that take long
test-all: test

lint: $(VENV)/.ready-dev
	rm -f demo/*.pyi  # Gradio writes these beside our components; a stale one misleads mypy
	$(BIN)/ruff check .
	$(BIN)/mypy

$(VENV)/.ready: requirements.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements.txt
	touch $@

$(VENV)/.ready-dev: requirements-dev.txt $(VENV)/.ready
	$(BIN)/python -m pip install --quiet --no-compile --requirement requirements-dev.txt
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .coverage htmlcov
