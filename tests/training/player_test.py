"""A policy in plain loops over environments of Gymnasium."""

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from keras import ops

from keras_s5rl import Player
from tests.envs.gymnasium.counting_env import MaskedEnv
from tests.training.gymnasium_evaluation_test import (
    Cards,
    Numbers,
    cards_played_by_hand,
    policy_for,
)

pytestmark = pytest.mark.not_on_tensorflow


@pytest.fixture(scope="module")
def policy():
    return policy_for(Cards, 3 + 2 + 3 + 2 + 2)


def test_a_loop_over_one_environment_plays_what_the_policy_does_by_hand(policy):
    env, returns, seed = Cards(), [], 5
    player = Player(policy, env)
    for _ in range(3):
        (observation, _), over, total = env.reset(seed=seed), False, 0.0
        player.reset()
        while not over:
            action = player.act(observation)
            assert action in env.action_space
            observation, reward, terminated, truncated, _ = env.step(action)
            total, over, seed = total + reward, terminated or truncated, None
        returns.append(total)
    assert returns == cards_played_by_hand(policy, 3, 1)[0]


@pytest.mark.slow
@pytest.mark.parametrize("mode", AutoresetMode)
def test_one_loop_serves_every_mode_of_autoreset(mode, policy):
    copies = SyncVectorEnv([Cards] * 2, autoreset_mode=mode)
    player, totals, returns = Player(policy, copies), np.zeros(2), [[], []]
    observations, _ = copies.reset(seed=5)
    while min(map(len, returns)) < 3:
        actions = player.act(observations)
        assert actions in copies.action_space
        observations, rewards, terminated, truncated, _ = copies.step(actions)
        over = terminated | truncated
        if mode == AutoresetMode.DISABLED and over.any():
            observations, _ = copies.reset(options={"reset_mask": over})
        player.reset(over)
        totals += rewards
        for copy in np.flatnonzero(over):
            returns[copy].append(totals[copy])
            totals[copy] = 0.0
    expected = cards_played_by_hand(policy, 6, 2)[0]
    assert [returns[episode % 2][episode // 2] for episode in range(6)] == expected


def test_a_mask_clears_the_memory_of_its_environments_alone(policy):
    spaces = {"observation_space": Cards.observation_space, "action_space": Cards.action_space}
    generator = np.random.default_rng(0)
    seen = [(generator.integers(1, 4, 3), generator.integers(0, 2, 3)) for _ in range(12)]

    def play(observations, *masks):
        player, masks = Player(policy, num_envs=3, **spaces), dict(masks)
        actions = []
        for step, observation in enumerate(observations):
            if step in masks:
                player.reset(np.array(masks[step]))
            actions.append(player.act(observation))
        return np.stack(actions)

    whole, masked = play(seen), play(seen, (6, [False, True, False]))
    pieces = play(seen[6:])
    np.testing.assert_array_equal(masked[6:, 1], pieces[:, 1])
    np.testing.assert_array_equal(masked[:, [0, 2]], whole[:, [0, 2]])
    assert (whole[6:, 1] != pieces[:, 1]).any()


def test_draws_follow_the_seed_and_differ_from_episode_to_episode(policy):
    def play(seed):
        player = Player(policy, Cards(), deterministic=False, seed=seed)
        actions = []
        for _ in range(8):
            player.reset()
            actions.append(player.act((2, 1)).tolist())
        return actions

    policy.actor[-1].kernel.assign(policy.actor[-1].kernel / 300)  # close to uniform
    try:
        first, second, other = play(0), play(0), play(1)
    finally:
        policy.actor[-1].kernel.assign(policy.actor[-1].kernel * 300)
    assert first == second != other
    assert len(set(map(tuple, first))) > 2


@pytest.fixture(scope="module")
def masked_policies():
    """A policy of masks in infos, three actions and two numbers, and one that knows no masks."""
    sizes = 3 + 2 + 3 + 2
    masked, free = (policy_for(MaskedEnv, sizes, action_mask=mask) for mask in ((0, 3), None))
    free.set_weights(masked.get_weights())
    return masked, free


@pytest.mark.slow
def test_masks_in_infos_leave_the_best_of_the_legal_actions(masked_policies):
    masked, free = masked_policies
    generator, rows, num_steps = np.random.default_rng(0), np.arange(4), 16
    spaces = {name: getattr(MaskedEnv, name) for name in ("observation_space", "action_space")}
    player = Player(masked, num_envs=len(rows), **spaces)
    numbers = generator.uniform(0, 4, (num_steps, len(rows), 2)).astype("float32")
    masks = generator.integers(0, 2, (num_steps, len(rows), 3))
    masks[~masks.any(axis=-1), 1] = 1
    is_given = rows != np.arange(num_steps)[:, None] % 5
    infos = [
        {"action_mask": masks[step], "_action_mask": is_given[step]} for step in range(num_steps)
    ]
    actions = np.stack([player.act(*seen) for seen in zip(numbers, infos, strict=True)])

    masks = np.where(is_given[..., None], masks, 1)
    previous = np.eye(3)[np.concatenate([np.zeros_like(actions[:1]), actions[:-1]])]
    is_first = np.zeros((num_steps, len(rows)), "bool")
    is_first[0] = True
    seen = np.concatenate([masks, numbers, previous, np.eye(2)[is_first.astype(int)]], axis=-1)
    logits, *_ = free(np.swapaxes(seen, 0, 1).astype("float32"), is_first.T)
    logits = np.swapaxes(ops.convert_to_numpy(logits), 0, 1)
    best = np.where(masks, logits, -np.inf).argmax(axis=-1)
    np.testing.assert_array_equal(actions, best)
    assert np.sum(best != logits.argmax(axis=-1)) > 5


@pytest.mark.parametrize("num_envs", (None, 2))
def test_a_loop_hands_on_the_info_and_masked_actions_are_never_taken(num_envs, masked_policies):
    env = MaskedEnv() if num_envs is None else SyncVectorEnv([MaskedEnv] * num_envs)
    player = Player(masked_policies[0], env, deterministic=False)
    observation, info = env.reset(seed=0)
    for _ in range(30):  # the environment asserts that its actions are legal
        observation, _, terminated, truncated, info = env.step(player.act(observation, info))
        if num_envs is not None:
            player.reset(terminated | truncated)
        elif terminated or truncated:
            observation, info = env.reset()
            player.reset()


def test_numbers_are_clipped_and_have_the_type_of_their_space():
    env = Numbers()
    player = Player(policy_for(env, 4 + 1 + 2), env)
    for _ in range(3):
        action = player.act(np.full((2, 2), 200, "uint8"))
        assert action in env.action_space and action.dtype == np.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"env": "CartPole-v1"}, "`env` should be a gymnasium.Env.*Received: env='CartPole-v1'"),
        ({}, "`observation_space` should be a Gymnasium space where no `env`.*=None"),
        ({"env": Cards(), "num_envs": 2}, "`num_envs` should be None where `env`.*num_envs=2"),
        ({"env": Cards(), "deterministic": 1}, "`deterministic` should be"),
        ({"env": Numbers()}, r"`env` should have the spaces.*12 numbers.*env=Numbers with 7"),
        (
            {"observation_space": Cards.observation_space, "action_space": gymnasium.Space()},
            r"`env.action_space` should be",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arguments, message, policy):
    with pytest.raises(ValueError, match=message):
        Player(policy, **arguments)


def test_observations_and_masks_of_other_shapes_are_refused(policy):
    with pytest.raises(ValueError, match="`policy` should be a keras_s5rl policy"):
        Player(None, Cards())
    player = Player(policy, SyncVectorEnv([Cards] * 2))
    with pytest.raises(ValueError, match="`observations` should be 2 of them, stacked, each of"):
        player.act((np.zeros(3, int), np.zeros(3, int)))
    with pytest.raises(ValueError, match=r"`mask` should be a bool array of shape \(2,\)"):
        player.reset([1, 0])
    one = Player(policy, Cards())
    with pytest.raises(ValueError, match=r"`observations` should be one of Tuple.*observations=3"):
        one.act(3)


def test_a_policy_with_masks_in_infos_asks_for_them(masked_policies):
    player = Player(masked_policies[0], MaskedEnv())
    with pytest.raises(ValueError, match="`info` should be what the environment .*info=None"):
        player.act(np.zeros(2, "float32"))
    with pytest.raises(ValueError, match=r"`info\['action_mask'\]` should have 3 num.*=\[1, 0\]"):
        player.act(np.zeros(2, "float32"), {"action_mask": [1, 0]})
