"""What pictures and texts show of contexts: their trials, and the body behind the projections."""

import functools
import itertools

import keras
import numpy as np
import pytest

from keras_s5rl import envs
from keras_s5rl.envs.rendering import render
from keras_s5rl.envs.rendering.canvas import BLUE, GOLD, ImageColor
from keras_s5rl.envs.rendering.trial_bars import TRIALS_HEIGHT
from tests.envs.play import play

FOOT = 38  # pixels below the trials
TASKS = ("cartpole_balance", "acrobot_swingup", "reacher_easy", "point_mass_easy")


def row_of(draws, row):
    return {name: values[row] for name, values in draws.items()}


def played(env, draws, actions):
    """Returns a function of a row that gives the states of that row, and the rewards."""
    seen = play(env, draws, actions, watch={"state": lambda state: state})

    def states_of(row):
        return [
            keras.tree.map_structure(lambda leaf, time=time: leaf[time, row], seen["state"])
            for time in range(len(actions) + 1)
        ]

    return states_of, seen["rewards"]


@functools.cache
def contexts():
    """Plays trials of each task, always pushing the same way; a pole falls from that.

    Returns:
        The environment, and for each task the draws, the states and the rewards of a context.
    """
    env = envs.make(
        "projected_control",
        tasks=TASKS,
        num_trials=3,
        trial_steps=12,
        projection="identity",
        end_on_fall=True,
    )
    rng, num_tasks = np.random.default_rng(0), len(TASKS)
    cos, sin = np.cos([0.5, 1.0, 2.0, 4.0]), np.sin([0.5, 1.0, 2.0, 4.0])
    # Slots that a task does not have stay at zero.
    is_slot = np.array([[1, 1, 0], [0, 1, 1], [0, 1, 1], [1, 1, 0]])[:, None]
    draws = {
        "action_projection": np.moveaxis(np.array([[cos, sin], [-sin, cos]]), 2, 0),
        "qpos": rng.uniform(-0.1, 0.1, (num_tasks, 3, 3)) * is_slot,
        "qvel": rng.uniform(-0.1, 0.1, (num_tasks, 3, 3)) * is_slot,
        "target": rng.uniform(-0.1, 0.1, (num_tasks, 3, 2)),
        "tendon_coef": np.tile(np.eye(2), (num_tasks, 3, 1, 1)),
    }
    draws = {name: values.astype("float32") for name, values in draws.items()}
    draws["task"] = np.arange(num_tasks, dtype="int32")
    pushes = draws["action_projection"][:, :, 0]  # with the first control
    states_of, rewards = played(env, draws, np.tile(pushes, (24, 1, 1)))
    return env, {
        task: (row_of(draws, row), states_of(row), rewards[:, row])
        for row, task in enumerate(TASKS)
    }


@functools.cache
def cart_pole():
    """Returns an environment, and the states of two trials of which the first ends by a fall."""
    env = envs.make("projected_cartpole", num_trials=2, trial_steps=12)
    # To the right it falls after 9 steps; to and fro it is upright for 12.
    pushes = np.array([1] * 9 + [1, 0] * 6, "int32")
    draws = {
        "init_state": np.zeros((1, 4), "float32"),
        "projection": np.eye(4, 2, dtype="float32")[None],
    }
    states_of, _ = played(env, draws, pushes[:, None])
    return env, states_of(0)


def trial_words(env, state):
    """Returns the last two lines of the text: progress, and the returns of the trials."""
    return render(env, state, "ansi").split("\n")[-2:]


def scene(env, state, action=None):
    """Returns the body's part of the picture."""
    return render(env, state, "rgb_array", action)[80 : -FOOT - TRIALS_HEIGHT]


def test_trials_and_falls_of_a_projected_cart_pole_are_shown():
    env, states = cart_pole()
    shown, returns = zip(*(trial_words(env, state) for state in states), strict=True)
    assert shown[:9] == tuple(f"trial 1 of 2  step {step} of 12" for step in range(9))
    assert shown[9] == "trial 2 of 2  trial 1 ended by a fall"
    assert shown[10:21] == tuple(f"trial 2 of 2  step {step} of 12" for step in range(1, 12))
    assert shown[21] == "trial 2 of 2  trial 2 ended"
    assert returns[3] == "returns of trials 0.25" and returns[9] == "returns of trials 0.75 0.00"
    assert returns[12] == "returns of trials 0.75 0.25"
    assert returns[21] == "returns of trials 0.75 1.00"


@pytest.mark.slow
@pytest.mark.parametrize(("task", "word"), [(TASKS[0], "ended by a fall"), (TASKS[1], "ended")])
def test_trials_and_falls_of_projected_control_are_shown(task, word):
    env, episodes = contexts()
    _, states, rewards = episodes[task]
    ends = [time for time in range(1, 25) if states[time]["trial_step"] == 0][:3]
    assert len(ends) >= 2 and (ends[0] < 12) == (word == "ended by a fall")
    for time, state in enumerate(states[: ends[2] if len(ends) > 2 else None]):
        past = [end for end in ends if end <= time]
        expected = f"step {time - (past or [0])[-1]} of 12"
        if time in ends:
            expected = f"trial {len(past)} {word}"
        progress, returns = trial_words(env, state)
        assert progress == f"trial {len(past) + 1} of 3  {expected}"
        pieces = itertools.pairwise([0, *past, time])
        sums = [rewards[first:last].sum() for first, last in pieces]
        shown = [float(number) for number in returns.split()[3:]]
        np.testing.assert_allclose(shown, sums, rtol=0, atol=0.051)


@pytest.mark.slow
@pytest.mark.parametrize("best", [1.0, 12.0])
def test_bars_are_as_high_as_the_returns(best):
    env, states = cart_pole() if best == 1.0 else (contexts()[0], contexts()[1][TASKS[0]][1])
    env.num_trials, usual = 5, env.num_trials
    shares = np.array([0.25, 1.0, 0.5, 0.1, 0.0], "float32")
    state = {**states[1], "trial": np.int32(3), "trial_returns": best * shares}
    over = {**state, "trial": np.int32(5), "trial_step": np.int32(0)}
    heights = []
    for shown in (render(env, each, "rgb_array").astype(int) for each in (state, over)):
        bars = shown[-FOOT - TRIALS_HEIGHT + 28 : -FOOT - 23]
        columns = bars[:, [round(16 + 428 / 5 * (trial + 0.5)) for trial in range(5)]]
        for color in (BLUE, GOLD):
            is_bar = np.abs(columns - ImageColor.getrgb(color)).sum(axis=2) < 12
            heights.append(is_bar.sum(axis=0))
    env.num_trials = usual
    expected = 40 * shares * [[1, 1, 1, 0, 0], [0, 0, 0, 1, 0], [1] * 5, [0] * 5]
    np.testing.assert_allclose(heights, expected, rtol=0, atol=1.1)
    assert heights[0][4] == heights[1][4] == 0  # a trial to come has no bar


@pytest.mark.slow
def test_the_body_is_shown_not_its_projection():
    env, episodes = contexts()
    for task in TASKS:
        draws, (state, *_), _ = episodes[task]
        slots = slice(1, 3) if task in ("acrobot_swingup", "reacher_easy") else slice(2)
        own = {name: draws[name][0] for name in ("target", "tendon_coef")}
        own |= {name: draws[name][0, slots] for name in ("qpos", "qvel")}
        alone = envs.make(task)
        shown = render(env, state, "ansi").split("\n")
        assert shown[1] == f"task {task}"
        assert shown[2:4] == render(alone, own, "ansi").split("\n")[1:]
        assert np.array_equal(scene(env, state), render(alone, own, "rgb_array")[80:-FOOT])


@pytest.mark.slow
def test_longer_links_are_drawn_longer():
    env, episodes = contexts()
    state = episodes["cartpole_balance"][1][1]
    longer = {**state, "length": np.float32(1.5)}
    assert not np.array_equal(scene(env, longer), scene(env, state))


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("task", ["cartpole_balance", "reacher_easy"])
def test_the_control_that_the_projection_makes_is_shown(task):
    env, episodes = contexts()
    draws, states, _ = episodes[task]
    action = np.array([0.6, -0.9], "float32")
    size = 2 if task == "reacher_easy" else 1
    mixing = draws["action_projection"][:, :size]
    control = np.clip(np.sqrt(size) * (action @ mixing), -1, 1)
    shown = render(env, states[1], "ansi", action).split("\n")
    assert shown[4] == "control " + " ".join(f"{number:+.2f}" for number in control)
    assert shown[-1] == "action +0.60 -0.90"
    assert not np.array_equal(scene(env, states[1], action), scene(env, states[1], -action))
    # What ended a trial did not move the body at the start of the next.
    start = next(state for state in states[1:] if state["trial_step"] == 0)
    assert "control" not in render(env, start, "ansi", action)
    assert np.array_equal(scene(env, start, action), scene(env, start))


def test_swapped_pushes_are_drawn_as_they_act():
    env, state = envs.make("projected_cartpole", project_actions=True), cart_pole()[1][1]
    straight, swapped = (
        {**state, "trial_returns": np.zeros(16, "float32"), "swapped": np.bool_(value)}
        for value in (False, True)
    )
    assert np.array_equal(scene(env, straight, 1), scene(env, swapped, 0))
    assert not np.array_equal(scene(env, straight, 1), scene(env, swapped, 1))
    shown = render(env, swapped, "ansi", 1)
    assert "\nleft and right are swapped\n" in shown and shown.endswith("\naction choice 1")
    assert "swapped" not in render(env, straight, "ansi")
    assert render(cart_pole()[0], state, "ansi", 1).endswith("\naction push right")


def test_many_trials_fit():
    env, state = envs.make("projected_cartpole", num_trials=300), cart_pole()[1][1]
    state = {**state, "trial": np.int32(250), "trial_returns": np.ones(300, "float32")}
    assert render(env, state, "rgb_array").shape[1] == 460


def test_a_body_that_mujoco_moves_is_shown_by_its_observation():
    env, episodes = contexts()
    state = episodes["cartpole_balance"][1][1]

    class Mujoco(type(env)):
        def observation(self, state):
            return state["body"]["outcome"]

    env = Mujoco(tasks=TASKS)
    state = {**state, "body": {"outcome": np.array([1.25, -3.5], "float32")}}
    shown = render(env, state, "ansi").split("\n")
    assert shown[1:3] == ["task cartpole_balance", "observation 1.25 -3.5"]
    other = {**state, "body": {"outcome": np.array([1.25, -3.75], "float32")}}
    assert not np.array_equal(scene(env, state), scene(env, other))
