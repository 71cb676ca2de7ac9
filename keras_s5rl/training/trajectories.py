"""Episodes of a policy step by step, to be looked at."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.autoreset import select_envs
from keras_s5rl.models.weights import detached_values, values_in_place
from keras_s5rl.typing import Tensor


@dataclasses.dataclass
class Trajectory:
    """One episode of `T` steps.

    Attributes:
        states: List of the `T + 1` states of the environment, without the agent's view: dicts of
            numpy arrays without the batch axis.
        actions: List of the `T` actions, numpy arrays of shape `()` or `(axes,)`.
        rewards: List of the `T` rewards, floats.
        observations: List of the `T` observations that the policy chose its actions by, as the
            agent's view has them: numpy arrays `(features,)`.
        memory_norms: List of the `T` norms of each tensor of the policy's memory after it took in
            these observations, numpy arrays `(tensors,)`; 0 of those that hold no real numbers.
    """

    states: list[Any]
    actions: list[Any] = dataclasses.field(default_factory=list)
    rewards: list[float] = dataclasses.field(default_factory=list)
    observations: list[Any] = dataclasses.field(default_factory=list)
    memory_norms: list[Any] = dataclasses.field(default_factory=list)


def compile_trajectories(
    environment: AgentView, policy: Any, num_episodes: int
) -> Callable[..., list[Trajectory]]:
    """Returns a function that plays one episode in each of `num_episodes` copies of an environment,
    and keeps all of it.

    Only the first call of the function in a mode compiles.

    Args:
        environment: `keras_s5rl.envs.AgentView`.
        policy: `keras_s5rl.models.Policy`; it plays with the weights that it has when the function
            is called.
        num_episodes: Positive integer.

    Returns:
        Function `(key, deterministic=True)` of a key of `keras_s5rl.random`, and of whether to play
        the mode of the policy rather than draws from it. It returns a list of `num_episodes`
        `Trajectory`: from one key the very episodes of `compile_episodes`.
    """

    @backend.compile
    def start(key: Tensor) -> Any:
        return environment.initial(environment.draw_initial(key, num_episodes))

    def steps(deterministic: bool) -> Callable[..., Any]:
        @backend.compile
        def step(weights: Any, state: Any, memory: Any, active: Tensor, key: Tensor) -> Any:
            policy_key, step_key = ops.unstack(random.split(key), 2)
            observation, is_first = environment.observation(state), state["is_first"]
            with values_in_place(policy.variables, weights):
                action, memory = policy.act(
                    observation, is_first, memory, deterministic, policy_key
                )
            draws = environment.draw_step(step_key, num_episodes)
            next_state, reward, terminated, truncated = environment.transition(state, action, draws)
            # Stepping past the end is undefined: an episode that is over stays in its last state.
            state = select_envs(active, next_state, state)
            active = ops.logical_and(active, ops.logical_not(ops.logical_or(terminated, truncated)))
            seen = {"observations": observation, "memory_norms": _norms(memory, num_episodes)}
            return state, memory, active, {"actions": action, "rewards": reward, **seen}

        return step

    step_of_mode = {mode: steps(mode) for mode in (True, False)}

    def play(key: Tensor, deterministic: bool = True) -> list[Trajectory]:
        step, weights = step_of_mode[deterministic], detached_values(policy.variables)
        initial_key, steps_key = ops.unstack(random.split(key), 2)
        state, memory = start(initial_key), policy.get_initial_state(num_episodes)
        active = ops.ones((num_episodes,), dtype="bool")
        trajectories = [Trajectory([part]) for part in _unstack(state["env"], num_episodes)]
        # As numpy: JAX would compile a slice for every single step.
        keys = ops.convert_to_numpy(random.split(steps_key, environment.max_episode_steps))
        for step_key in map(ops.convert_to_tensor, keys):
            (playing,) = np.nonzero(ops.convert_to_numpy(active))
            if len(playing) == 0:
                break
            state, memory, active, taken = step(weights, state, memory, active, step_key)
            env_states = _unstack(state["env"], num_episodes)
            taken = backend.fetch(taken)
            for index in playing:
                trajectory = trajectories[index]
                trajectory.states.append(env_states[index])
                trajectory.rewards.append(float(taken["rewards"][index]))
                for name in ("actions", "observations", "memory_norms"):
                    getattr(trajectory, name).append(taken[name][index])
        return trajectories

    return play


def _norms(memory: list[Tensor], num_episodes: int) -> Tensor:
    """The norm of each tensor of a memory, `(num_episodes, tensors)`."""
    norms = [
        ops.sqrt(
            ops.sum(ops.square(ops.reshape(ops.cast(tensor, "float32"), (num_episodes, -1))), 1)
        )
        if keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype))
        else ops.zeros((num_episodes,), dtype="float32")
        for tensor in memory
    ]
    return ops.stack(norms, axis=1) if norms else ops.zeros((num_episodes, 0), dtype="float32")


def _unstack(state: Any, num_episodes: int) -> list[Any]:
    """Returns the state of each environment for itself, as arrays."""
    arrays = backend.fetch(state)
    return [
        keras.tree.map_structure(lambda leaf, index=index: leaf[index], arrays)
        for index in range(num_episodes)
    ]
