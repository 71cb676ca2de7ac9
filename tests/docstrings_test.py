"""Runs the `>>>` examples in every docstring of the package."""

import doctest
import importlib
from pathlib import Path

import keras
import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "keras_s5rl"
BACKENDS = {"jax", "tensorflow", "torch"}
# They compile whole trainings, environments or layers.
SLOW = [
    *("training.ppo", "training.recording", "training.in_context", "training.gymnasium_evaluation"),
    *("ppo.learner", "envs.control.engine", "models.actor_critic", "layers.causal_attention"),
    *("training.player", "models.policy"),
    *("layers.attention_block", "layers.windowed_attention", "layers.resettable"),
    *("layers.residual_block", "layers.derived_weights", "layers.lru", "layers.min_gru"),
    *("layers.gated_attention_block", "layers.selective_ssm", "layers.sequence_stack"),
    *("envs.autoreset", "envs.environment", "envs.environment_check", "envs.gymnasium.vector_env"),
    *("envs.gymnasium.host_autoreset", "layers.equivariant_memory"),
    *("layers.system_identification", "ppo.seeds_learner"),
]
MODULES = [
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted(PACKAGE.rglob("*.py"))
]


def marked(name):
    is_slow = name.removeprefix("keras_s5rl.") in SLOW
    return pytest.param(name, marks=pytest.mark.slow) if is_slow else name


@pytest.mark.usefixtures("registries_as_before")
@pytest.mark.parametrize("name", [marked(name) for name in MODULES])
def test_the_examples_in_the_docstrings_run(name):
    of_backend = name.rpartition(".")[2].partition("_")[0]
    if name.startswith("keras_s5rl.backend.") and of_backend in BACKENDS - {keras.config.backend()}:
        pytest.skip(f"{name} is for another backend.")
    if name.endswith("_peer"):
        pytest.importorskip(name, "the peers are not installed", exc_type=ImportError)
    module = importlib.import_module(name)
    results = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    assert results.failed == 0
