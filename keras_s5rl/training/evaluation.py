"""Scores of a policy on fresh episodes."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.autoreset import select_envs
from keras_s5rl.models.weights import detached_values, values_in_place
from keras_s5rl.ppo.host_memory import check_memory, memory_errors_named
from keras_s5rl.typing import Array, Tensor, Tensors


def compile_episodes(environment: AgentView, policy: Any, num_episodes: int) -> Callable[..., Any]:
    """Returns a function that plays one episode in each of `num_episodes` copies of an environment.

    Every episode is played to its own end, and each counts once: taking the first that finish would
    favour short ones. Only the first call of the function compiles.

    Args:
        environment: `keras_s5rl.envs.AgentView`.
        policy: `keras_s5rl.models.ActorCritic`.
        num_episodes: Positive integer.

    Returns:
        Function `(policy, key, modes)`: the policy may be another with the same shapes, `key` is
        one of `keras_s5rl.random`, and `modes` are booleans, whether to play the mode of the policy
        or draws from it; the same episodes are played for each. It returns for each of `modes` a
        pair `(returns, lengths)` of numpy arrays `(num_episodes,)`.
    """

    def start(key: Tensor) -> Tensors:
        return environment.initial(environment.draw_initial(key, num_episodes))

    play = compile_play(environment, policy, start, {"num_episodes": num_episodes})

    def play_modes(player: Any, key: Tensor, modes: Sequence[bool]) -> list[Any]:
        initial_key, steps_key = ops.unstack(random.split(key), 2)
        return [play(player, initial_key, steps_key, mode)[:2] for mode in modes]

    return play_modes


def compile_play(
    environment: AgentView,
    policy: Any,
    start: Callable[..., Any],
    sizes: Mapping[str, Any],
    record: Callable[..., Any] = lambda state, reward, active: None,
) -> Callable[..., Any]:
    """Returns a function that plays episodes from their start to the end of the longest.

    Args:
        environment: `keras_s5rl.envs.AgentView`.
        policy: `keras_s5rl.models.ActorCritic`.
        start: Function of one structure of tensors that returns the states at the start.
        sizes: Dict of what the size of the program depends on, for people.
        record: Function `(state, reward, active) -> structure` of what to keep of a step: the state
            before it, its rewards, and whether the episode was still under way, bool
            `(num_episodes,)`. Keeps nothing by default.

    Returns:
        Function `(policy, source, key, deterministic) -> returns, lengths, records`. The policy may
        be another with the same shapes, `source` is what `start` is given and `deterministic` says
        whether the mode of the policy is played, or draws from it. One program serves all of these.
        Returns and lengths are numpy arrays `(num_episodes,)`, the records have an axis of
        `max_episode_steps` in front.
    """

    def program(weights: list[Tensor], source: Any, key: Tensor, sample: Tensor) -> Any:
        state = start(source)
        num_episodes = ops.shape(state["is_first"])[0]
        active = ops.ones((num_episodes,), dtype="bool")
        zeros = ops.zeros((num_episodes,), dtype="float32")
        carry = (state, policy.get_initial_state(num_episodes), active, zeros, zeros)
        keys = random.split(key, environment.max_episode_steps)
        with values_in_place(policy.variables, weights):
            carry, records = backend.scan(lambda c, k: step(c, k, sample), carry, keys)
        return carry[3], carry[4], records

    def step(carry: Any, key: Tensor, sample: Tensor) -> Any:
        state, memory, active, returns, lengths = carry
        policy_key, step_key = ops.unstack(random.split(key), 2)
        reset = ops.equal(lengths, 0)
        parameters, _, memory = policy.step(environment.observation(state), reset, memory)
        action = backend.cond(
            sample,
            lambda: policy.distribution.sample(parameters, policy_key),
            lambda: policy.distribution.mode(parameters),
        )
        draws = environment.draw_step(step_key, ops.shape(active)[0])
        next_state, reward, terminated, truncated = environment.transition(state, action, draws)
        records = record(state, reward, active)
        # Stepping past the end is undefined: an episode that is over stays in its last state.
        state = select_envs(active, next_state, state)
        returns = returns + ops.where(active, reward, 0.0)
        lengths = lengths + ops.cast(active, "float32")
        active = ops.logical_and(active, ops.logical_not(ops.logical_or(terminated, truncated)))
        return (state, memory, active, returns, lengths), records

    backend.use_compilation_cache()
    compiled = backend.compile(program)
    is_checked = False

    def play(player: Any, source: Any, key: Tensor, deterministic: bool) -> Any:
        nonlocal is_checked
        weights = detached_values(player.variables)
        arguments = weights, source, key, ops.convert_to_tensor(not deterministic)
        with memory_errors_named(sizes):
            if not is_checked:
                check_memory(compiled, arguments, sizes)
                is_checked = True
            return backend.fetch(compiled(*arguments))

    return play


def summarize(returns: Array, lengths: Array) -> dict[str, float]:
    """Returns the mean, standard deviation and 95 % half-width of returns, and the mean length."""
    returns = np.asarray(returns, "float64")
    std = float(returns.std(ddof=1)) if len(returns) > 1 else 0.0
    return {
        "return_mean": float(returns.mean()),
        "return_std": std,
        "return_ci95": 1.96 * std / math.sqrt(len(returns)),
        "length_mean": float(np.mean(lengths)),
    }
