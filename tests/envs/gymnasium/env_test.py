"""One environment through Gymnasium: the registered ids, numpy in and out, seeds, errors."""

import re
import subprocess
import sys
import warnings

import gymnasium
import keras
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.utils.passive_env_checker import env_render_passive_checker as check_render
from keras import ops

import keras_s5rl  # noqa: F401  registers the ids
from keras_s5rl import envs
from keras_s5rl.envs import registry
from keras_s5rl.envs.control.tasks import TASKS
from keras_s5rl.envs.gymnasium.env import GymnasiumEnv
from keras_s5rl.envs.popgym.repeat_previous import RepeatPrevious
from tests.envs.numbered import Numbered

ARGUMENTS = {"MemoryChain": {"memory_length": 5}}
# What Gymnasium advises against in spaces that are the reference's.
UNBOUNDED = "A Box observation space (minimum|maximum) value is -?infinity"
ADVICE = {
    **dict.fromkeys(("VelocityOnlyCartpole", "projected_", *TASKS), UNBOUNDED),
    "Pendulum": "For Box action spaces, we recommend using a symmetric and normalized space",
}
IDS = sorted(env_id for env_id in gymnasium.registry if env_id.startswith("keras_s5rl/"))


def make(name, **arguments):
    family = name.removesuffix("Easy")
    return gymnasium.make(f"keras_s5rl/{name}-v0", **ARGUMENTS.get(family, {}), **arguments)


def test_every_environment_of_the_package_has_an_id():
    assert {f"keras_s5rl/{name}-v0" for name in registry._BUILT_IN} <= set(IDS)


def test_an_own_environment_has_an_id_once_it_is_registered_and_keeps_it():
    assert "keras_s5rl/NumberedOfMine-v0" not in gymnasium.registry
    envs.register_env("NumberedOfMine", Numbered)
    single = gymnasium.make("keras_s5rl/NumberedOfMine-v0", lengths=[3])
    several = gymnasium.make_vec("keras_s5rl/NumberedOfMine-v0", num_envs=2, lengths=[3, 4])
    assert single.reset(seed=0)[0].tolist() == [0.0, 0.0]
    assert several.reset(seed=0)[0].tolist() == [[0.0, 0.0], [1.0, 0.0]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs.register_env("NumberedOfMine", Numbered)  # Gymnasium would warn of a second id


def test_the_ids_are_known_without_importing_keras():
    code = (
        "import sys, gymnasium, keras_s5rl; spec = gymnasium.spec('keras_s5rl/MemoryChain-v0'); "
        "print(spec.kwargs, 'keras' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "{'env': 'MemoryChain'} False\n", result.stderr


# Control tasks have the same code, and so have the difficulties of a family: one of them is enough
# where time is short. Those of MuJoCo itself need it.
ALIKE = {*TASKS, "dm_control"} - {"reacher_hard"}
ALIKE |= {name for name in registry._BUILT_IN if name.endswith(("Medium", "Hard"))}
CHECKED = [env_id for env_id in IDS if env_id[len("keras_s5rl/") : -len("-v0")] not in ALIKE]


@pytest.mark.slow_after(3)
@pytest.mark.parametrize("env_id", CHECKED)
def test_gymnasiums_checker_finds_nothing(env_id):
    name = env_id[len("keras_s5rl/") : -len("-v0")]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        check_env(make(name).unwrapped)
    expected = [advice for part, advice in ADVICE.items() if part in name]
    messages = {str(warning.message) for warning in caught}
    assert all(any(re.search(advice, text) for advice in expected) for text in messages), messages


def as_numpy(structure):
    return keras.tree.map_structure(lambda leaf: np.array(ops.convert_to_numpy(leaf)), structure)


@pytest.mark.slow_after(3)
@pytest.mark.parametrize(
    ("name", "as_reference"),
    [
        ("RepeatFirstEasy", int),
        ("AutoencodeEasy", lambda row: tuple(row.tolist())),
        ("CountRecallEasy", lambda row: row.astype("int64")),
        ("PositionOnlyPendulumEasy", lambda row: row),
        ("BattleshipEasy", int),
    ],
)
def test_a_step_is_that_of_the_environment_as_values_of_its_spaces(name, as_reference):
    env = make(name, disable_env_checker=True)
    observation, info = env.reset(seed=1)
    env.action_space.seed(1)
    batched = env.unwrapped.env
    state = as_numpy(env.unwrapped._state["env"]["env"])
    for _ in range(5):
        assert observation in env.observation_space
        expected = as_reference(as_numpy(batched.observation(state))[0])
        np.testing.assert_allclose(observation, expected, rtol=1e-6)  # compiled and eager round
        np.testing.assert_equal(info, {key: row[0] for key, row in batched.info(state).items()})
        action = env.action_space.sample()
        observation, *outcome, info = env.step(action)
        before = keras.tree.map_structure(ops.convert_to_tensor, state)
        action = ops.convert_to_tensor(np.asarray(action)[None])
        state, *expected = as_numpy(batched.transition(before, action, {}))
        np.testing.assert_allclose(outcome, np.stack(expected)[:, 0], rtol=1e-5)
        assert [type(part) for part in outcome] == [float, bool, bool]
        assert set(state) == set(env.unwrapped._state["env"]["env"])


def episodes(env, seed, num_episodes=2):
    """The observations of episodes, the first of them seeded."""
    env.action_space.seed(0)
    seen = []
    for index in range(num_episodes):
        seen.append([env.reset(seed=seed if index == 0 else None)[0]])
        over = False
        while not over:
            observation, _, terminated, truncated, _ = env.step(env.action_space.sample())
            seen[-1].append(observation)
            over = terminated or truncated
    return seen


@pytest.mark.parametrize("name", ["RepeatPreviousEasy", "MultiarmedBanditEasy"])
def test_a_seed_fixes_its_episode_and_those_that_follow(name):
    arguments = {"episode_length": 30} if name == "MultiarmedBanditEasy" else {}
    env = make(name, **arguments)
    first = episodes(env, 3)
    assert episodes(env, 3) == first == episodes(make(name, **arguments), 3)
    assert first[0] != first[1]
    assert episodes(env, 4)[0] != first[0]
    # Without a seed the stream goes on.
    assert env.reset()[0] in env.observation_space
    assert episodes(env, None)[0] != first[0]


def test_keyword_arguments_reach_the_environment():
    env = make("RepeatPreviousEasy", k=1)
    observation, _ = env.reset(seed=0)
    total, terminated = 0.0, False
    while not terminated:  # the card asked for is the one in sight
        observation, reward, terminated, truncated, _ = env.step(observation)
        total += reward
    assert total == pytest.approx(1.0)
    assert env.unwrapped.env.k == 1
    assert env.spec.kwargs == {"env": "RepeatPreviousEasy", "k": 1}


def test_an_environment_of_ones_own_needs_no_name():
    env = GymnasiumEnv(Numbered([3]))
    observation, info = env.reset()
    assert (observation.dtype, observation.tolist(), info) == ("float32", [0.0, 0.0], {})
    assert [env.step(0)[2] for _ in range(3)] == [False, False, True]


def test_an_environment_that_its_calls_change_is_not_shared():
    for _ in range(2):
        observation, _ = GymnasiumEnv(Numbered([3])).reset()
        assert observation.tolist() == [0.0, 0.0]


def test_environments_that_are_alike_share_what_is_compiled_but_no_episode():
    first, second, other = (make("RepeatPreviousEasy", k=k) for k in (3, 3, 5))
    assert first.unwrapped._program is second.unwrapped._program
    assert first.unwrapped._program is not other.unwrapped._program
    alone = episodes(make("RepeatPreviousEasy", k=3), 5, num_episodes=1)[0]
    seen = [[first.reset(seed=5)[0]], [second.reset(seed=6)[0]]]
    first.action_space.seed(0)
    for _ in range(51):
        action = first.action_space.sample()
        for env, row in zip((first, second), seen, strict=True):
            row.append(env.step(action)[0])
    assert seen[0] == alone
    assert seen[1] != alone
    # What cannot be compared is not shared.
    own = RepeatPrevious()
    own.secret = lambda: None
    assert GymnasiumEnv(own)._program is not GymnasiumEnv(own)._program


def test_stepping_without_an_episode_is_refused():
    for env in (make("RepeatFirstEasy"), GymnasiumEnv("RepeatFirstEasy")):
        with pytest.raises(gymnasium.error.ResetNeeded, match="reset"):
            env.step(0)
    env = GymnasiumEnv(Numbered([1]))
    env.reset()
    assert env.step(0)[2]
    with pytest.raises(gymnasium.error.ResetNeeded, match="Call `reset` first"):
        env.step(0)


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("RepeatFirstEasy", 4),
        ("RepeatFirstEasy", -1),
        ("RepeatFirstEasy", 1.0),
        ("RepeatFirstEasy", [1]),
        ("RepeatFirstEasy", None),
        ("BattleshipEasy", 3),
        ("BattleshipEasy", [0, 8]),
        ("BattleshipEasy", [[0], [1]]),
        ("PositionOnlyPendulumEasy", 0.5),
        ("PositionOnlyPendulumEasy", ["a"]),
        ("PositionOnlyPendulumEasy", [np.nan]),
        ("PositionOnlyPendulumEasy", [[1.0]]),
        ("RepeatFirstEasy", np.nan),
        ("RepeatFirstEasy", True),
    ],
)
def test_a_wrong_action_is_named_with_the_space(name, action):
    env = GymnasiumEnv(name)
    env.reset()
    message = re.escape(f"`actions` should be an action of {env.action_space}. Received: actions=")
    with pytest.raises(ValueError, match=message):
        env.step(action)


def test_a_torque_out_of_bounds_is_clipped():
    env = make("PositionOnlyPendulumEasy")
    outcomes = []
    for torque in (2.0, 100.0):
        env.reset(seed=0)
        outcomes.append(env.step(np.array([torque]))[1])
    assert outcomes[0] == outcomes[1]


def test_wrong_arguments_are_refused():
    with pytest.raises(ValueError, match=r"`env_args` should fit RepeatFirstEasy\(num_decks=1\)"):
        make("RepeatFirstEasy", lag=3)
    with pytest.raises(ValueError, match="missing a required argument: 'memory_length'"):
        gymnasium.make("keras_s5rl/MemoryChain-v0")
    with pytest.raises(ValueError, match="`render_mode` should be one of .* render_mode='human'"):
        GymnasiumEnv("RepeatFirstEasy", render_mode="human")
    with pytest.raises(ValueError, match="`env_args` should be given only with the name"):
        GymnasiumEnv(Numbered([1]), k=3)


def test_pictures_are_those_of_the_renderer_at_its_speed():
    text = make("PositionOnlyPendulumEasy", render_mode="ansi")
    picture = make("PositionOnlyPendulumEasy", render_mode="rgb_array")
    for env in (text, picture):
        env.reset(seed=0)
        env.step(np.array([2.0], "float32"))
        check_render(env)
    assert "step 1 of 200" in text.render()
    env = text.unwrapped.env
    seconds = envs.rendering.renderer_for(env).duration(env)
    assert text.unwrapped.metadata["render_fps"] == round(1 / seconds)
    assert GymnasiumEnv.metadata["render_modes"] == ["ansi", "rgb_array"]
    before = picture.render()
    np.testing.assert_array_equal(picture.render(), before)
    picture.step(np.array([2.0], "float32"))
    assert (picture.render() != before).any()


def test_rendering_needs_a_mode_and_an_episode():
    with pytest.raises(gymnasium.error.ResetNeeded, match="Call `reset` first"):
        GymnasiumEnv("RepeatFirstEasy", render_mode="ansi").render()
    env = GymnasiumEnv("RepeatFirstEasy")
    env.reset()
    with pytest.warns(UserWarning, match="shows nothing without the argument `render_mode`"):
        assert env.render() is None
