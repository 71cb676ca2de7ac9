"""Replays what popgym 1.0.7 recorded: the same draws and actions give the same episodes."""

from pathlib import Path

import gymnasium
import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, envs

DATA = Path(__file__).resolve().parents[2] / "data" / "popgym"
DIFFICULTIES = ("Easy", "Medium", "Hard")
CARD_GAMES = [
    family + level for family in ("RepeatPrevious", "RepeatFirst") for level in DIFFICULTIES
]
CART_POLES = [f"PositionOnlyCartPole{level}" for level in DIFFICULTIES]
PENDULUMS = [f"PositionOnlyPendulum{level}" for level in DIFFICULTIES]
DRAWS = ("deck_idx", "init_state")


class Golden:
    """The seven recorded episodes of one environment, as lists of arrays over time."""

    def __init__(self, name):
        with np.load(DATA / f"{name}.npz") as data:
            self.data = dict(data)
        lengths = self.data["lengths"]
        self.num_episodes = len(lengths)
        self.longest = lengths.max()
        cuts, long_cuts = np.cumsum(lengths)[:-1], np.cumsum(lengths + 1)[:-1]
        for field in ("actions", "rewards", "terminated", "truncated"):
            setattr(self, field, np.split(self.data[field], cuts))
        self.obs = np.split(self.data["obs"], long_cuts)
        if "states" in self.data:
            self.states = np.split(self.data["states"], long_cuts)

    def draws(self):
        return {name: to_tensor(self.data[name]) for name in DRAWS if name in self.data}

    def action(self, time):
        # Episodes that are over repeat their last action; what follows is not looked at.
        last = [actions[min(time, len(actions) - 1)] for actions in self.actions]
        return to_tensor(np.stack(last))


def to_tensor(array):
    is_float = np.issubdtype(array.dtype, np.floating)
    return ops.convert_to_tensor(array.astype("float32" if is_float else "int32"))


def stepper(env):
    """One transition and the observation after it, compiled where that is quicker."""

    def step(state, action):
        state, *outcome = env.transition(state, action, {})
        return state, env.observation(state), *outcome

    return backend.compile(step) if keras.backend.backend() == "jax" else step


def replay(name, num_steps=None):
    """Plays the recorded actions from the recorded draws; returns what came of each episode."""
    golden, env = Golden(name), envs.make(name)
    step = stepper(env)
    state = env.initial(golden.draws())
    rows = [[env.observation(state)]]
    for time in range(num_steps or golden.longest):
        state, obs, *outcome = step(state, golden.action(time))
        rows[-1] += outcome
        rows.append([obs])
    rows = [[ops.convert_to_numpy(value) for value in row] for row in rows]
    episodes = []
    for episode, actions in enumerate(golden.actions):
        length = min(len(actions), len(rows) - 1)
        obs = np.stack([row[0][episode] for row in rows[: length + 1]])
        outcome = [np.stack([row[i][episode] for row in rows[:length]]) for i in (1, 2, 3)]
        episodes.append((obs, *outcome))
    return golden, episodes


def assert_flags_equal(golden, episodes, ends=True):
    for episode, (_, rewards, terminated, truncated) in enumerate(episodes):
        length = len(rewards)
        np.testing.assert_allclose(rewards, golden.rewards[episode][:length], rtol=0, atol=1e-6)
        np.testing.assert_array_equal(terminated, golden.terminated[episode][:length])
        np.testing.assert_array_equal(truncated, golden.truncated[episode][:length])
        if ends:
            assert length == len(golden.rewards[episode])
            assert terminated[-1] or truncated[-1]


@pytest.mark.parametrize("name", CARD_GAMES)
def test_card_games_replay_exactly(name):
    golden, episodes = replay(name)
    for episode, (obs, *_) in enumerate(episodes):
        np.testing.assert_array_equal(obs, golden.obs[episode])
        assert obs.dtype == "int32"
    assert_flags_equal(golden, episodes)


@pytest.mark.parametrize("name", PENDULUMS)
def test_pendulum_replays_open_loop(name):
    golden, episodes = replay(name)
    for episode, (obs, rewards, *_) in enumerate(episodes):
        np.testing.assert_allclose(obs, golden.obs[episode], rtol=0, atol=2e-5)
        np.testing.assert_allclose(rewards, golden.rewards[episode], rtol=0, atol=1e-7)
    assert_flags_equal(golden, episodes)


@pytest.mark.parametrize("name", CART_POLES)
def test_cart_pole_replays_open_loop_until_chaos(name):
    golden, episodes = replay(name, num_steps=80)
    for episode, (obs, *_) in enumerate(episodes):
        np.testing.assert_allclose(obs, golden.obs[episode][: len(obs)], rtol=0, atol=1e-5)
    assert_flags_equal(golden, episodes, ends=False)


def one_step_from_recorded_states(name):
    """Takes one step from every recorded state of every episode at once."""
    golden, env = Golden(name), envs.make(name)
    before = np.concatenate([states[:-1] for states in golden.states])
    after = np.concatenate([states[1:] for states in golden.states])
    time = np.concatenate([np.arange(len(actions)) for actions in golden.actions])
    state = {**env.initial({"init_state": to_tensor(before)}), "time": to_tensor(time)}
    state, *outcome = env.transition(state, to_tensor(golden.data["actions"]), {})
    outcome = [ops.convert_to_numpy(value) for value in outcome]
    physics, obs = (
        ops.convert_to_numpy(state["physics"]),
        ops.convert_to_numpy(env.observation(state)),
    )
    np.testing.assert_array_equal(ops.convert_to_numpy(state["time"]), time + 1)
    np.testing.assert_array_equal(outcome[1], golden.data["terminated"])
    np.testing.assert_array_equal(outcome[2], golden.data["truncated"])
    expected_obs = np.concatenate([obs[1:] for obs in golden.obs])
    return golden, physics, after, outcome[0], obs, expected_obs


@pytest.mark.parametrize("name", CART_POLES)
def test_one_step_of_cart_pole_is_exact_to_float32(name):
    golden, physics, after, reward, obs, expected_obs = one_step_from_recorded_states(name)
    # Constant pushing past the end of the pole reaches large speeds, hence the relative part.
    np.testing.assert_allclose(physics, after, rtol=1.5e-7, atol=1.5e-7)
    np.testing.assert_allclose(obs, expected_obs, rtol=1.5e-7, atol=1.5e-7)
    np.testing.assert_allclose(reward, golden.data["rewards"], rtol=0, atol=1e-9)
    assert golden.data["terminated"].any()


@pytest.mark.parametrize("name", PENDULUMS)
def test_one_step_of_pendulum_is_exact_to_float32(name):
    golden, physics, after, reward, obs, expected_obs = one_step_from_recorded_states(name)
    # The package takes whole turns off the angle; a float32 of many turns starts with their error.
    error = physics - after
    error[:, 0] -= 2 * np.pi * np.round(error[:, 0] / (2 * np.pi))
    rounding = np.spacing(np.abs(after).max(axis=1, keepdims=True).astype("float32"))
    assert np.all(np.abs(error) < 5e-7 + rounding)
    assert np.all(np.abs(obs - expected_obs) < 5e-7 + rounding)
    np.testing.assert_allclose(reward, golden.data["rewards"], rtol=0, atol=1e-8)
    assert np.abs(golden.data["actions"]).max() > 2


@pytest.mark.parametrize("name", CARD_GAMES + CART_POLES + PENDULUMS)
def test_agent_view_equals_the_flattened_observation_of_popgym(name):
    golden, env = Golden(name), envs.AgentView(envs.make(name))
    step, expected = stepper(env), golden.data["flat_obs"]
    state = env.initial(golden.draws())
    observations = [env.observation(state)]
    for time in range(len(expected) - 1):
        state, observation, *_ = step(state, golden.action(time))
        observations.append(observation)
    actual = np.stack([ops.convert_to_numpy(observation)[0] for observation in observations])
    assert actual.shape == expected.shape
    assert env.observation_space.shape == expected.shape[1:]
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 if "Only" in name else 0)


TABLE = [
    ("RepeatPrevious", (51, 103, 155), gymnasium.spaces.Discrete(4), gymnasium.spaces.Discrete(4)),
    ("RepeatFirst", (51, 415, 831), gymnasium.spaces.Discrete(4), gymnasium.spaces.Discrete(4)),
    (
        "PositionOnlyCartPole",
        (200, 400, 600),
        gymnasium.spaces.Box(
            np.array([-4.8, -0.41887903], "float32"), np.array([4.8, 0.41887903], "float32")
        ),
        gymnasium.spaces.Discrete(2),
    ),
    (
        "PositionOnlyPendulum",
        (200, 150, 100),
        gymnasium.spaces.Box(-1, 1, (2,)),
        gymnasium.spaces.Box(-2, 2, (1,)),
    ),
]


@pytest.mark.parametrize(("family", "lengths", "observations", "actions"), TABLE)
def test_lengths_and_spaces_are_those_of_popgym(family, lengths, observations, actions):
    for level, length in zip(DIFFICULTIES, lengths, strict=True):
        env = envs.make(family + level)
        assert env.max_episode_steps == length
        assert env.observation_space == observations
        assert env.action_space == actions


@pytest.mark.parametrize("name", CARD_GAMES + CART_POLES + PENDULUMS)
def test_discount_is_0_at_terminal_states_alone(name):
    golden, env = Golden(name), envs.make(name)
    state = env.initial(golden.draws())
    np.testing.assert_array_equal(ops.convert_to_numpy(env.discount(state)), 1.0)
    step, shortest = stepper(env), min(len(actions) for actions in golden.actions)
    for time in range(shortest):
        state, _, _, terminated, _ = step(state, golden.action(time))
    discount = ops.convert_to_numpy(env.discount(state))
    assert discount.dtype == "float32"
    np.testing.assert_array_equal(discount, 1.0 - ops.convert_to_numpy(terminated))
    assert (discount == 1).all() == ("Pendulum" in name)
