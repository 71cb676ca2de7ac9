"""The registry of memories and the settings that they declare."""

import subprocess
import sys

import numpy as np
import pytest
from keras import ops

from keras_s5rl.layers import S5
from keras_s5rl.models import (
    ActorCritic,
    Categorical,
    make_memory,
    memory_settings,
    register_memory,
    registered_memories,
    resolve_memory_args,
    settings,
)
from keras_s5rl.models.memories import registry

S5_SETTINGS = ["state_size", "norm", "block_activation", "clip_eigenvalues", "dt_min", "dt_max"]
BUILT_IN = {
    "attention": ["context_length", "num_heads"],
    "ffm": ["memory_size", "context_size"],
    "gru": [],
    "gtrxl": ["context_length", "num_heads", "gate_bias"],
    "lru": ["state_size", "norm", "block_activation"],
    "lstm": [],
    "mingru": ["norm", "block_activation"],
    "mlp": [],
    "s5": S5_SETTINGS,
    "s5_equivariant": [*S5_SETTINGS, "projected_size", "num_directions", "drift"],
    "s5_no_resets": S5_SETTINGS,
    "shm": ["matrix_size", "norm", "block_activation"],
    "s6": ["state_size", "dt_rank", "dt_min", "dt_max", "norm", "block_activation"],
}


@pytest.fixture(autouse=True)
def forget_registered(monkeypatch):
    monkeypatch.setattr(registry, "_MEMORIES", dict(registry._MEMORIES))


def build(*, width, num_layers, activation, dtype, seed, state_size):
    return S5(state_size, return_state=True, seed=seed, dtype=dtype)


def test_the_memories_of_the_package_are_found_with_their_settings():
    assert set(registered_memories()) >= set(BUILT_IN)  # other tests register more
    assert {name: list(memory_settings(name)) for name in BUILT_IN} == BUILT_IN


def test_each_memory_has_a_file_of_its_own_name_that_imports_no_keras():
    code = (
        "import sys\n"
        "from keras_s5rl.models.memories import memory_settings, registered_memories\n"
        "for name in registered_memories():\n"
        "    memory_settings(name), sys.modules[f'keras_s5rl.models.memories.{name}']\n"
        "print(sorted({'keras', 'jax', 'numpy'} & set(sys.modules) - {'numpy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("memory", BUILT_IN)
def test_every_memory_of_the_package_is_built_from_its_defaults(memory):
    layer = make_memory(memory, width=8, num_layers=1, seed=0)
    layer.build((2, 3, 18))
    assert layer.name == "memory"


@pytest.mark.slow
def test_settings_reach_the_layer():
    arguments = {"state_size": 6, "norm": None, "dt_min": 0.01, "clip_eigenvalues": False}
    config = make_memory("s5", arguments, width=8, num_layers=1).get_config()
    assert {name: config[name] for name in arguments} == arguments
    attention = make_memory(
        "attention", {"num_heads": 2, "context_length": 5}, width=8, num_layers=1
    )
    assert (attention.num_heads, attention.context_length) == (2, 5)


def test_a_memory_of_the_users_own_takes_its_settings():
    declared = {"state_size": settings.count(8, "entries of the state", multiple_of=2)}
    register_memory("mine", build, declared)
    assert registered_memories()[-1] == "mine" and memory_settings("mine") == declared
    assert resolve_memory_args("mine") == {"state_size": 8}
    memory = make_memory("mine", {"state_size": 4}, width=5, num_layers=1, seed=0)
    policy = ActorCritic(5, Categorical(3), memory, encoder_sizes=(5,), head_sizes=(), seed=0)
    observations = np.random.default_rng(0).normal(size=(2, 6, 5)).astype("float32")
    state = policy.get_initial_state(2)
    assert [tuple(tensor.shape) for tensor in state] == [(2, 2, 2)]
    _, _, last = policy(observations)
    for t in range(6):
        _, _, state = policy.step(observations[:, t], np.zeros(2, bool), state)
    np.testing.assert_allclose(
        ops.convert_to_numpy(state[0]), ops.convert_to_numpy(last[0]), rtol=1e-5, atol=1e-6
    )


def test_a_name_is_registered_once():
    register_memory("mine", build, {"state_size": settings.count(8, "entries")})
    for name, owner in (("mine", "already registered"), ("s5", "the package's own")):
        with pytest.raises(ValueError, match=f"this one is {owner}.*Received: name='{name}'"):
            register_memory(name, lambda **given: None)


def test_the_same_builder_again_takes_the_place_of_the_old_one():
    for default in (8, 4):  # as a reloaded module registers it
        register_memory("mine", build, {"state_size": settings.count(default, "entries")})
    assert resolve_memory_args("mine") == {"state_size": 4}


def test_a_name_is_a_string_that_is_not_empty():
    with pytest.raises(ValueError, match="`name` should be a string.*Received: name=''"):
        register_memory("", build)


@pytest.mark.parametrize(
    ("builder", "declared", "message"),
    [
        (build, {}, r"should be a function of .*missing .*'state_size'.*Received: builder="),
        (lambda **given: None, {"width": settings.count(1, "")}, "'width' among them"),
        (lambda **given: None, {"a b": settings.count(1, "")}, "'a b' among them"),
        (lambda **given: None, {"size": 3}, r"`settings\['size'\]` should be made with"),
        (lambda **given: None, {"size": settings.count(0, "its size")}, "Received: size=0"),
        (lambda **given: None, ["size"], "`settings` should be a dict"),
        ("build", None, "`builder` should be a function of the keyword arguments width"),
    ],
)
def test_a_memory_that_could_not_be_built_is_refused(builder, declared, message):
    with pytest.raises(ValueError, match=message):
        register_memory("mine", builder, declared)
    assert "mine" not in registered_memories()


@pytest.mark.parametrize(
    ("memory", "arguments", "message"),
    [
        ("grru", {}, "one of .*did you mean 'gru'.*Received: memory='grru'"),
        (None, {}, "Received: memory=None"),
        ("s5", {"stat_size": 4}, "state_size, norm.*did you mean 'state_size'.*stat_size=4"),
        ("s5", {"num_heads": 4}, "`memory_args` should fit s5.*Received: num_heads=4"),
        ("gru", {"state_size": 4}, "gru, which has no settings of its own.*state_size=4"),
        ("s5", {"state_size": 5}, "should be a positive multiple of 2. Received: state_size=5"),
        ("s5", {"norm": "batch"}, "one of .*, or None. Received: norm='batch'"),
        ("s5", {"dt_min": True}, "a positive number. Received: dt_min=True"),
        ("s5", [("state_size", 4)], "`memory_args` should be a dict"),
        ("s5", {"dt_min": 1.0}, "`dt_max` should be not below `dt_min`"),
        ("attention", {"num_heads": 3}, "`num_heads` should divide `width`.*num_heads=3"),
    ],
)
def test_wrong_settings_say_what_there_is(memory, arguments, message):
    with pytest.raises(ValueError, match=message):
        make_memory(memory, arguments, width=8, num_layers=1)
