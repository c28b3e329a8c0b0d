# Everything from a fresh clone with Python 3.11+, pip and make. On Windows without make: see README.md.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PIP := $(BIN)/python -m pip --disable-pip-version-check

.PHONY: run test lint bench samples docs pictures bundle clean

run: $(VENV)/installed
	$(BIN)/hunt run samples/logs

test: lint
	$(BIN)/python -m pytest -n auto --dist loadfile

lint: $(VENV)/installed-tests
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python tests/typecheck.py

bench: $(VENV)/installed-tests
	$(BIN)/python tests/bench/run.py

samples: $(VENV)/installed-tests
	$(BIN)/python -m samples.build

docs: $(VENV)/installed
	$(BIN)/python contrib/docs.py

# docs/terminal.svg and docs/report.png, out of a sample.
pictures: $(VENV)/installed-tests
	$(BIN)/python -m contrib.pictures

# For laptops without network: dist/evtx-hunt-SYSTEM-pyVERSION.zip; see contrib/bundle.py for one system or version.
bundle: $(VENV)/installed
	$(BIN)/python contrib/bundle.py

# requirements.lock pins every version, for both.
$(VENV)/installed: pyproject.toml requirements.lock setup.py $(wildcard hunt/kernels/*)
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint requirements.lock --editable .
	$(BIN)/python -m compileall -q hunt parsers queries
	$(BIN)/python -c "open('$@', 'w').close()"

$(VENV)/installed-tests: $(VENV)/installed
	$(PIP) install --quiet --constraint requirements.lock --editable ".[test]"
	$(BIN)/python -c "open('$@', 'w').close()"

clean:
	$(PYTHON) -c "import shutil; shutil.rmtree('$(VENV)', ignore_errors=True)"
