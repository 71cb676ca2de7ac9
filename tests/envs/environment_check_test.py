"""`check_environment` names what breaks the protocol; what keeps it passes."""

import gymnasium
import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import PPO, PPOConfig, backend, envs
from keras_s5rl.envs import AgentView, check_environment
from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.envs.gymnasium.env import GymnasiumEnv
from keras_s5rl.envs.gymnasium.vector_env import GymnasiumVectorEnv
from tests.envs.counting import Counting, broken

SPACES = gymnasium.spaces
MIXED = SPACES.Tuple((SPACES.Box(0, 1, (2,)), SPACES.Text(3)))


def outcome(**changes):
    """A `transition` of which some of the four values are replaced by functions of them."""

    def transition(self, state, action, draws):
        names = ("state", "reward", "terminated", "truncated")
        values = dict(zip(names, Counting.transition(self, state, action, draws), strict=True))
        values |= {name: change(values[name]) for name, change in changes.items()}
        return tuple(values.values())

    return transition


def cast(dtype):
    """A change of dtype in numpy, which knows 64 bits on every backend."""
    return lambda value: np.zeros(value.shape, dtype)


def raises(self, *arguments):
    raise KeyError("no such card")


def in_place(self, state, action, draws):
    _, *rest = Counting.transition(self, dict(state), action, draws)
    state["time"] = state["time"] + 1
    return state, *rest


# What is changed, the method that is to be named, what was expected and what was received.
FINDINGS = {
    "no attribute": ({"action_space": None}, "Broken` lacks action_space"),
    "no method": ({"observation": None}, "Broken` lacks observation"),
    "no limit": ({"max_episode_steps": None}, "Broken` lacks max_episode_steps"),
    "limit 0": ({"max_episode_steps": 0}, "`Broken.max_episode_steps` should be a positive"),
    "limit 10.0": ({"max_episode_steps": 10.0}, "`Broken.max_episode_steps` should be a positive"),
    "limit 1e12": ({"max_episode_steps": 10**12}, "should be at most 10,000,000"),
    "mixed tuple": ({"observation_space": MIXED}, "`Broken.observation_space` should be Discrete"),
    "dict space": (
        {"observation_space": SPACES.Dict(a=SPACES.Discrete(2), b=SPACES.MultiBinary(2))},
        r"`Broken.observation` .*int32 of shape \(3, 3\).* observation=float32 of shape \(3, 1\)",
    ),
    "text": ({"action_space": SPACES.Text(3)}, "`Broken.action_space` should be Discrete"),
    "not a space": ({"action_space": 4}, "`Broken.action_space` should be Discrete"),
    "tasks": ({"tasks": ["a"]}, "`Broken.tasks` should be a tuple of strings"),
    "task": ({"tasks": ("a",)}, "`Broken.info` should return `task` .*int32 of shape.* task=None"),
    "scalar reward": (
        {"transition": outcome(reward=lambda value: ops.sum(value))},
        r"`Broken.transition` .*`reward` .*float32 of shape \(3,\).*reward=float32 of shape \(\)",
    ),
    "python reward": (
        {"transition": outcome(reward=lambda value: 1.0)},
        r"`Broken.transition` .*reward=1.0 \(float\)",
    ),
    "reward int32": (
        {"transition": outcome(reward=lambda value: ops.cast(value, "int32"))},
        r"`Broken.transition` .*float32 of shape \(3,\).*reward=int32 of shape \(3,\)",
    ),
    "reward float64": (
        {"transition": outcome(reward=cast("float64"))},
        r"`Broken.transition` .*reward=float64 of shape \(3,\)",
    ),
    "reward bool": (
        {"transition": outcome(reward=lambda value: value > 0)},
        r"`Broken.transition` .*reward=bool of shape \(3,\)",
    ),
    "reward with an axis": (
        {"transition": outcome(reward=lambda value: value[:, None])},
        r"`Broken.transition` .*reward=float32 of shape \(3, 1\)",
    ),
    "terminated int32": (
        {"transition": outcome(terminated=lambda value: ops.cast(value, "int32"))},
        r"`terminated` .*bool of shape \(3,\).*terminated=int32 of shape \(3,\)",
    ),
    "truncated float32": (
        {"transition": outcome(truncated=lambda value: ops.cast(value, "float32"))},
        r"`truncated` .*bool of shape \(3,\).*truncated=float32 of shape \(3,\)",
    ),
    "three values": (
        {"transition": lambda *a: Counting.transition(*a)[:3]},
        "`Broken.transition` should return `state, reward, terminated, truncated`",
    ),
    "no tuple": ({"transition": lambda *a: a[1]}, "`Broken.transition` should return `state, rew"),
    "state tuple": (
        {"initial": lambda self, draws: (draws["start"],)},
        r"`Broken.initial` should return a dict of tensors with leading axis 3.*\(tuple\)",
    ),
    "state empty": ({"initial": lambda self, draws: {}}, "`Broken.initial` .* at least one tensor"),
    "state of another structure": (
        {"transition": outcome(state=lambda value: {**value, "extra": value["time"]})},
        r"`Broken.transition` should return a state .*\(extra=none\).* extra=int32 of shape \(3,\)",
    ),
    "state of another dtype": (
        {"transition": outcome(state=lambda v: {**v, "time": ops.cast(v["time"], "float32")})},
        r"\(time=int32 of shape \(3,\)\).* time=float32 of shape \(3,\)",
    ),
    "state that grows": (
        {
            "initial": lambda self, draws: {"time": draws["start"][:, None]},
            "observation": lambda self, state: ops.cast(state["time"][:, :1], "float32"),
            "discount": lambda self, state: ops.ones_like(state["time"][:, 0], dtype="float32"),
            "transition": lambda self, state, action, draws: (
                {"time": ops.concatenate([state["time"], state["time"]], axis=1)},
                *(ops.zeros_like(action, dtype=dtype) for dtype in ("float32", "bool", "bool")),
            ),
        },
        r"\(time=int32 of shape \(3, 1\)\).* time=int32 of shape \(3, 2\)",
    ),
    "state in place": ({"transition": in_place}, "`Broken.transition` should leave the dicts"),
    "draws of other rows": (
        {"draw_initial": lambda self, key, n: {"start": ops.zeros((n + 1,), dtype="int32")}},
        r"`Broken.draw_initial` .*leading axis 3.* start=int32 of shape \(4,\)",
    ),
    "draws of a step": (
        {"draw_step": lambda self, key, n: {"noise": ops.zeros((), dtype="float32")}},
        r"`Broken.draw_step` .*leading axis 3.* noise=float32 of shape \(\)",
    ),
    "one size of batch": (
        {"draw_initial": lambda self, key, n: {"start": ops.zeros((3,), dtype="int32")}},
        r"`Broken.draw_initial` .*leading axis 4.* start=int32 of shape \(3,\)",
    ),
    "observation without its axis": (
        {"observation": lambda self, state: ops.cast(state["time"], "float32")},
        r"`Broken.observation` .*float32 of shape \(3, 1\).*observation=float32 of shape \(3,\)",
    ),
    "observation with an axis": (
        {"observation": lambda self, state: Counting.observation(self, state)[..., None]},
        r"`Broken.observation` .*observation=float32 of shape \(3, 1, 1\)",
    ),
    "observation float64": (
        {"observation": lambda self, state: np.zeros((state["time"].shape[0], 1))},
        r"`Broken.observation` .*observation=float64 of shape \(3, 1\)",
    ),
    "observation int64": (
        {
            "observation_space": SPACES.Discrete(4),
            "observation": lambda self, state: np.zeros(state["time"].shape[0], "int64"),
        },
        r"`Broken.observation` .*int32 of shape \(3,\).*observation=int64 of shape \(3,\)",
    ),
    "discount int32": (
        {"discount": lambda self, state: ops.ones_like(state["time"])},
        r"`Broken.discount` .*float32 of shape \(3,\).*discount=int32 of shape \(3,\)",
    ),
    "info": ({"info": lambda self, state: {"n": 1}}, r"`Broken.info` .*Received: n=1 \(int\)"),
    "an error of its own": (
        {"initial": raises},
        "`Broken.initial` should run for 3 environments.* Received: KeyError: 'no such card'",
    ),
    "other arguments": (
        {"draw_initial": lambda self, num_envs: {}},
        "`Broken.draw_initial` should run .* Received: TypeError",
    ),
}


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_names_the_method_what_was_expected_and_what_was_received(finding):
    members, message = FINDINGS[finding]
    with pytest.raises(ValueError, match=message) as caught:
        check_environment(broken(**members))
    assert "Received: " in str(caught.value)


VALUES = {
    "out of the space": (
        {"observation_space": SPACES.Box(0.0, 1.5, (1,))},
        r"`Broken.observation` should return values of Box.* Received: \[2.\] in environment 0",
    ),
    "no such class": (
        {
            "observation_space": SPACES.Discrete(2),
            "observation": lambda self, state: state["time"],
        },
        r"`Broken.observation` should return values of Discrete\(2\). Received: 2 in env",
    ),
    "fractions of pixels": (
        {
            "observation_space": SPACES.Box(0, 255, (1,), "uint8"),
            "observation": lambda self, state: Counting.observation(self, state) / 2,
        },
        r"`Broken.observation` should return values of Box.* Received: \[0.5\] in environment 0",
    ),
    "pixels above 255": (
        {
            "observation_space": SPACES.Box(0, 255, (1,), "uint8"),
            "observation": lambda self, state: 256 * Counting.observation(self, state),
        },
        r"`Broken.observation` should return values of Box.* Received: \[256.\] in environment 0",
    ),
    "infinite reward": (
        {"transition": outcome(reward=lambda value: value * float("inf"))},
        "`Broken.transition` should return finite rewards. Received: inf",
    ),
    "discount above 1": (
        {"discount": lambda self, state: 1.0 + ops.cast(state["time"], "float32")},
        "`Broken.discount` should return numbers from 0 to 1. Received: 2.0",
    ),
    "discount after an end": (
        {
            "transition": outcome(terminated=ops.logical_not),
            "discount": lambda self, state: ops.ones_like(state["time"], dtype="float32"),
        },
        "`Broken.discount` should return 0 where an episode terminated. Received: 1.0",
    ),
}


@pytest.mark.parametrize("finding", VALUES)
def test_values_are_checked_where_steps_are_played(finding):
    members, message = VALUES[finding]
    env = broken(**members)
    check_environment(env)
    with pytest.raises(ValueError, match=message):
        check_environment(env, num_steps=3)


class HostCalled(Counting):
    """Counts on the host, as the environments of MuJoCo do."""

    def transition(self, state, action, draws):
        _, *rest = Counting.transition(self, state, action, draws)
        like = keras.KerasTensor(state["time"].shape, "int32")
        time = backend.host_call(lambda time: time + 1, like, state["time"])
        return {**state, "time": time}, *rest


@pytest.mark.parametrize(
    "env",
    [
        Counting(),
        HostCalled(),
        AgentView(Counting()),
        broken(action_space=SPACES.Box(-1, 1, (2,))),
        broken(action_space=SPACES.Tuple((SPACES.Discrete(2), SPACES.Discrete(3)))),
        broken(
            observation_space=SPACES.Dict(image=SPACES.Box(0, 255, (1, 2, 1), "uint8")),
            observation=lambda self, state: ops.repeat(Counting.observation(self, state), 2, 1),
            action_space=SPACES.Dict(a=SPACES.MultiBinary((2, 2)), b=SPACES.Discrete(2, start=3)),
        ),
    ],
)
def test_what_keeps_the_protocol_passes(env):
    check_environment(env, num_steps=3)


ONE_OF_A_FAMILY = sorted(
    {
        name.removesuffix("Easy")
        for name in envs.registered_envs()
        if not name.endswith(("Medium", "Hard"))
    }
    - {"dm_control", *TASKS}
) + ["reacher_hard"]


@pytest.mark.slow_after(4)
@pytest.mark.parametrize("name", ONE_OF_A_FAMILY)
def test_the_packages_own_environments_pass(name):
    arguments = {"MemoryChain": {"memory_length": 5}}.get(name, {})
    name = name if name in envs.registered_envs() else f"{name}Easy"
    check_environment(envs.make(name, **arguments))


@pytest.mark.slow_after(1)
@pytest.mark.parametrize(
    ("name", "arguments"),
    [("AutoencodeEasy", {}), ("PositionOnlyPendulumEasy", {"max_episode_steps": 4})],
)
def test_values_of_the_packages_own_environments_pass(name, arguments):
    check_environment(envs.make(name, **arguments), num_steps=6)


def test_the_cause_of_an_error_in_a_method_is_kept():
    with pytest.raises(ValueError, match="`Broken.initial` should run") as caught:
        check_environment(broken(initial=raises))
    assert isinstance(caught.value.__cause__, KeyError)


@pytest.mark.parametrize("env", [None, 3, Counting, "RepeatFirstEasy", object()])
def test_what_is_no_environment_is_refused(env):
    with pytest.raises(ValueError, match="`env` should .*Received: env="):
        check_environment(env)


@pytest.mark.parametrize("arguments", [{"num_envs": 0}, {"num_steps": -1}, {"num_steps": 1.5}])
def test_wrong_arguments_are_refused(arguments):
    with pytest.raises(ValueError, match="should be a positive integer"):
        check_environment(Counting(), **arguments)


def test_the_check_leaves_nothing_behind_on_the_environment():
    class Impure(Counting):
        def observation(self, state):
            self.last = Counting.observation(self, state)
            return self.last

    env = Impure()
    check_environment(env, num_steps=2)
    assert vars(env) == {}


SCALAR = {"transition": outcome(reward=lambda value: ops.sum(value))}


@pytest.mark.parametrize(
    "use",
    [
        PPO,
        GymnasiumEnv,
        GymnasiumVectorEnv,
        lambda env: PPO("RepeatFirstEasy", config=PPOConfig(width=16)).evaluate(1, env=env),
    ],
)
def test_an_environment_of_ones_own_is_checked_where_it_comes_in(use):
    with pytest.raises(ValueError, match="`Broken.transition` should return `reward`"):
        use(broken(**SCALAR))


def test_nothing_is_compiled_by_the_check(monkeypatch):
    compiled = []
    monkeypatch.setattr(backend, "compile", lambda *a, **k: compiled.append(a))
    check_environment(Counting())
    assert compiled == []


def test_a_message_is_one_line():
    def branch(reward):
        return reward if reward else -reward  # of three numbers, or of traced ones

    with pytest.raises(ValueError, match="`Broken.transition` should run") as caught:
        check_environment(broken(transition=outcome(reward=branch)))
    assert "\n" not in str(caught.value)
