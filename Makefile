# make demo: clean the sample cloud.  make check: what is soon said.  make test: all checks.  Packages come from wherever pip looks.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --disable-pip-version-check
PYTEST_ARGS ?=
# Files of tests go to as many processes as there are cores, four at most; JOBS=0: all in one.
JOBS ?= auto
SPREAD := -n $(JOBS) --maxprocesses 4 --dist loadfile
PYTEST := -m pytest $(SPREAD)

.PHONY: demo test check house docs pictures man test-long test-numpy1 test-pdal test-copc test-s3 test-browser test-cloudcompare qgis-plugin test-qgis fuzz clean
.DELETE_ON_ERROR:

demo: $(VENV)/.installed
	@mkdir -p out
	$(BIN)/pipeline run sample_data/denoise.json --report out

test: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy stages pipeline plugins tests benchmarks docs
	@$(MAKE) --no-print-directory house
	$(BIN)/python $(PYTEST) $(PYTEST_ARGS)

# The tests that take a minute or more and try more of what shorter ones try: many tilings, many interrupts, large files.
test-long: $(VENV)/.installed-dev
	$(BIN)/python $(PYTEST) -m long $(PYTEST_ARGS)

# What is soon said: style, types, imports, and the tests of the core.
check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy stages pipeline plugins tests benchmarks docs
	@$(MAKE) --no-print-directory house
	$(BIN)/python $(PYTEST) -m "not slow and not long and not alldata" tests/core tests/show tests/test_house.py tests/test_imports.py \
		tests/pipeline/test_spec.py tests/pipeline/test_plan.py tests/test_contract.py $(PYTEST_ARGS)

# Who may import whom. The source roots are merged as they are where deburr is installed: import-linter wants one package.
house: $(VENV)/.installed-dev
	@rm -rf build/house && mkdir -p build/house && cp -r stages/deburr pipeline/deburr plugins/deburr build/house/
	@PYTHONPATH=build/house $(BIN)/lint-imports --no-cache

# The quick tests of what computes on arrays once more on the oldest numpy that is supported, in an environment of its own.
# What stands above them (pipeline, tiles) runs on that numpy in test-pdal.
ON_OLD_NUMPY := core nn formats readers filters writers plugins batch/test_batch.py
test-numpy1: .venv-numpy1/.installed
	.venv-numpy1/bin/python $(PYTEST) -m "not slow and not long and not alldata" $(ON_OLD_NUMPY:%=tests/%) $(PYTEST_ARGS)

# The tests on real PDAL, Debian 11's, which is fetched once into .pdal; skipped, loudly, where it is not to be had.
test-pdal: .venv-numpy1/.installed
	tests/pdal/run.sh "$(PYTHON)" .venv-numpy1 $(SPREAD) $(PYTEST_ARGS)

# Files in S3, which moto stands in for; skipped, loudly, where it is not to be had. In an environment of its own, which
# finds the rest in ours: botocore wants older packages than others do, and pip is long in finding versions that agree.
S3 = s3fs==2026.9.0 aiobotocore==3.10.0 boto3==1.43.117 moto[s3]==5.2.5 flask flask-cors
test-s3: $(VENV)/.installed-dev
	@$(BIN)/python -m venv .venv-s3 && .venv-s3/bin/python -m pip install -q --disable-pip-version-check $(S3) || \
		echo "## SKIPPED: moto or s3fs is not to be had here; nothing was read from S3. ##" >&2
	@$(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))' \
		> "$$(.venv-s3/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/zz_ours.pth"
	PYTHONPATH=stages:pipeline:plugins .venv-s3/bin/python -m pytest -q -rs tests/core/test_web_s3.py $(PYTEST_ARGS) || \
		test $$? -eq 5  # all were skipped

# What writers.copc writes, read by the package copc of npm; skipped, loudly, where npm is not to be had.
test-copc: $(VENV)/.installed-dev
	@mkdir -p build/npm && npm install --silent --no-fund --prefix build/npm copc@0.0.8 || \
		echo "## SKIPPED: npm, or its package copc, is not to be had here; nothing was read by it. ##" >&2
	DEBURR_COPC_NPM=$$(realpath build/npm/node_modules 2> /dev/null) $(BIN)/python -m pytest -q -rs tests/writers/test_copc.py \
		-k npm $(PYTEST_ARGS)

# The page in Chromium, which root's apt brings where it is missing; skipped, loudly, where it is not to be had.
test-browser: $(VENV)/.installed-dev
	tests/browser/run.sh $(BIN)/python $(PYTEST_ARGS)

# The tests on real CloudCompare, which root's apt brings where it is missing; skipped, loudly, where it is not to be had.
test-cloudcompare: $(VENV)/.installed-dev
	tests/cloudcompare/run.sh $(BIN)/python $(PYTEST_ARGS)

# The plugin of QGIS as QGIS installs it.
qgis-plugin: $(VENV)/.installed
	$(BIN)/python -m deburr.plugins.qgis_zip build/deburr_qgis.zip

# The plugin in real QGIS, which root's apt brings where it is missing (1.8 GB); skipped, loudly, where it is not to be had.
test-qgis: $(VENV)/.installed-dev
	tests/qgis/run.sh $(BIN)/python $(PYTEST_ARGS)

# The documentation as a site in build/docs/html, without a warning, its links and its notebook tested.
docs: .venv-docs/.installed
	rm -rf build/docs
	.venv-docs/bin/python -m sphinx -W --keep-going -q -d build/docs/read docs build/docs/html
	DEBURR_REQUIRE_DOCS=1 .venv-docs/bin/python -m pytest tests/docs $(PYTEST_ARGS)

# The manual page, from the commands' help.
man: $(VENV)/.installed-dev
	$(BIN)/python docs/manual.py

# The pictures of the documentation, drawn anew in Chromium.
pictures: $(VENV)/.installed-dev docs
	PYTHONPATH=tests/support $(BIN)/python docs/pictures.py
	$(BIN)/python docs/failures.py
	$(BIN)/python docs/even.py
	$(BIN)/python docs/energies.py
	$(BIN)/python docs/diffusion.py
	$(BIN)/python docs/chains.py
	$(BIN)/python docs/new_points.py

# Every door through which foreign text and files enter, with 100,000 damaged inputs each; hours.
fuzz: $(VENV)/.installed-dev
	DEBURR_FUZZ=$${DEBURR_FUZZ:-100000} $(BIN)/python -m pytest tests/fuzz $(PYTEST_ARGS)

clean:
	rm -rf $(VENV) .venv-numpy1 .venv-docs .pdal out build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say what is installed; they are older than the files that decide it when those have changed.
$(VENV)/.installed: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.created pyproject.toml constraints.txt
	$(PIP) -c constraints.txt -e '.[dev]'
	@touch $@ $(VENV)/.installed

.venv-numpy1/.installed: $(VENV)/.created pyproject.toml constraints.txt
	"$(PYTHON)" -m venv .venv-numpy1
	.venv-numpy1/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[dev]' 'numpy==1.26.*'
	@touch $@

.venv-docs/.installed: $(VENV)/.created pyproject.toml constraints.txt
	"$(PYTHON)" -m venv .venv-docs
	.venv-docs/bin/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[docs]'
	@touch $@

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is missing; on Debian: apt install python3.11 python3.11-venv" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is older than Python 3.11; install 3.11 and name it: make PYTHON=python3.11" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2> /dev/null || \
		{ echo "$(PYTHON) cannot make virtual environments; on Debian: apt install python3.11-venv" >&2; exit 1; }
	"$(PYTHON)" -m venv $(VENV)
	@touch $@
