"""Replays what popgym 1.0.7 recorded: the same draws and actions give the same episodes."""

import functools
from pathlib import Path

import keras
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Tuple
from keras import ops

from keras_s5rl import envs
from tests.envs.play import play
from tests.envs.popgym.families import FAMILIES
from tests.support.differentiate import compiled

DATA = Path(__file__).resolve().parents[2] / "data" / "popgym"
DIFFICULTIES = ("Easy", "Medium", "Hard")
NAMES = [family + level for family in FAMILIES for level in DIFFICULTIES]


def cases(*parts):
    """The names that hold one of the parts; the difficulties differ in sizes."""
    return [
        pytest.param(name, marks=() if name.endswith("Easy") else pytest.mark.slow)
        for name in NAMES
        if any(part in name for part in parts)
    ]


PHYSICS = ("Cart", "Pendulum")
GAMES = [family for family in FAMILIES if not any(part in family for part in PHYSICS)]
INITIAL_DRAWS = (
    *("deck_idx", "value_deck_idx", "query_deck_idx", "bandits", "board", "mines_flat"),
    *("grid", "start", "end", "init_state"),
)


class Golden:
    """The seven recorded episodes of one environment, as lists of arrays over time."""

    def __init__(self, name):
        with np.load(DATA / f"{name}.npz") as data:
            self.data = dict(data)
        lengths = self.data["lengths"]
        self.longest = lengths.max()
        for field in ("actions", "rewards", "terminated", "truncated", "u"):
            self._split(field, lengths)
        for field in ("obs", "states", "noise"):
            self._split(field, lengths + 1)

    def _split(self, field, lengths):
        if field in self.data:
            setattr(self, field, np.split(self.data[field], np.cumsum(lengths)[:-1]))

    def initial_draws(self):
        draws = {name: self.data[name] for name in INITIAL_DRAWS if name in self.data}
        if hasattr(self, "noise"):
            draws["noise"] = np.stack([noise[0] for noise in self.noise])
        return to_tensors(draws)

    def steps(self):
        """Actions and draws of all steps, with leading axes time and episode."""
        draws = {}
        if hasattr(self, "u"):
            draws["u"] = self._over_time(self.u)
        if hasattr(self, "noise"):
            draws["noise"] = self._over_time([noise[1:] for noise in self.noise])
        return to_tensors((self._over_time(self.actions), draws))

    def _over_time(self, episodes):
        # Episodes that are over repeat their last step; what follows is not looked at.
        rows = np.arange(self.longest)
        return np.stack([values[np.minimum(rows, len(values) - 1)] for values in episodes], axis=1)


def to_tensors(structure):
    def to_tensor(array):
        is_float = np.issubdtype(array.dtype, np.floating)
        return ops.convert_to_tensor(array.astype("float32" if is_float else "int32"))

    return keras.tree.map_structure(to_tensor, structure)


@functools.cache
def replay(name):
    """Plays the recorded actions from the recorded draws; returns what came of each episode."""
    golden, env = Golden(name), envs.AgentView(envs.make(name))
    watch = {
        "obs": lambda state: env.env.observation(state["env"]),
        "flat_obs": env.observation,
        "discount": env.discount,
    }
    rows = play(env, golden.initial_draws(), *golden.steps(), watch)
    episodes = []
    for episode, length in enumerate(golden.data["lengths"]):
        ends = {field: length + (field in watch) for field in rows}
        episodes.append({field: rows[field][: ends[field], episode] for field in rows})
    return golden, episodes


def assert_outcomes_equal(golden, episodes, num_steps=None):
    for episode, played in enumerate(episodes):
        for field in ("terminated", "truncated"):
            expected = getattr(golden, field)[episode][:num_steps]
            np.testing.assert_array_equal(played[field][:num_steps], expected)
        expected = golden.rewards[episode][:num_steps]
        np.testing.assert_allclose(played["rewards"][:num_steps], expected, rtol=0, atol=1e-6)


def test_every_environment_of_popgym_is_recorded():
    assert len(NAMES) == 48
    assert {path.stem for path in DATA.glob("*.npz")} == set(NAMES)


@pytest.mark.slow_after(3)
@pytest.mark.parametrize("name", cases(*GAMES))
def test_games_replay_exactly(name):
    golden, episodes = replay(name)
    for episode, played in enumerate(episodes):
        np.testing.assert_array_equal(played["obs"], golden.obs[episode])
        assert played["obs"].dtype == "int32"
        assert played["terminated"][-1] or played["truncated"][-1]
    assert_outcomes_equal(golden, episodes)


@pytest.mark.parametrize("name", cases("Pendulum"))
def test_pendulums_replay_open_loop(name):
    golden, episodes = replay(name)
    for episode, played in enumerate(episodes):
        np.testing.assert_allclose(played["obs"], golden.obs[episode], rtol=0, atol=2e-5)
        assert played["truncated"][-1]
    assert_outcomes_equal(golden, episodes)


@pytest.mark.parametrize("name", cases("Cart"))
def test_cart_poles_replay_open_loop_until_chaos(name):
    golden, episodes = replay(name)
    tolerance = 5e-5 if "Velocity" in name else 1e-5
    for episode, played in enumerate(episodes):
        expected = golden.obs[episode][:81]
        np.testing.assert_allclose(played["obs"][:81], expected, rtol=0, atol=tolerance)
    assert_outcomes_equal(golden, episodes, num_steps=80)


@pytest.mark.parametrize("name", cases(""))
def test_agent_view_equals_the_flattened_observation_of_popgym(name):
    golden, episodes = replay(name)
    expected = golden.data["flat_obs"]
    actual = episodes[0]["flat_obs"][: len(expected)]
    tolerance = 1e-5 if any(part in name for part in PHYSICS) else 0
    np.testing.assert_allclose(actual, expected, rtol=0, atol=tolerance)
    size = envs.AgentView(envs.make(name)).observation_space.shape[0]
    assert expected.shape[1] == size


@pytest.mark.parametrize("name", cases(""))
def test_discount_is_0_at_terminal_states_alone(name):
    for played in replay(name)[1]:
        assert played["discount"].dtype == "float32"
        np.testing.assert_array_equal(played["discount"][0], 1.0)
        np.testing.assert_array_equal(played["discount"][1:], 1.0 - played["terminated"])


def one_step_from_recorded_states(name):
    """Takes one step from every recorded state of every episode at once."""
    golden, env = Golden(name), envs.make(name)

    def joined(pieces):
        return np.concatenate(list(pieces))

    initial, draws = {"init_state": joined(states[:-1] for states in golden.states)}, {}
    if hasattr(golden, "noise"):
        initial["noise"] = joined(noise[:-1] for noise in golden.noise)
        draws["noise"] = joined(noise[1:] for noise in golden.noise)
    time = joined(np.arange(len(actions)) for actions in golden.actions)

    def program(initial, time, actions, draws):
        state = {**env.initial(initial), "time": time}
        state, *outcome = env.transition(state, actions, draws)
        return state, env.observation(state), *outcome

    arguments = to_tensors((initial, time, golden.data["actions"], draws))
    results = compiled(program)(*arguments)
    results = keras.tree.map_structure(ops.convert_to_numpy, results)
    state, obs, reward, terminated, truncated = results
    np.testing.assert_array_equal(state["time"], time + 1)
    np.testing.assert_array_equal(terminated, golden.data["terminated"])
    np.testing.assert_array_equal(truncated, golden.data["truncated"])
    physics = (state["physics"], joined(states[1:] for states in golden.states))
    return golden, physics, (obs, joined(obs[1:] for obs in golden.obs)), reward


@pytest.mark.parametrize("name", cases("Cart"))
def test_one_step_of_cart_pole_is_exact_to_float32(name):
    golden, physics, obs, reward = one_step_from_recorded_states(name)
    # Constant pushing past the end of the pole reaches large speeds, hence the relative part.
    np.testing.assert_allclose(*physics, rtol=1.5e-7, atol=1.5e-7)
    np.testing.assert_allclose(*obs, rtol=1.5e-7, atol=1.5e-7)
    np.testing.assert_allclose(reward, golden.data["rewards"], rtol=0, atol=1e-9)
    assert golden.data["terminated"].any()


@pytest.mark.parametrize("name", cases("Pendulum"))
def test_one_step_of_pendulum_is_exact_to_float32(name):
    golden, (physics, after), (obs, expected_obs), reward = one_step_from_recorded_states(name)
    # The package takes whole turns off the angle; a float32 of many turns starts with their error.
    error = physics - after
    error[:, 0] -= 2 * np.pi * np.round(error[:, 0] / (2 * np.pi))
    rounding = np.spacing(np.abs(after).max(axis=1, keepdims=True).astype("float32"))
    assert np.all(np.abs(error) < 5e-7 + rounding)
    assert np.all(np.abs(obs - expected_obs) < 5e-7 + rounding)
    np.testing.assert_allclose(reward, golden.data["rewards"], rtol=0, atol=1e-8)
    assert np.abs(golden.data["actions"]).max() > 2


CART_POLE_BOUNDS = np.array([4.8, 0.41887903], "float32")
CART_POLE_BOX = Box(-CART_POLE_BOUNDS, CART_POLE_BOUNDS)
PENDULUM = (Box(-1, 1, (2,)), Box(-2, 2, (1,)))
LABYRINTH = ((1023,) * 3, *[(MultiDiscrete([5] * 10), Discrete(4))] * 3)

# family: steps of the longest episode, then spaces of observations and actions, by difficulty
TABLE = {
    "Autoencode": (
        (103, 207, 311),
        *[(Tuple((Discrete(2), Discrete(4))), Discrete(4))] * 3,
    ),
    "Battleship": (
        (64, 100, 144),
        *[(Discrete(2), MultiDiscrete([size, size])) for size in (8, 10, 12)],
    ),
    "Concentration": (
        (104, 208, 104),
        (MultiDiscrete([3] * 52), Discrete(52)),
        (MultiDiscrete([3] * 104), Discrete(104)),
        (MultiDiscrete([14] * 52), Discrete(52)),
    ),
    "CountRecall": (
        (51, 103, 207),
        (MultiDiscrete([2, 2]), Discrete(27)),
        (MultiDiscrete([4, 4]), Discrete(27)),
        (MultiDiscrete([13, 13]), Discrete(17)),
    ),
    "HigherLower": ((51, 103, 155), *[(Discrete(13), Discrete(2))] * 3),
    "LabyrinthEscape": LABYRINTH,
    "LabyrinthExplore": LABYRINTH,
    "MineSweeper": (
        (14, 30, 54),
        (Discrete(3), MultiDiscrete([4, 4])),
        (Discrete(7), MultiDiscrete([6, 6])),
        (Discrete(10), MultiDiscrete([8, 8])),
    ),
    "MultiarmedBandit": (
        (200, 400, 600),
        *[(Discrete(2), Discrete(num_bandits)) for num_bandits in (10, 20, 30)],
    ),
    "NoisyPositionOnlyCartPole": ((200, 200, 200), *[(CART_POLE_BOX, Discrete(2))] * 3),
    "NoisyPositionOnlyPendulum": ((200, 200, 200), *[PENDULUM] * 3),
    "PositionOnlyCartPole": ((200, 400, 600), *[(CART_POLE_BOX, Discrete(2))] * 3),
    "PositionOnlyPendulum": ((200, 150, 100), *[PENDULUM] * 3),
    "RepeatFirst": ((51, 415, 831), *[(Discrete(4), Discrete(4))] * 3),
    "RepeatPrevious": ((51, 103, 155), *[(Discrete(4), Discrete(4))] * 3),
    "VelocityOnlyCartpole": (
        (200, 400, 600),
        *[(Box(-np.inf, np.inf, (2,)), Discrete(2))] * 3,
    ),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_lengths_and_spaces_are_those_of_popgym(family):
    lengths, *spaces = TABLE[family]
    for level, length, (observations, actions) in zip(DIFFICULTIES, lengths, spaces, strict=True):
        env = envs.make(family + level)
        assert env.max_episode_steps == length
        assert env.observation_space == observations
        assert env.action_space == actions
