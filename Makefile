# Every target works on a fresh clone: it makes .venv and installs what it needs; a second call is quick.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

export OMP_NUM_THREADS ?= 1
export MPLBACKEND = Agg

.PHONY: api container demo test lint bench fuzz networks series homeassistant soak clean install bare docs blocks device oldest release sbom screenshots

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[all,dev]'
	touch $@

demo: $(STAMP)
	$(BIN)/fsq-edge demo

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The device install, of the whole wheel and of the device's: in an environment of its own, without torch or onnx.
bare: $(STAMP)
	$(BIN)/python -m tests.programs.write_bare_bundle build/bare
	test -x $(VENV)-bare/bin/python || $(PYTHON) -m venv $(VENV)-bare
	$(VENV)-bare/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt .
	cd build/bare && ../../$(VENV)-bare/bin/python ../../tests/programs/bare_install.py .
	$(BIN)/python -m tests.programs.make_device_wheel build/bare
	$(VENV)-bare/bin/python -m pip install --quiet --disable-pip-version-check --no-deps build/bare/*+device-*.whl
	cd build/bare && ../../$(VENV)-bare/bin/python ../../tests/programs/bare_install.py .

# The documentation site in build/site, to be opened from disk; a warning is an error.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet

$(VENV)/.docs: $(STAMP) pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@

# The installs of a Raspberry Pi, resolved and unpacked; SHORT=1 takes Bookworm alone. Needs the package index.
device: $(STAMP)
	$(BIN)/python -m tests.programs.device_install $(if $(SHORT),--short)

# The runtime's tests on the lowest versions that pyproject.toml names, in an environment of its own.
oldest: $(STAMP)
	test -x $(VENV)-oldest/bin/python || $(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --disable-pip-version-check -c tests/environments/oldest.txt '.[sign]' 'onnx<1.18' pytest pytest-timeout hypothesis
	$(VENV)-oldest/bin/python tests/programs/oldest_versions.py

# Wheel and sdist: the same bytes twice, the right files, metadata that an index takes.
release: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[release]'
	$(BIN)/python -m tests.programs.release

# What of the public interface REF had and this tree breaks: against the record of the last release, or any tag or commit.
api: $(VENV)/.docs
	$(BIN)/python -m pytest -q tests/unit/test_public_names.py
	$(if $(REF),$(BIN)/python -m tests.programs.api_changes $(REF))

# SBOM (CycloneDX) and licences of the device install and of the workstation install, in build/sbom.
sbom: bare
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[release]'
	$(BIN)/python -m tests.programs.bill_of_materials $(VENV)-bare/bin/python device build/sbom
	$(BIN)/python -m tests.programs.bill_of_materials $(BIN)/python workstation build/sbom

# The images, by the builder that is there; BASE=IMAGE takes another base, such as one of debootstrap without a registry.
BUILDER ?= $(firstword $(foreach name,buildah podman docker,$(if $(shell command -v $(name)),$(name))))
IMAGES  ?= device workstation
container:
	test -n "$(BUILDER)" || { echo "no container builder (Debian: buildah)"; exit 1; }
	for image in $(IMAGES); do \
	  $(BUILDER) build $(BUILD_OPTIONS) $(if $(BASE),--build-arg BASE=$(BASE)) -f containers/$$image.Containerfile \
	    -t fsq-edge:$$image . || exit 1; \
	done

# Every shell and Python block of the pages.
blocks: $(STAMP)
	$(BIN)/python -m pytest -q tests/blocks

# Every suite, or SUITE="peers hef"; QUICK=1 only shows that they run. Then the table of docs/benchmarks.md.
bench: $(STAMP)
	$(BIN)/python -m fsq_edge_benchmarks.suites.runner $(if $(QUICK),--quick) $(SUITE); code=$$?; \
	$(if $(QUICK),true,$(BIN)/python -m fsq_edge_benchmarks.suites.table) || code=1; exit $$code

# Long runs of what the tests do briefly.
fuzz: $(STAMP)
	$(BIN)/python -m tests.programs.hef_mutants --count 20000
	$(BIN)/python -m tests.programs.onnx_mutants --count 5000 --bombs
	$(BIN)/python -m tests.programs.onnx_mutants --backend
	$(BIN)/python -m tests.programs.bundle_mutants --count 5000
	$(BIN)/python -m tests.programs.recording_mutants --count 5000
	$(BIN)/python -m tests.programs.import_mutants --count 5000

# Whole networks, as every exporter writes them, through the checker: our own, then those of other people's packages.
# The packages need 10 GB in environments of their own; the exports are kept in build/networks. All of it takes hours on
# two cores: NETWORKS="yolov8 openclip" takes those whose name or family begins so, none of our own, and writes no page.
networks: $(STAMP) build/networks-torch/.installed build/networks-keras/.installed
	$(if $(NETWORKS),,$(BIN)/python -m tests.programs.network_survey)
	build/networks-torch/bin/python -m tests.survey.exporting build/networks $(NETWORKS)
	build/networks-keras/bin/python -m tests.survey.keras_exporting build/networks $(NETWORKS)
	$(BIN)/python -m tests.survey.refusals; code=$$?; \
	$(BIN)/python -m tests.survey.judging build/networks $(NETWORKS) --json build/networks.json || code=1; \
	$(if $(NETWORKS),true,$(BIN)/python -m tests.survey.page build/networks.json docs/networks.md) || code=1; exit $$code

# Time-series networks of public papers in every spelling: verdicts before and after check --fix.
series: $(STAMP)
	$(BIN)/python -m tests.programs.series_survey --write

build/networks-torch/.installed: tests/survey/environments/torch.txt tests/survey/environments/torch-bare.txt
	test -x build/networks-torch/bin/python || $(PYTHON) -m venv build/networks-torch
	build/networks-torch/bin/python -m pip install --quiet --disable-pip-version-check -r tests/survey/environments/torch.txt
	build/networks-torch/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -r tests/survey/environments/torch-bare.txt
	touch $@

build/networks-keras/.installed: tests/survey/environments/keras.txt
	test -x build/networks-keras/bin/python || $(PYTHON) -m venv build/networks-keras
	build/networks-keras/bin/python -m pip install --quiet --disable-pip-version-check -r tests/survey/environments/keras.txt
	touch $@

# A real Home Assistant, in an environment of its own, behind a real Mosquitto.
HASS_PYTHON ?= python3.13
homeassistant: $(STAMP) build/homeassistant/.installed
	FSQ_EDGE_HASS=$(CURDIR)/build/homeassistant/bin/hass $(BIN)/python -m pytest -q tests/integration/test_home_assistant_real.py

build/homeassistant/.installed: tests/environments/homeassistant.txt
	test -x build/homeassistant/bin/python || $(HASS_PYTHON) -m venv build/homeassistant
	build/homeassistant/bin/python -m pip install --quiet --disable-pip-version-check -r tests/environments/homeassistant.txt
	touch $@

# A day of one sensor at 100 Hz, at full speed.
soak: $(STAMP)
	$(BIN)/python -m fsq_edge_benchmarks.suites.soak

# Pictures of the live page and of the reports, from the demo's folder; needs chromium and chromium-driver.
screenshots: $(STAMP)
	test -f build/demo/watch.fsqb || $(BIN)/fsq-edge demo
	$(BIN)/python -m tests.programs.screenshots build/demo docs/images

clean:
	rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
