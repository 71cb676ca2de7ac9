import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.control.engines import make_engine
from keras_s5rl.envs.mujoco.mujoco_engine import MujocoEngine
from tests.envs.mujoco.beside_dm_control import dm_control_env, flat, held_actions

pytestmark = pytest.mark.reference

TASKS = ("finger_turn_easy", "cartpole_balance", "reacher_easy", "cartpole_swingup")


def test_rows_of_several_tasks_start_and_step_as_in_dm_control_with_trials():
    engine = MujocoEngine(TASKS)
    assert engine.observation_sizes == (12, 5, 6, 5) and engine.observation_size == 12
    assert engine.control_sizes == (2, 1, 2, 1) and engine.num_controls == 2
    assert engine.time_steps == (0.02, 0.01, 0.02, 0.01)
    task = ops.convert_to_tensor(np.array([3, 0, 1, 2, 0], "int32"))
    constants = engine.constants(task)
    starts = backend.compile(lambda key: engine.draw_starts(key, task, num_trials=2))(random.key(3))
    assert starts["seed"].shape == (5, 2) and starts["outcome"].shape == (5, 2, 13)
    assert len(np.unique(starts["seed"])) == 10
    body = {name: tensor[:, 1] for name, tensor in starts.items()}
    references = [
        dm_control_env(TASKS[int(number)], seed)
        for number, seed in zip(task, body["seed"], strict=True)
    ]
    first = [flat(reference.reset()) for reference in references]

    @backend.compile
    def step(body, control):
        body = engine.step(constants, body, control)
        reward = engine.reward(constants, body, control)
        return body, engine.observation(constants, body), reward, engine.has_fallen(constants, body)

    def check(observation, expected):
        for row, values in zip(np.array(observation), expected, strict=True):
            np.testing.assert_allclose(row[: values.size], values, rtol=1e-6, atol=1e-6)
            assert not np.any(row[values.size :])

    check(engine.observation(constants, body), first)
    fallen_at = []
    for number, control in enumerate(np.clip(held_actions(150, (5, 2)), -1, 1)):
        body, observation, reward, has_fallen = step(body, control)
        time_steps = [
            reference.step(row[: reference.action_spec().shape[0]])
            for reference, row in zip(references, control, strict=True)
        ]
        check(observation, [flat(time_step) for time_step in time_steps])
        np.testing.assert_allclose(reward, [step.reward for step in time_steps], atol=1e-6)
        # The pole may go all the way round.
        angle = references[2].physics.named.data.qpos["hinge_1"][0]
        is_low = abs(angle - 2 * np.pi * np.round(angle / (2 * np.pi))) > 0.25
        np.testing.assert_array_equal(has_fallen, [False, False, is_low, False, False])
        fallen_at += [number] * bool(has_fallen[2])
    assert fallen_at and fallen_at[0] > 0


def test_the_physics_cannot_be_scaled_and_engines_have_names():
    engine = make_engine("mujoco", ("reacher_easy",))
    assert isinstance(engine, MujocoEngine)
    with pytest.raises(ValueError, match=r"`scales` should be None.*Received: scales=\['mass'\]"):
        engine.constants(ops.zeros((1,), "int32"), {"mass": 1.0})
    with pytest.raises(ValueError, match="`engine` should be one of native, mujoco, mjx. Received"):
        make_engine("bullet", ())
