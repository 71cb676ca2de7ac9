# make train       trains a policy: make train ENV=RepeatPreviousEasy SEED=1 FLAGS="--num_envs=32"
# make test        runs the fast tests on JAX, a few on TensorFlow, then the linter
# make test-all    runs all other tests on JAX and TensorFlow
# make test-torch  runs the tests on torch
# make lint        runs the linter alone
# make docs        builds the documentation into site/
#
# Each first makes .venv with what it needs (for torch .venv-torch), once; PYTHON=... names the
# Python to make it with.

SHELL := /bin/sh
comma := ,
VENV := .venv
VENV_PYTHON = $(VENV)/bin/python
PRESET := launch/presets/repeat_previous_hard.flags
# Two at a time, a file each: most of a test is compiling, which keeps one core busy.
PYTEST = $(VENV_PYTHON) -m pytest --numprocesses=2 --dist=loadfile
# Most of the time of a test is compiling. XLA's older way to fuse compiles a program in two thirds
# of the time, and without optimizations it is another third less; such programs run slower. A
# version that does not know the flag ends the process (jaxlib 0.12 does not), so it is tried first.
# What does not begin with a flag, were it a space, XLA takes for the name of a file.
FUSES_BEFORE := --xla_cpu_use_fusion_emitters=false
KNOWN = $$(XLA_FLAGS=$(FUSES_BEFORE) $(VENV_PYTHON) -c 'import jax; jax.devices()' 2>/dev/null \
	&& echo $(FUSES_BEFORE))
GIVEN := $${XLA_FLAGS:+$$XLA_FLAGS }
COMPILED_FAST = XLA_FLAGS="$(GIVEN)--xla_backend_optimization_level=0 $(KNOWN)"
# The markers are explained in pyproject.toml.
REST := slow or reference or devices
FEW := (portable and not slow)
# What every backend computes; other tests are of files and commands, and run on JAX alone.
SHARED_TESTS := $(wildcard tests/backend tests/random_test.py tests/upstream_test.py \
	tests/ops tests/layers tests/envs tests/models tests/ppo tests/training)
# To collect all of them would take longer than these tests do.
PORTABLE_TESTS = $(sort $(shell grep -rl --include='*_test.py' mark.portable tests))
# What compares all installed backends from the session on JAX.
COMPARED_TESTS := $(wildcard tests/layers/portability_test.py)
# What is closest to the compiler: these tests run once more on programs as users have them.
OPTIMIZED_TESTS := $(wildcard tests/backend tests/ops tests/random_test.py)

# ENV counts only on make's command line: shells have a variable of that name for other things.
TRAIN_FLAGS := --flagfile=$(PRESET) \
	$(if $(filter command,$(firstword $(origin ENV))),$(if $(ENV),--env='$(ENV)')) \
	$(if $(MEMORY),--memory='$(MEMORY)') \
	$(if $(SEED),--seed='$(SEED)') \
	$(if $(RUN_DIR),--run_dir='$(RUN_DIR)') \
	$(FLAGS)

# A Python will do if it runs at all (a pyenv shim may not), is 3.11 to 3.13 and can make a venv.
SUITS := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))

# $(call install,STAMPS,WHAT) installs WHAT into the venv, unless one of the STAMPS says that this
# very pyproject.toml was installed from this very folder. The stamps go first and the first of
# STAMPS comes back last, so an interrupted install is done again. Python compiles the modules that
# it imports when it does so; compiling all of them takes pip as long as the rest.
define install
@wanted() { pwd; cat pyproject.toml; }; \
for stamp in $(1); do \
	if [ -x $(VENV_PYTHON) ] && wanted | cmp -s - $(VENV)/$$stamp; then exit 0; fi; \
done; \
rm -f $(VENV)/installed-*; \
if ! $(VENV_PYTHON) -c 'import pip; $(SUITS)' 2>/dev/null; then \
	found=; \
	for python in $(if $(PYTHON),'$(PYTHON)',python3.13 python3.12 python3.11 python3 python); do \
		if "$$python" -c '$(SUITS)' >/dev/null 2>&1; then found=$$python; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
		echo 'keras_s5rl needs Python 3.11, 3.12 or 3.13 with the venv module, and $(if \
		$(PYTHON),$(PYTHON) is not one,there is none on PATH). Install one or name it:' \
		'make PYTHON=/path/to/python3.12 $(or $(MAKECMDGOALS),train)' >&2; \
		exit 1; \
	fi; \
	"$$found" -m venv --clear $(VENV) || exit 1; \
fi; \
echo 'Installing keras_s5rl into $(VENV): about 3 GB, which takes some minutes...'; \
$(VENV_PYTHON) -m pip install --quiet --no-compile --disable-pip-version-check --editable '$(2)' || exit 1; \
wanted >$(VENV)/$(firstword $(1))
endef

.PHONY: train test test-all test-torch lint docs install install-dev install-docs install-torch
# Two targets at once would install into one folder, and each uses all cores as it is.
.NOTPARALLEL:

train: install
	$(VENV_PYTHON) launch/train.py $(TRAIN_FLAGS)

test: install-dev
	$(COMPILED_FAST) KERAS_BACKEND=jax $(PYTEST) -m 'not ($(REST))'
	$(COMPILED_FAST) KERAS_BACKEND=tensorflow $(PYTEST) -m '$(FEW)' $(PORTABLE_TESTS)
	$(LINT)

# What `make test` leaves out.
test-all: install-dev
	KERAS_BACKEND=jax $(PYTEST) -m 'not ($(REST))' $(OPTIMIZED_TESTS)
	$(COMPILED_FAST) KERAS_BACKEND=jax $(PYTEST) -m '$(REST)' $(COMPARED_TESTS:%=--ignore=%)
	$(COMPILED_FAST) KERAS_BACKEND=tensorflow $(PYTEST) -m 'not ($(FEW) or not_on_tensorflow or jax_alone)' \
		$(SHARED_TESTS)

# One thread each: most operations are too small for two, and those of two processes get in each
# other's way.
test-torch: install-torch
	OMP_NUM_THREADS=1 KERAS_BACKEND=torch $(PYTEST) -m 'not jax_alone' $(SHARED_TESTS)
	$(COMPILED_FAST) KERAS_BACKEND=jax $(PYTEST) $(COMPARED_TESTS)

lint: install-dev
	$(LINT)

define LINT
$(VENV_PYTHON) -m ruff check .
$(VENV_PYTHON) -m ruff format --check .
$(VENV_PYTHON) -m mypy
$(VENV_PYTHON) -m codespell_lib
$(VENV_PYTHON) -m proselint check --config docs/generate/proselint.json README.md RESULTS.md CONTRIBUTING.md CHANGELOG.md docs
endef

# A broken link, a name that is not there and a page that nothing leads to are errors.
docs: install-docs
	NO_MKDOCS_2_WARNING=1 $(VENV_PYTHON) -m mkdocs build --quiet --strict

install:
	$(call install,installed-run installed-dev installed-docs,.)

install-dev:
	$(call install,installed-dev installed-docs,.[dev])

install-docs:
	$(call install,installed-docs,.[dev$(comma)docs])

# torch has a venv of its own: with it Keras and the tests find a third backend.
test-torch install-torch: VENV := .venv-torch
install-torch:
	$(call install,installed-torch,.[dev$(comma)torch])
