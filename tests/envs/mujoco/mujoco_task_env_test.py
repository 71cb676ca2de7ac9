import gymnasium
import numpy as np
import pytest
from keras import ops

from keras_s5rl import PPO, backend, envs, random
from keras_s5rl.envs.mujoco.mujoco_task_env import MujocoTaskEnv
from tests.envs.mujoco.beside_dm_control import dm_control_env, flat, held_actions
from tests.support.differentiate import BACKEND
from tests.support.small_runs import small_config

pytestmark = pytest.mark.reference


def compiled_step(env):
    def step(state, action):
        state, reward, terminated, truncated = env.transition(state, action, {})
        return state, env.observation(state), reward, terminated, truncated

    return backend.compile(step, donate_argnums=(0,))


@pytest.mark.parametrize(
    "task", ("ball_in_cup_catch", "finger_spin", "finger_turn_hard", "cheetah_run", "reacher_easy")
)
def test_an_episode_is_that_of_dm_control_with_the_same_seed(task):
    env = envs.make("dm_control", task=task)
    state = env.initial(env.draw_initial(random.key(1), 2))
    references = [dm_control_env(task, seed) for seed in state["body"]["seed"]]
    first = [flat(reference.reset()) for reference in references]
    np.testing.assert_allclose(env.observation(state), first, rtol=1e-6, atol=1e-6)

    step, returns = compiled_step(env), 0.0
    for action in held_actions(300, (2, *env.action_space.shape)):
        state, observation, reward, _, _ = step(state, action)
        clipped = np.clip(action, -1, 1)
        time_steps = [other.step(a) for other, a in zip(references, clipped, strict=True)]
        # Rounded to float32; contacts make 1e-7 of the 1e-14 by which a step differs.
        expected = np.stack([flat(time_step) for time_step in time_steps])
        np.testing.assert_allclose(observation, expected, rtol=1e-6, atol=1e-6)
        rewards = [time_step.reward for time_step in time_steps]
        np.testing.assert_allclose(reward, rewards, atol=1e-6)
        returns += sum(rewards)
    physics = np.ascontiguousarray(state["body"]["physics"]).view("float64")
    for row, reference in zip(physics, references, strict=True):
        np.testing.assert_allclose(row[1:], reference.physics.state(), rtol=0, atol=1e-6)
    assert returns > 0 or task == "ball_in_cup_catch"


def test_an_episode_is_cut_off_and_an_action_is_repeated_for_the_mean_reward():
    single = MujocoTaskEnv("cheetah_run")
    double = MujocoTaskEnv("cheetah_run", max_episode_steps=3, action_repeat=2)
    draws = double.draw_initial(random.key(0), 3)
    state, other = double.initial(draws), single.initial(draws)
    for number, action in enumerate(held_actions(3, (3, 6), hold=1)):
        state, reward, terminated, truncated = double.transition(state, action, {})
        rewards = []
        for _ in range(2):
            other, other_reward, _, _ = single.transition(other, action, {})
            rewards.append(ops.convert_to_numpy(other_reward))
        np.testing.assert_allclose(reward, np.mean(rewards, axis=0), rtol=1e-6)
        np.testing.assert_array_equal(state["body"]["physics"], other["body"]["physics"])
        np.testing.assert_array_equal(terminated, False)
        np.testing.assert_array_equal(truncated, number == 2)


def test_gymnasium_plays_it():
    env = gymnasium.make_vec("keras_s5rl/dm_control-v0", num_envs=2, task="point_mass_hard")
    observation, _ = env.reset(seed=0)
    assert observation.shape == (2, 4) and env.single_action_space.shape == (2,)
    observation, reward, _, _, _ = env.step(env.action_space.sample())
    assert observation in env.observation_space and np.all((reward >= 0) & (reward <= 1))
    env.close()


@pytest.mark.skipif(BACKEND != "jax", reason="One backend shows that the trainer can use it.")
def test_ppo_trains_on_it_and_evaluates():
    env_args = {"task": "finger_spin", "max_episode_steps": 10}
    agent = PPO("dm_control", env_args, memory="mlp", config=small_config(), seed=0)
    history = agent.fit(total_steps=2 * 8 * 16)
    assert history.history["update"][-1] == 2 and np.isfinite(history.history["loss"]).all()
    report = agent.evaluate(num_episodes=3)
    assert report["length_mean"] == 10 and len(report["returns"]) == 3


def test_wrong_arguments_raise():
    with pytest.raises(ValueError, match="nearest known names are finger_spin.*task='finger_spun'"):
        MujocoTaskEnv("finger_spun")
    with pytest.raises(ValueError, match="`task` should have bounded actions.*'lqr_lqr_2_1'"):
        MujocoTaskEnv("lqr_lqr_2_1")
    with pytest.raises(ValueError, match="`engine` should be one of mujoco, mjx. .*'native'"):
        MujocoTaskEnv("finger_spin", engine="native")
    with pytest.raises(ValueError, match="`action_repeat` should be a positive integer"):
        MujocoTaskEnv("finger_spin", action_repeat=0)
