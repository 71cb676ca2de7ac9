"""The two labyrinths: what is seen, where a step leads, what it is worth and when it is over."""

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.popgym.labyrinth_escape import LabyrinthEscape
from keras_s5rl.envs.popgym.labyrinth_explore import LabyrinthExplore
from tests.envs.popgym.one_episode import play_one
from tests.support.differentiate import compiled

LEFT, RIGHT, UP, DOWN = range(4)
# Start 2 at the top, goal 3 at the bottom, seven corridor cells.
GRID = """
    1 2 1 1 1
    1 0 1 0 1
    1 0 0 0 1
    1 0 1 0 1
    1 3 1 1 1
"""
WAY_OUT = [DOWN, DOWN, DOWN, DOWN]
WAY_THROUGH_ALL = [DOWN, DOWN, DOWN, UP, RIGHT, RIGHT, UP, DOWN, DOWN]


def play(env, actions):
    """One episode in `GRID`: positions `[y, x]`, the first included, rewards and flags as lists."""
    grid = np.array(GRID.split(), int).reshape(5, 5)
    (start,), (end,) = np.argwhere(grid == 2), np.argwhere(grid == 3)
    if isinstance(env, LabyrinthExplore):
        grid[tuple(end)] = 1
    draws = {"grid": grid, "start": start, "end": end}
    positions, *outcomes = play_one(env, draws, actions, lambda s: env.info(s)["position"])
    return [[y, x] for x, y in positions], *outcomes


def test_steps_into_walls_and_out_of_the_grid_stay_in_place():
    actions = [UP, LEFT, RIGHT, DOWN, LEFT, RIGHT, DOWN, LEFT, RIGHT]
    positions, rewards, terminated, _ = play(LabyrinthEscape((4, 4), 100), actions)
    assert positions == [[0, 1]] * 4 + [[1, 1]] * 3 + [[2, 1]] * 2 + [[2, 2]]
    np.testing.assert_allclose(rewards, -0.01, rtol=1e-6)
    assert not any(terminated)


def test_the_goal_ends_the_escape_and_is_worth_1():
    env = LabyrinthEscape((4, 4), 1024)
    positions, rewards, terminated, truncated = play(env, WAY_OUT)
    assert positions[-1] == [4, 1]
    np.testing.assert_allclose(rewards, [-1 / 1024] * 3 + [1 - 1 / 1024], rtol=1e-6)
    assert terminated == [False, False, False, True]
    assert not any(truncated)


def test_new_cells_are_worth_a_share_of_1_and_the_last_one_ends_the_exploration():
    env = LabyrinthExplore((4, 4), 1024)
    positions, rewards, terminated, truncated = play(env, [UP, *WAY_THROUGH_ALL])
    assert positions[:2] == [[0, 1]] * 2 and positions[-1] == [3, 3]
    is_new = np.array([0, 1, 1, 1, 0, 1, 1, 1, 0, 1])
    np.testing.assert_allclose(rewards, np.where(is_new, 1 / 7, -1 / 1024), rtol=1e-6)
    assert terminated == [False] * 9 + [True]
    assert not any(truncated)


def test_the_way_out_is_closed_to_the_explorer():
    positions, *_ = play(LabyrinthExplore((4, 4)), WAY_OUT)
    assert positions[-2:] == [[3, 1]] * 2


@pytest.mark.parametrize(
    ("kind", "actions"), [(LabyrinthEscape, WAY_OUT), (LabyrinthExplore, WAY_THROUGH_ALL)]
)
def test_an_episode_is_truncated_one_step_before_its_length_even_if_it_terminates(kind, actions):
    in_time = kind((4, 4), episode_length=len(actions) + 1)
    assert in_time.max_episode_steps == len(actions)
    *_, terminated, truncated = play(in_time, actions)
    assert terminated == truncated == [False] * (len(actions) - 1) + [True]
    too_late = kind((4, 4), episode_length=len(actions))
    *_, terminated, truncated = play(too_late, actions[:-1])
    assert not any(terminated)
    assert truncated == [False] * (len(actions) - 2) + [True]


def view(grid, y, x):
    """What popgym shows: the codes around a place, filled up below and to the right."""
    height, width = grid.shape
    window = grid[max(y - 1, 0) : min(y + 1, height - 1) + 1]
    window = window[:, max(x - 1, 0) : min(x + 1, width - 1) + 1]
    full = np.ones((3, 3), int)
    full[: window.shape[0], : window.shape[1]] = window
    return full.ravel()


def test_the_view_is_filled_up_below_and_to_the_right():
    generator = np.random.default_rng(1)
    env = LabyrinthEscape((4, 6))
    grid = generator.integers(0, 4, (5, 7))
    positions = np.array([(y, x) for y in range(5) for x in range(7)])
    state = env.initial(
        {
            "grid": ops.convert_to_tensor(np.repeat(grid[None], 35, axis=0).astype("int32")),
            "start": ops.convert_to_tensor(positions.astype("int32")),
        }
    )
    observation = ops.convert_to_numpy(env.observation(state))
    assert observation.dtype == "int32"
    expected = [[*view(grid, y, x), 4] for y, x in positions]
    np.testing.assert_array_equal(observation, expected)
    assert all(env.observation_space.contains(row) for row in observation)


def test_the_view_ends_with_the_action_just_taken():
    grid = np.array(GRID.split(), int).reshape(5, 5)
    draws = {"grid": grid, "start": [0, 1]}
    observations, *_ = play_one(LabyrinthEscape((4, 4)), draws, [UP, LEFT, DOWN, RIGHT])
    assert [row[9] for row in observations] == [4, UP, LEFT, DOWN, RIGHT]


@pytest.mark.slow
@pytest.mark.skipif(
    keras.backend.backend() != "jax", reason="The bits are those of JAX on every backend."
)
@pytest.mark.parametrize("kind", [LabyrinthEscape, LabyrinthExplore])
def test_start_and_goal_are_marked_in_a_new_maze(kind):
    env = kind((6, 10))
    drawn = compiled(lambda key: env.draw_initial(key, 50))(random.key(1))
    grid, start, end = (ops.convert_to_numpy(drawn[name]) for name in ("grid", "start", "end"))
    assert grid.shape == (50, 7, 11) and grid.dtype == "int8"
    number = np.arange(50)
    assert (grid[number, start[:, 0], start[:, 1]] == 2).all()
    is_escape = kind is LabyrinthEscape
    assert (grid[number, end[:, 0], end[:, 1]] == (3 if is_escape else 1)).all()
    codes = [(grid == code).sum(axis=(1, 2)) for code in (0, 2, 3)]
    np.testing.assert_array_equal(codes, np.repeat([[29], [1], [int(is_escape)]], 50, axis=1))
    # Entrances lead into the maze: one of the four steps leaves the start.
    state = env.initial(drawn)
    moved = np.zeros(50, int)
    for action in range(4):
        action = ops.full((50,), action, dtype="int32")
        position = env.transition(state, action, {})[0]["position"]
        moved += (ops.convert_to_numpy(position) != start).any(axis=1)
    np.testing.assert_array_equal(moved, 1)


@pytest.mark.parametrize("maze_dims", [(5, 6), (2, 4), (6,), (4, 4, 4)])
def test_sizes_that_are_not_two_even_numbers_from_4_are_refused(maze_dims):
    with pytest.raises(ValueError, match=r"`maze_dims` should be two even .*Received: maze_dims="):
        LabyrinthEscape(maze_dims)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("maze_dims", {"maze_dims": (4.0, 4)}),
        ("episode_length", {"episode_length": 0}),
    ],
)
def test_numbers_that_are_no_positive_integers_are_refused(name, arguments):
    with pytest.raises(ValueError, match=rf"`{name}` should be a positive integer\. Received"):
        LabyrinthExplore(**arguments)


def test_an_episode_without_a_step_is_refused():
    with pytest.raises(ValueError, match="at least 2: .*Received: episode_length=1"):
        LabyrinthExplore(episode_length=1)
