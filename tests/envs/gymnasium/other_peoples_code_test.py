"""Our environments under the wrappers, vector environments and algorithms of others."""

import functools

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv

import keras_s5rl  # noqa: F401, which makes its ids known

pytestmark = [pytest.mark.slow, pytest.mark.not_on_tensorflow]

CART_POLE = "keras_s5rl/PositionOnlyCartPoleEasy-v0"
wrappers, vector_wrappers = gymnasium.wrappers, gymnasium.wrappers.vector


def steps(env, num_steps, seed=0):
    """What an environment, single or vector, returns: the first observation, then the steps."""
    env.action_space.seed(seed)
    yield env.reset(seed=seed)
    for _ in range(num_steps):
        yield env.step(env.action_space.sample())


def test_a_time_limit_and_statistics_of_episodes():
    env = wrappers.RecordEpisodeStatistics(gymnasium.make(CART_POLE, max_episode_steps=4))
    _, *played = steps(env, 4)
    assert [step[3] for step in played] == [False, False, False, True]
    total = sum(step[1] for step in played)
    assert played[-1][4]["episode"]["r"] == pytest.approx(total) and total > 0
    assert played[-1][4]["episode"]["l"] == 4
    wrapped = wrappers.TimeLimit(gymnasium.make(CART_POLE), 3)
    assert [step[3] for step in list(steps(wrapped, 3))[1:]] == [False, False, True]


def test_normalised_and_stacked_observations():
    raw = [step[0] for step in steps(gymnasium.make(CART_POLE), 5)]
    env = wrappers.NormalizeObservation(gymnasium.make(CART_POLE))
    seen = [step[0] for step in steps(env, 5)]
    np.testing.assert_allclose(env.obs_rms.mean, np.mean(raw, axis=0), atol=1e-3)
    expected = (raw[-1] - env.obs_rms.mean) / np.sqrt(env.obs_rms.var + env.epsilon)
    np.testing.assert_allclose(seen[-1], expected, rtol=1e-4)
    stacked = wrappers.FrameStackObservation(gymnasium.make(CART_POLE), 3)
    frames = [step[0] for step in steps(stacked, 5)]
    assert frames[-1] in stacked.observation_space
    np.testing.assert_array_equal(frames[-1], raw[-3:])


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
def test_wrappers_of_vector_environments(mode):
    envs = gymnasium.make_vec(CART_POLE, num_envs=3, max_episode_steps=4, autoreset_mode=mode)
    envs = vector_wrappers.RecordEpisodeStatistics(envs)
    if mode == AutoresetMode.NEXT_STEP:  # the only one that it takes and that restarts by itself
        envs = vector_wrappers.NormalizeObservation(envs)
    _, *played = steps(envs, 9)
    for observations, _, _, _, _ in played:
        assert observations.shape == (3, 2) and np.isfinite(observations).all()
    rewards, infos = played[3][1], played[3][4]
    assert played[3][3].all() and infos["_episode"].all()
    np.testing.assert_allclose(infos["episode"]["r"], sum(step[1] for step in played[:4]))
    np.testing.assert_array_equal(infos["episode"]["l"], [4, 4, 4])
    assert rewards.shape == (3,)


def test_processes_of_their_own_give_what_one_process_gives():
    # "keras_s5rl:" has each process import the package. Forks of a running backend refuse to run.
    make = functools.partial(gymnasium.make, "keras_s5rl:keras_s5rl/AutoencodeEasy-v0")
    alone = SyncVectorEnv([make] * 2)
    apart = AsyncVectorEnv([make] * 2, context="spawn")
    try:
        for one, other in zip(steps(alone, 60), steps(apart, 60), strict=True):
            for a, b in zip(one[:-1], other[:-1], strict=True):
                np.testing.assert_array_equal(a, b)
    finally:
        apart.close()


def test_a_policy_gradient_in_torch_learns_from_a_vector_environment():
    torch = pytest.importorskip("torch", reason="An extra, `torch`, has it.")
    envs = gymnasium.make_vec("keras_s5rl/RepeatFirstEasy-v0", num_envs=32)
    actor = torch.nn.Linear(4, 4)  # the first step alone shows the card that all steps ask for
    optimizer = torch.optim.Adam(actor.parameters(), 0.3)
    means = []
    for update in range(12):
        observations, _ = envs.reset(seed=update)
        logits = actor(torch.nn.functional.one_hot(torch.as_tensor(observations), 4).float())
        actions = torch.distributions.Categorical(logits=logits).sample()
        _, rewards, _, _, _ = envs.step(actions.numpy())
        rewards = torch.as_tensor(rewards, dtype=torch.float32)
        log_probs = torch.log_softmax(logits, -1).gather(1, actions[:, None])[:, 0]
        loss = -((rewards - rewards.mean()) * log_probs).mean() / rewards.abs().max()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        means.append(float((rewards > 0).float().mean()))
    assert np.mean(means[:2]) < 0.6 < np.mean(means[-2:])


@pytest.mark.filterwarnings("default")  # its own
def test_stable_baselines3_checks_and_trains_in_them():
    baselines = pytest.importorskip("stable_baselines3", reason="An extra, `peers`, has it.")
    from stable_baselines3.common.env_checker import check_env
    from stable_baselines3.common.monitor import Monitor
    from stable_baselines3.common.vec_env import DummyVecEnv

    make = functools.partial(gymnasium.make, "keras_s5rl/RepeatPreviousEasy-v0")
    check_env(make())
    vector = DummyVecEnv([lambda: Monitor(make())] * 2)
    agent = baselines.PPO("MlpPolicy", vector, n_steps=64, batch_size=32, n_epochs=1, device="cpu")
    agent.learn(256)
    assert agent.num_timesteps == 256 and len(agent.ep_info_buffer) == 4
