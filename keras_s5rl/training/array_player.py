"""`ArrayPlayer`: a policy with what it keeps from step to step."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_s5rl import backend, random
from keras_s5rl.envs.agent_view import AgentView
from keras_s5rl.envs.spaces import null_value
from keras_s5rl.models.weights import values_in_place
from keras_s5rl.typing import Array, Tensor


class ArrayPlayer:
    """Plays a policy in environments side by side: arrays in the format of `Environment` in and
    out.

    It keeps the memory, the previous action and whether an observation is the first of its episode.
    The policy plays with the weights that it has when it acts.

    Args:
        policy: `keras_s5rl.models.Policy`.
        view: `AgentView` of an environment whose state is `{"observation": observations}`.
        num_envs: Positive integer.
        deterministic: Whether to play the mode of the policy rather than draws from it.
        seed: Integer from 0 to 2**32 - 1, from which the draws are made.
    """

    def __init__(
        self, policy: Any, view: AgentView, num_envs: int, deterministic: bool, seed: int
    ) -> None:
        spaces = str(view.env.observation_space), str(view.env.action_space)
        self._program = policy.programs.get(
            ("player", *spaces, view.previous_action, deterministic),
            lambda: _compile(policy, view, deterministic),
        )
        self._variables = policy.variables
        self._key, self._num_steps = random.key(seed), 0
        self._null_action = null_value(view.action_space)
        self._action = np.stack([self._null_action] * num_envs)
        self._memory = policy.get_initial_state(num_envs)
        self._is_first = np.ones(num_envs, "bool")

    def restart(self, mask: Array) -> None:
        """Says of which environments the next observation is the first of an episode, of others
        than before: a bool array `(num_envs,)`."""
        self._is_first = self._is_first | mask

    def act(self, observations: Array) -> Array:
        """Returns the actions after these observations, those of a `Box` not clipped."""
        mask = self._is_first.reshape(-1, *[1] * self._null_action.ndim)
        state = {
            "env": {"observation": observations},
            "previous_action": np.where(mask, self._null_action, self._action),
            "is_first": self._is_first,
        }
        step = np.array(self._num_steps, "int32")
        weights = [variable.value for variable in self._variables]
        action, self._memory = self._program(weights, self._key, state, self._memory, step)
        self._action = ops.convert_to_numpy(action)
        self._num_steps += 1
        self._is_first = np.zeros_like(self._is_first)
        return self._action


def _compile(policy: Any, view: AgentView, deterministic: bool) -> Callable[..., Any]:
    def program(weights: list[Tensor], key: Tensor, state: Any, memory: Any, step: Any) -> Any:
        state, step = keras.tree.map_structure(ops.convert_to_tensor, (state, step))
        # Torch would keep the graph of all steps for the gradients.
        weights = [ops.stop_gradient(ops.convert_to_tensor(value)) for value in weights]
        with values_in_place(policy.variables, weights):
            return policy.act(
                view.observation(state),
                state["is_first"],
                memory,
                deterministic,
                None if deterministic else random.fold_in(key, step),
            )

    backend.use_compilation_cache()
    return backend.compile(program)
