"""The paper's split of tasks, three of which need contacts, under projections."""

import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, envs, random
from keras_s5rl.envs.control.projected_control import ProjectedControl
from tests.envs.mujoco.beside_dm_control import dm_control_env, flat, held_actions

pytestmark = pytest.mark.reference

TRAINED = (
    *("ball_in_cup_catch", "cartpole_swingup", "finger_spin"),
    *("finger_turn_hard", "point_mass_easy", "reacher_easy"),
)
HELD_OUT = (
    *("cartpole_balance", "finger_turn_easy", "pendulum_swingup"),
    *("point_mass_hard", "reacher_hard"),
)


@pytest.mark.parametrize("tasks", (TRAINED, HELD_OUT))
def test_the_papers_tasks_are_those_of_dm_control_behind_the_projections(tasks):
    env = envs.make("projected_control", engine="mujoco", tasks=tasks, num_trials=2, trial_steps=5)
    assert env.observation_space.shape == (14,) and env.max_episode_steps == 10
    draws = env.draw_initial(random.key(2), 16)
    state = env.initial(draws)
    task, seeds = np.array(draws["task"]), np.array(draws["seed"])
    assert set(task) == set(range(len(tasks)))

    @backend.compile
    def step(state, action):
        state, reward, _, truncated = env.transition(state, action, {})
        return state, env.observation(state), reward, truncated

    def check(observation, time_steps):
        scaling = env._scaling
        for row, time_step in enumerate(time_steps):
            native = np.zeros(scaling.matrix.shape[2])
            native[: flat(time_step).size] = flat(time_step)
            period = scaling.periods[task[row]]
            turns = np.round(native / np.where(period > 0, period, np.inf))
            scaled = scaling.matrix[task[row]] @ (native - period * turns)
            projection = np.array(draws["observation_projection"][row])
            expected = projection @ (scaled + scaling.offset[task[row]])
            np.testing.assert_allclose(observation[row, :12], expected, rtol=1e-4, atol=1e-5)

    gain = np.sqrt(np.array(env._engine.control_sizes))[task]
    for trial in range(2):
        references = [
            dm_control_env(tasks[number], seed)
            for number, seed in zip(task, seeds[:, trial], strict=True)
        ]
        first = [reference.reset() for reference in references]
        check(ops.convert_to_numpy(env.observation(state)), first)
        for action in held_actions(5, (16, 2), seed=trial, hold=1):
            state, observation, reward, truncated = step(state, ops.convert_to_tensor(action))
            means, last = [], []
            for row, reference in enumerate(references):
                mixing = np.array(draws["action_projection"][row]).T
                control = np.clip(gain[row] * mixing @ action[row], -1, 1)
                size = reference.action_spec().shape[0]
                repeats = env._repeats[task[row]]
                played = [reference.step(control[:size]) for _ in range(repeats)]
                means.append(np.mean([time_step.reward for time_step in played]))
                last.append(played[-1])
            np.testing.assert_allclose(reward, means, rtol=1e-4, atol=1e-5)
            if np.array(state["trial_step"])[0] > 0:
                check(ops.convert_to_numpy(observation), last)
    np.testing.assert_array_equal(truncated, True)


def test_any_task_of_two_controls_fits_and_others_raise():
    arguments = {"engine": "mujoco", "projected_size": 17}
    env = ProjectedControl(tasks=("ball_in_cup_catch",), **arguments)
    assert env.observation_space.shape == (19,)
    with pytest.raises(ValueError, match="at most two controls, .*; cheetah_run has 6. Received"):
        ProjectedControl(tasks=("cheetah_run",), **arguments)
    with pytest.raises(ValueError, match='`engine` should be "native" where the physics vary'):
        ProjectedControl(tasks=("finger_spin",), tier="T3", engine="mujoco")
    with pytest.raises(ValueError, match="`engine` should be one of native, mujoco, mjx"):
        ProjectedControl(engine="brax")
