import numpy as np
import pytest
from keras import ops

from keras_s5rl import envs, random
from keras_s5rl.envs.memory_chain import MemoryChain
from tests.envs.play import play
from tests.envs.popgym import chi_square


class Chain:
    """bsuite's rules, one episode with a clock that is read before it is advanced."""

    def __init__(self, memory_length, context, query):
        self.memory_length, self.context, self.query = memory_length, context, query
        self.clock = 0

    def look(self):
        obs = [1 - self.clock / self.memory_length, 0] + [0] * len(self.context)
        if self.clock == self.memory_length - 1:
            obs[1] = self.query
        if self.clock == 0:
            obs[2:] = [2 * bit - 1 for bit in self.context]
        return obs

    def step(self, action):
        """Returns the observation, the reward and whether this was the last step."""
        obs = self.look()
        self.clock += 1
        if self.clock <= self.memory_length:
            return obs, 0, False
        return obs, 1 if action == self.context[self.query] else -1, True


@pytest.mark.parametrize(("memory_length", "num_bits"), [(1, 2), (2, 1), (12, 5)])
def test_episodes_are_those_of_bsuite(memory_length, num_bits):
    num_envs = 40
    generator = np.random.default_rng(memory_length)
    context = generator.integers(0, 2, (num_envs, num_bits)).astype("int32")
    query = generator.integers(0, num_bits, num_envs).astype("int32")
    actions = generator.integers(0, 2, (memory_length + 1, num_envs)).astype("int32")
    env = MemoryChain(memory_length, num_bits)
    assert env.max_episode_steps == memory_length + 1
    played = play(env, {"context": context, "query": query}, actions)
    assert played["obs"].shape[1:] == (num_envs, num_bits + 2)
    assert not played["truncated"].any()
    for i in range(num_envs):
        chain = Chain(memory_length, context[i].tolist(), int(query[i]))
        first = chain.look()
        obs, rewards, terminated = zip(
            *(chain.step(action) for action in actions[:, i]), strict=True
        )
        np.testing.assert_allclose(played["obs"][:, i], [first, *obs], rtol=0, atol=1e-7)
        np.testing.assert_array_equal(played["rewards"][:, i], rewards)
        np.testing.assert_array_equal(played["terminated"][:, i], terminated)
    assert all(env.observation_space.contains(obs) for obs in played["obs"][:, 0])
    assert set(played["rewards"][-1]) == {-1, 1}


def patterns(context, query):
    """Of all contexts of three bits, together with the queries."""
    joint = context @ [1, 2, 4] + 8 * query
    return chi_square.statistic(np.bincount(joint, minlength=24), [len(joint) / 24] * 24)


def test_contexts_and_queries_are_uniform():
    num_envs = 60_000
    env = envs.make("MemoryChain", memory_length=5, num_bits=3)
    draws = env.draw_initial(random.key(1), num_envs)
    context, query = (ops.convert_to_numpy(draws[name]) for name in ("context", "query"))
    assert context.shape == (num_envs, 3) and query.shape == (num_envs,)
    assert patterns(context, query) < chi_square.limit(23)
    # Four per cent of one bit, or of one query, changed.
    changed = np.random.default_rng(0).random(num_envs) < 0.04
    biased = context.copy()
    biased[changed, 1] = 1
    assert patterns(biased, query) > chi_square.limit(23)
    assert patterns(context, np.where(changed, 2, query)) > chi_square.limit(23)


def test_one_bit_has_one_query():
    draws = MemoryChain(3).draw_initial(random.key(2), 100)
    assert not ops.convert_to_numpy(draws["query"]).any()
    assert set(ops.convert_to_numpy(draws["context"]).ravel().tolist()) == {0, 1}


@pytest.mark.parametrize("name", ["memory_length", "num_bits"])
@pytest.mark.parametrize("value", [0, 1.5, False, None])
def test_a_size_that_is_no_positive_integer_is_refused(name, value):
    message = rf"`{name}` should be a positive integer\. Received: {name}={value}"
    with pytest.raises(ValueError, match=message):
        MemoryChain(**{"memory_length": 3, name: value})


def test_a_memory_length_is_asked_for_by_name():
    with pytest.raises(ValueError, match="missing a required argument: 'memory_length'"):
        envs.make("MemoryChain")
