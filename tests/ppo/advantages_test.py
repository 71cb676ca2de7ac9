import numpy as np
import pytest
from keras import ops

from keras_s5rl.ppo.advantages import generalized_advantages

pytestmark = pytest.mark.portable

DISCOUNT, LAMBDA = 0.9, 0.8


def oracle(reward, value, next_value, discount_t, done):
    """The definition, one environment at a time, as a sum over the steps ahead."""
    advantage = np.zeros_like(reward)
    for start in range(len(reward)):
        weight = 1.0
        for t in range(start, len(reward)):
            delta = reward[t] + DISCOUNT * discount_t[t] * next_value[t] - value[t]
            advantage[start] += weight * delta
            weight *= DISCOUNT * LAMBDA * discount_t[t]
            if done[t]:
                break
    return advantage


def run(**arrays):
    names = ("reward_t", "value_t", "next_value_t", "discount_t", "done_t")
    tensors = {
        n: ops.convert_to_tensor(a[:, None]) for n, a in zip(names, arrays.values(), strict=True)
    }
    result = generalized_advantages(**tensors, discount=DISCOUNT, gae_lambda=LAMBDA)
    return ops.convert_to_numpy(result)[:, 0]


def test_hand_computed_sequence_with_terminated_truncated_both_and_the_end_of_the_rollout():
    # t          0    1 (terminated)  2    3 (truncated)  4 (both)  5 (rollout ends)
    reward = np.array([1.0, 2.0, 0.0, 1.0, 3.0, 1.0], "float32")
    value = np.array([0.5, 1.0, 2.0, 1.5, 0.0, 1.0], "float32")
    # After step 3 the critic at the final observation is 4; after step 5 the critic at o_T is 2.
    # Behind an end with discount 0 stands a number that must not be used.
    next_value = np.array([1.0, 99.0, 1.5, 4.0, 99.0, 2.0], "float32")
    discount_t = np.array([1, 0, 1, 1, 0, 1], "float32")
    done = np.array([False, True, False, True, True, False])
    delta = [
        1 + 0.9 * 1.0 - 0.5,  # 1.4
        2 - 1.0,  # 1.0, terminated: nothing follows
        0 + 0.9 * 1.5 - 2.0,  # -0.65
        1 + 0.9 * 4.0 - 1.5,  # 3.1, truncated: bootstrapped from 4
        3 - 0.0,  # 3.0, both: terminated wins
        1 + 0.9 * 2.0 - 1.0,  # 1.8, the rollout's end: bootstrapped from 2
    ]
    expected = [
        delta[0] + 0.72 * delta[1],
        delta[1],
        delta[2] + 0.72 * delta[3],
        delta[3],
        delta[4],
        delta[5],
    ]
    result = run(
        reward=reward, value=value, next_value=next_value, discount_t=discount_t, done=done
    )
    np.testing.assert_allclose(result, expected, rtol=1e-6)


def test_equals_the_definition_on_random_sequences():
    generator = np.random.default_rng(0)
    for _ in range(5):
        reward, value, next_value = generator.normal(size=(3, 40)).astype("float32")
        terminated, truncated = generator.random((2, 40)) < 0.15
        # Some returns end while the episode goes on.
        ends = terminated | (generator.random(40) < 0.1)
        arguments = {
            "reward": reward,
            "value": value,
            "next_value": next_value,
            "discount_t": 1.0 - ends.astype("float32"),
            "done": terminated | truncated,
        }
        np.testing.assert_allclose(
            run(**arguments), oracle(*arguments.values()), rtol=2e-5, atol=1e-6
        )
