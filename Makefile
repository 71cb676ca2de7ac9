# make train       trains a policy: make train ENV=RepeatPreviousEasy SEED=1 FLAGS="--num_envs=32"
# make test        runs the tests on JAX and TensorFlow, then the linter
# make test-torch  runs the tests on torch
# make lint        runs the linter alone
#
# Each first makes .venv with what it needs (for torch .venv-torch), once; PYTHON=... names the
# Python to make it with.

SHELL := /bin/sh
VENV := .venv
VENV_PYTHON = $(VENV)/bin/python
PRESET := launch/presets/repeat_previous_hard.flags
# Two at a time, a file each: most of a test is compiling, which keeps one core busy.
PYTEST = $(VENV_PYTHON) -m pytest --numprocesses=2 --dist=loadfile
SHARED_TESTS := tests/backend tests/random_test.py tests/upstream_test.py \
	tests/ops tests/layers tests/envs tests/models
# Compiling an iteration takes long on TensorFlow: of training, what JAX cannot answer for it.
TENSORFLOW_TESTS := $(wildcard $(SHARED_TESTS) $(addprefix tests/ppo/, \
	advantages_test.py losses_test.py portability_test.py) $(addprefix tests/training/, \
	learner_state_test.py other_backends_test.py))
# What the sessions on JAX and torch answer for it: each layer would be compiled for each case.
NOT_ON_TENSORFLOW := $(addprefix --ignore=, $(wildcard $(addprefix tests/layers/, \
	carried_states_test.py dtype_test.py empty_batch_test.py)))
TORCH_TESTS := $(wildcard $(SHARED_TESTS) tests/ppo tests/training)
# What compares all installed backends from the session on JAX.
COMPARED_TESTS := $(wildcard tests/layers/portability_test.py)

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
# STAMPS comes back last, so an interrupted install is done again.
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
echo 'Installing keras_s5rl into $(VENV)...'; \
$(VENV_PYTHON) -m pip install --quiet --disable-pip-version-check --editable '$(2)' || exit 1; \
wanted >$(VENV)/$(firstword $(1))
endef

.PHONY: train test test-torch lint install install-dev install-torch

train: install
	$(VENV_PYTHON) launch/train.py $(TRAIN_FLAGS)

test: install-dev
	KERAS_BACKEND=jax $(PYTEST)
	$(if $(TENSORFLOW_TESTS),KERAS_BACKEND=tensorflow $(PYTEST) $(NOT_ON_TENSORFLOW) $(TENSORFLOW_TESTS))
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .

# One thread each: most operations are too small for two, and those of two processes get in each
# other's way.
test-torch: VENV := .venv-torch
test-torch: install-torch
	$(if $(TORCH_TESTS),OMP_NUM_THREADS=1 KERAS_BACKEND=torch $(PYTEST) $(TORCH_TESTS))
	$(if $(COMPARED_TESTS),KERAS_BACKEND=jax $(PYTEST) $(COMPARED_TESTS))

lint: install-dev
	$(VENV_PYTHON) -m ruff check .
	$(VENV_PYTHON) -m ruff format --check .
	$(VENV_PYTHON) -m mypy

install:
	$(call install,installed-run installed-dev,.)

install-dev:
	$(call install,installed-dev,.[dev])

comma := ,
install-torch:
	$(call install,installed-torch,.[dev$(comma)torch])
