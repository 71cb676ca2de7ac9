import numpy as np
import pytest

from keras_s5rl.envs.mujoco.simulator import Simulator
from tests.envs.mujoco.beside_dm_control import held_actions

pytestmark = pytest.mark.reference

TASKS = ("finger_turn_hard", "point_mass_hard", "swimmer_swimmer6")  # all change their models


def play(simulator, task, seed, actions):
    physics, outcome = simulator.start(task, seed)
    outcomes = [outcome]
    for action in actions:
        physics, outcome = simulator.step(task, seed, physics, action)
        outcomes.append(outcome)
    return physics, np.stack(outcomes)


def test_a_row_is_the_same_whatever_else_is_computed():
    task = np.array([0, 1, 2, 0, 1, 2, 0], "int32")
    seed = np.array([5, 5, 5, 6, 7, 8, 5], "int32")
    actions = held_actions(30, (len(task), 5))
    actions[:, 6] = actions[:, 0]
    simulator = Simulator(TASKS, num_threads=2)
    together = play(simulator, task, seed, actions)
    np.testing.assert_array_equal(together[1][:, 0], together[1][:, 6])
    assert np.any(together[1][-1, 0] != together[1][-1, 3])

    order = np.array([4, 2, 0, 3])
    # As many seeds as before have models; other seeds take their places, and give them back.
    play(simulator, task, seed + 100, actions[:1])
    shuffled = play(simulator, task[order], seed[order], actions[:, order])
    np.testing.assert_array_equal(shuffled[0], together[0][order])
    np.testing.assert_array_equal(shuffled[1], together[1][:, order])

    # On its own, without threads, and from where it was in the middle.
    fresh = Simulator(TASKS, num_threads=1)
    for row in range(3):
        rows = slice(row, row + 1)
        half, _ = play(fresh, task[rows], seed[rows], actions[:15, rows])
        play(fresh, task[rows], seed[rows] + 9, actions[:3, rows])
        for action in actions[15:, rows]:
            half, outcome = fresh.step(task[rows], seed[rows], half, action)
        np.testing.assert_array_equal(half, together[0][rows])
        np.testing.assert_array_equal(outcome, together[1][-1, rows])


def test_models_are_made_only_for_as_many_seeds_as_a_call_holds():
    simulator = Simulator(("reacher_easy",), num_threads=1)
    copies, template = [], simulator._tasks[0]._template.physics
    make_copy = template.copy
    template.copy = lambda: copies.append(1) or make_copy()
    task, action = np.zeros(3, "int32"), np.zeros((3, 2), "float32")
    for seeds in ((0, 1, 2), (1, 2, 0), (1, 2, 5), (6, 7, 1), (9, 9, 9)):
        seed = np.array(seeds, "int32")
        physics, _ = simulator.start(task, seed)
        simulator.step(task, seed, physics, action)
    assert len(copies) == 3
