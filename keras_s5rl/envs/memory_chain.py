"""`MemoryChain`: recall at the end what was shown at the start."""

import gymnasium
import numpy as np
from keras import ops

from keras_s5rl import random
from keras_s5rl.envs.arguments import MAX_EPISODE_STEPS, check_positive_integer
from keras_s5rl.envs.environment import Environment
from keras_s5rl.typing import Tensor, Tensors

ENVIRONMENTS: dict[str, dict[str, dict[str, object]]] = {"MemoryChain": {"MemoryChain": {}}}


class MemoryChain(Environment):
    """bsuite's memory chain: recall a bit shown at the start when it is asked for at the end.

    A context of `K = num_bits` bits and a query, the place of one of them, are drawn uniformly when
    the episode starts. With `N = memory_length` and a clock `c_t = max(t - 1, 0)` (the start is
    shown twice: at the reset and by the first step),

        observation_t = [1 - c_t / N,
                         query if c_t == N - 1, else 0,
                         2 * context - 1 if c_t == 0, else zeros]
        reward_t = 0                                           for t < N
        reward_N = +1 if action_N == context[query], else -1

    The episode terminates at step `N`, its `N + 1`st. Without a memory the mean return is 0 for
    `K = 1`; with one it can be 1.

    Args:
        memory_length: Integer, `N`: steps from the first observation to the query.
        num_bits: Integer, bits of the context.

    Raises:
        ValueError: If an argument is not a positive integer.

    Reference: Osband et al., 2020, "Behaviour Suite for Reinforcement Learning", experiments
        `memory_len` and `memory_size`.

    Example:

    >>> from keras_s5rl import envs
    >>> envs.make("MemoryChain", memory_length=10).max_episode_steps
    11
    """

    def __init__(self, memory_length: int, num_bits: int = 1) -> None:
        check_positive_integer("memory_length", memory_length, MAX_EPISODE_STEPS - 1)
        check_positive_integer("num_bits", num_bits, largest=10_000)
        self.memory_length = memory_length
        self.num_bits = num_bits
        # Gymnasium wants room between the bounds, so one bit has a query "below 1", too.
        self.observation_space = gymnasium.spaces.Box(
            np.array([0, 0, *[-1] * num_bits], "float32"),
            np.array([1, max(num_bits - 1, 1), *[1] * num_bits], "float32"),
        )
        self.action_space = gymnasium.spaces.Discrete(2)
        self.max_episode_steps = memory_length + 1

    def draw_initial(self, key: Tensor, num_envs: int) -> Tensors:
        context_key, query_key = ops.unstack(random.split(key), 2)
        return {
            "context": random.randint(context_key, (num_envs, self.num_bits), 0, 2),
            "query": random.randint(query_key, (num_envs,), 0, self.num_bits),
        }

    def initial(self, draws: Tensors) -> Tensors:
        query = ops.cast(draws["query"], "int32")
        time = ops.zeros_like(query)
        return {
            "context": ops.cast(draws["context"], "int8"),
            "query": query,
            "time": time,
            "terminated": ops.zeros_like(time, dtype="bool"),
        }

    def transition(
        self, state: Tensors, action: Tensor, draws: Tensors
    ) -> tuple[Tensors, Tensor, Tensor, Tensor]:
        place = ops.expand_dims(state["query"], 1)
        bit = ops.squeeze(ops.take_along_axis(state["context"], place, axis=1), 1)
        time = state["time"] + 1
        terminated = time >= self.max_episode_steps
        reward = ops.where(ops.equal(action, ops.cast(bit, "int32")), 1.0, -1.0)
        reward = ops.cast(ops.where(terminated, reward, 0.0), "float32")
        state = {**state, "time": time, "terminated": terminated}
        return state, reward, terminated, ops.zeros_like(terminated)

    def observation(self, state: Tensors) -> Tensor:
        clock = ops.expand_dims(ops.maximum(state["time"] - 1, 0), 1)
        query = ops.expand_dims(state["query"], 1)
        context = 2.0 * ops.cast(state["context"], "float32") - 1.0
        return ops.concatenate(
            [
                ops.cast(self.memory_length - clock, "float32") / self.memory_length,
                ops.cast(ops.where(clock == self.memory_length - 1, query, 0), "float32"),
                ops.where(clock == 0, context, 0.0),
            ],
            axis=1,
        )
