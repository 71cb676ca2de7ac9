"""Every argument of every registered environment is checked: a ValueError names it."""

import inspect
import re

import numpy as np
import pytest

from keras_s5rl import envs
from keras_s5rl.envs import registry

HUGE = 10**12
NOT_A_SIZE = [0, -1, 2.5, 4.0, float("nan"), float("inf"), HUGE, True, None, "3", [], [1], {}]
NOT_SIZES = [0, None, 5, "ab", [2.5, 4], ["a", "b"], [0, 0], [HUGE, HUGE], [[1], [2]], {}, [np.nan]]
NOT_A_FLAG = [None, 0, 1, "yes", "False", 1.0, float("nan"), []]
NOT_A_CHOICE = [None, 0, "no such", "", ["colors"], {}, float("nan"), HUGE]

WRONG = {
    **dict.fromkeys(
        (
            *("num_decks", "k", "num_bandits", "episode_length", "board_size", "num_mines"),
            *("max_episode_steps", "memory_length", "num_bits", "num_trials", "trial_steps"),
            "projected_size",
        ),
        NOT_A_SIZE,
    ),
    "action_repeat": [x for x in NOT_A_SIZE if x is not None],
    **dict.fromkeys(("ship_sizes", "maze_dims", "dims"), NOT_SIZES),
    **dict.fromkeys(
        (
            *("project_observations", "project_actions", "observe_speeds", "same_start"),
            *("failure_ends_return", "end_on_fall", "observe_reward"),
        ),
        NOT_A_FLAG,
    ),
    **dict.fromkeys(
        ("deck_type", "task", "tier", "projection", "observations", "engine"), NOT_A_CHOICE
    ),
    "noise_sigma": [-0.1, float("nan"), float("inf"), 1e300, HUGE**4, "0.1", None, True, [0.1]],
    "strength": [-0.1, 1.1, float("nan"), "high", None, True, [1.0], HUGE],
    "physics_range": [-0.1, 0.4, float("nan"), "high", None, True, [0.1], HUGE],
    "tasks": [(), [], 3, "reacher_easy", ["no such"], [1], [["a"]], {"reacher_easy": 1}, HUGE],
    "task_weights": [
        *([], 3, "a", {"no such": 1.0}, {1: 2.0}, {"reacher_easy": 0}, {"reacher_easy": "a"}),
        *({"reacher_easy": float("inf")}, {"reacher_easy": float("nan")}, {"reacher_easy": HUGE}),
    ],
}


def classes():
    """One name and its other arguments for each class of environments."""
    found = {}
    for name, (factory, defaults) in registry._BUILT_IN.items():
        found.setdefault(factory, (name, defaults))
    return [pair for pair in found.values() if pair[0] != "dm_control"]


CASES = [
    (name, argument, value)
    for name, _ in classes()
    for argument in inspect.signature(registry._entry(name)[0]).parameters
    for value in WRONG[argument]
    if (name, argument, value) != ("projected_control", "action_repeat", {})  # for no task
]


def test_the_table_has_cases_of_every_class():
    assert len({name for name, *_ in CASES}) == len(classes()) == 20
    assert len(CASES) > 300


@pytest.mark.parametrize("name", [name for name, _ in classes()])
def test_a_wrong_argument_is_named_in_a_value_error(name):
    needed = {"memory_length": 5} if name == "MemoryChain" else {}
    for _, argument, value in [case for case in CASES if case[0] == name]:
        with pytest.raises(ValueError, match=rf"`[^`]*\b{argument}\b[^`]*` should") as caught:
            envs.make(name, **{**needed, argument: value})
        assert "Received: " in str(caught.value), (argument, value)


@pytest.mark.parametrize("arguments", [{"env": 3}, {"self": 1}, {"lag": 2}, {"": 1}, {"k k": 1}])
def test_names_that_no_argument_has_are_refused(arguments):
    message = re.escape(f"Received: env_args={arguments}")
    with pytest.raises(ValueError, match=f"`env_args` should fit RepeatPreviousEasy.*{message}"):
        envs.make("RepeatPreviousEasy", **arguments)


def test_the_product_of_trials_and_steps_is_limited():
    for name in ("projected_cartpole", "projected_control"):
        with pytest.raises(ValueError, match=r"`num_trials \* trial_steps` should be at most"):
            envs.make(name, num_trials=5000, trial_steps=5000)


@pytest.mark.parametrize(
    "name",
    [
        "RepeatFirstEasy",
        "StatelessPendulumHard",
        "",
        "a b",
        "a/b",
        "module:name",
        "a\n",
        None,
        3,
        b"a",
    ],
)
def test_a_taken_or_wrong_name_is_not_registered(name):
    with pytest.raises(ValueError, match="`name` should .*Received: name="):
        envs.register_env(name, lambda: None)


@pytest.mark.parametrize("factory", [None, 3, "module", "a:b:c", ["m:f"], {}])
def test_a_factory_that_cannot_be_called_is_not_registered(factory):
    with pytest.raises(ValueError, match="`factory` should .*Received: factory="):
        envs.register_env("NeverRegistered", factory)
    assert "NeverRegistered" not in envs.registered_envs()
