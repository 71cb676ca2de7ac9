import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.mujoco.ball_in_cup import BallInCup
from keras_s5rl.envs.mujoco.finger import Finger
from keras_s5rl.envs.mujoco.mjx_engine import MjxEngine
from keras_s5rl.envs.mujoco.mujoco_task_env import MujocoTaskEnv
from tests.envs.mujoco.beside_dm_control import dm_control_env, flat, held_actions
from tests.support.differentiate import BACKEND

pytestmark = pytest.mark.reference

TASKS = ("finger_turn_hard", "cartpole_swingup", "ball_in_cup_catch", "finger_spin")

if BACKEND == "jax":
    pytest.importorskip("mujoco.mjx", reason="mujoco-mjx (extra `mjx`) is not installed.")
only_on_jax = pytest.mark.skipif(BACKEND != "jax", reason="MJX runs on JAX.")


def in_contact(domain, task, qpos):
    """Whether anything touches in these positions, by MuJoCo."""
    physics = dm_control_env(f"{domain}_{task}", 0).physics
    touches = []
    for row in qpos:
        with physics.reset_context():
            physics.data.qpos[:] = row
        touches.append(physics.data.ncon > 0)
    return np.array(touches)


@only_on_jax
def test_one_step_of_a_mixed_batch_is_that_of_mujoco_in_float32():
    engine = MjxEngine(TASKS)
    assert engine.observation_sizes == (12, 5, 8, 9) and engine.observation_size == 12
    assert engine.control_sizes == (2, 1, 2, 2) and engine.time_steps == (0.02, 0.01, 0.02, 0.02)
    task = np.array([0, 1, 2, 3, 3, 0], "int32")
    constants = engine.constants(ops.convert_to_tensor(task))
    starts = engine.draw_starts(random.key(0), ops.convert_to_tensor(task), num_trials=2)
    assert starts["finger"]["qpos"].shape == (6, 2, 3)
    body = engine.draw_starts(random.key(1), ops.convert_to_tensor(task))
    references = [dm_control_env(TASKS[number], 3) for number in task]
    for reference in references:
        reference.reset()

    @backend.compile
    def step(body, control):
        body = engine.step(constants, body, control)
        reward = engine.reward(constants, body, control)
        return body, engine.observation(constants, body), reward

    def set_true_states(body):
        """Every step starts from MuJoCo's own state, so that errors do not grow."""
        body = {part: {n: np.array(v) for n, v in body[part].items()} for part in body}
        for row, reference in enumerate(references):
            physics, part = reference.physics, TASKS[task[row]].rpartition("_")[0]
            part = {"finger_turn": "finger", "cartpole": "native"}.get(part, part)
            size = physics.data.qpos.size
            body[part]["qpos"][row, :size] = physics.data.qpos
            body[part]["qvel"][row, :size] = physics.data.qvel
            if TASKS[task[row]] == "finger_turn_hard":
                x, z = physics.target_position()
                body[part]["target_angle"][row] = np.arctan2(x, z)
        return body

    errors, touched, was_taut = [], 0, 0
    for control in np.clip(held_actions(90, (6, 2)), -1, 1):
        body, observation, reward = step(set_true_states(body), control)
        for row, reference in enumerate(references):
            time_step = reference.step(control[row][: reference.action_spec().shape[0]])
            expected, seen = flat(time_step), np.array(observation)[row]
            error = np.abs(seen[: expected.size] - expected) / np.maximum(1, np.abs(expected))
            errors.append(error.max())
            assert not np.any(seen[expected.size :])
            np.testing.assert_allclose(reward[row], time_step.reward, atol=1e-5)
            touched += "touch" in time_step.observation and time_step.observation["touch"].any()
        was_taut += references[2].physics.data.ten_length[0] > 0.3
    # The solver works in float32: contacts are a thousand times less exact than free motion.
    assert (
        np.median(errors) < 1e-6
        and np.max(errors) < 0.01
        and np.mean(np.array(errors) > 1e-3) < 0.02
    )
    assert touched > 10 and was_taut > 10


@only_on_jax
def test_starts_are_free_of_contacts_and_only_contacts_are_rejected():
    from keras_s5rl.envs.mujoco import finger

    angles = np.random.default_rng(0).uniform(-1, 1, (2000, 3)) * [1.9, 1.9, np.pi]
    clearance = ops.convert_to_numpy(finger._clearance(angles.astype("float32")))
    touches = in_contact("finger", "spin", angles)
    np.testing.assert_array_equal(clearance <= 0, touches)
    assert 100 < touches.sum() < 1000

    task = np.zeros(2000, "int32")
    for part, name in ((BallInCup(BallInCup.TASKS), "catch"), (Finger(("finger_spin",)), "spin")):
        domain = "finger" if name == "spin" else "ball_in_cup"
        qpos = ops.convert_to_numpy(part.draw_starts(random.key(2), task)["qpos"])
        assert not in_contact(domain, name, qpos).any()
        reference = dm_control_env(f"{domain}_{name}", 0)
        expected = []
        for _ in task:
            reference.reset()
            expected.append(reference.physics.data.qpos.copy())
        # Four standard errors of the difference of two means, and of the mean squares.
        for power in (1, 2):
            ours, theirs = qpos**power, np.array(expected) ** power
            width = 4 * np.sqrt((ours.var(0) + theirs.var(0)) / len(task)) + 1e-7
            assert np.all(np.abs(ours.mean(0) - theirs.mean(0)) < width)


@only_on_jax
def test_a_task_is_an_environment_whose_actions_are_clipped():
    env = MujocoTaskEnv("cartpole_swingup", max_episode_steps=2, engine="mjx")
    state = env.initial(env.draw_initial(random.key(0), 3))
    beyond = env.transition(state, 3.0 * ops.ones((3, 1)), {})
    within = env.transition(state, ops.ones((3, 1)), {})
    np.testing.assert_array_equal(env.observation(beyond[0]), env.observation(within[0]))
    np.testing.assert_array_equal(beyond[1], within[1])
    assert env.observation(state).shape == (3, 5) and env.action_space.shape == (1,)
    assert not np.any(beyond[3]) and np.all(env.transition(beyond[0], ops.ones((3, 1)), {})[3])


def test_where_it_cannot_run_it_says_so():
    with pytest.raises(ValueError, match="`tasks` should be names among .*('cheetah_run',)"):
        MjxEngine(("cheetah_run",))
    if BACKEND != "jax":
        with pytest.raises(ValueError, match="MJX runs on JAX: set KERAS_BACKEND=jax"):
            MujocoTaskEnv("finger_spin", engine="mjx")
    else:
        engine = MjxEngine(("ball_in_cup_catch",))
        with pytest.raises(ValueError, match=r"`scales` should be None.*scales=\['mass'\]"):
            engine.constants(ops.zeros((1,), "int32"), {"mass": 1.0})
