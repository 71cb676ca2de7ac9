"""`Policy`: the base of every policy, which acts by what a subclass computes."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, Self

import keras

from keras_s5rl import backend
from keras_s5rl.backend.programs import Programs
from keras_s5rl.models.act_arguments import (
    check_draw,
    observation_tensor,
    reset_tensor,
    state_tensors,
)
from keras_s5rl.models.weights import values_in_place
from keras_s5rl.typing import Tensor


class Policy(keras.Model):
    """Base of policies: a Keras model of action parameters, values and a memory state.

    A subclass implements `call`, and `get_initial_state` if it has a memory. It may implement
    `step`, the same computation for one step, where that is faster than a sequence of one. It then
    acts, is trained by `keras_s5rl.PPO(policy=...)`, scored and played like `ActorCritic`, which is
    one of them. To be loaded again from a file the class is registered with Keras, and its
    `get_config` holds what its constructor takes beyond these arguments.

    Args:
        observation_size: Positive integer, features of an observation.
        distribution: Distribution over actions, such as `keras_s5rl.models.Categorical(4)`.

    Attributes:
        normalization: `keras_s5rl.models.RunningNormalization` that `call` passes observations
            through, whose statistics a training with `normalize_observations` keeps up to date; or
            `None`, which it is at first.

    Call arguments:
        observations: float32 tensor `(batch, time, observation_size)`.
        resets: bool tensor `(batch, time)` or `None`: whether an observation is the first of a new
            episode, before which the memory is to be cleared.
        initial_state: Flat list of tensors, batch first, as `get_initial_state` returns it, or
            `None` for the state before an episode.

    Output shape:
        A tuple `(action_parameters, value, state)`: float32 `(batch, time, parameters)`, as
        `distribution` takes them; float32 `(batch, time)`; the flat list of states after the last
        step.

    Example:

    >>> import keras
    >>> import numpy as np
    >>> from keras_s5rl.models import Categorical, Policy
    >>> class Linear(Policy):
    ...     def __init__(self, observation_size, distribution, **kwargs):
    ...         super().__init__(observation_size, distribution, **kwargs)
    ...         self.actor = keras.layers.Dense(distribution.num_outputs)
    ...         self.critic = keras.layers.Dense(1)
    ...     def call(self, observations, resets=None, initial_state=None):
    ...         return self.actor(observations), self.critic(observations)[..., 0], []
    >>> policy = Linear(6, Categorical(3))
    >>> action, state = policy.act(np.zeros((2, 6), "float32"), [True, True], [])
    >>> tuple(action.shape)
    (2,)
    """

    def __init__(self, observation_size: int, distribution: Any, **kwargs: Any) -> None:
        # Without autocast a mixed dtype policy does not round the memory state on its way in (Keras
        # casts float arguments).
        super().__init__(**{"autocast": False} | kwargs)
        self.observation_size = observation_size
        self.distribution = distribution
        # No attribute of the class: on torch that would hide the layer.
        self.normalization: Any = None

    def get_initial_state(self, batch_size: int) -> list[Tensor]:
        """Returns the memory state before an episode: a flat list of tensors, batch first; empty
        for a policy without memory."""
        return []

    def step(
        self, observation: Tensor, reset: Tensor, state: Sequence[Tensor]
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Runs the policy for one step.

        Args:
            observation: float32 tensor `(batch, observation_size)`.
            reset: bool tensor `(batch,)`: whether the observation is the first of a new episode.
            state: Flat list of tensors, batch first.

        Returns:
            `(action_parameters, value, state)`: float32 `(batch, parameters)`, float32 `(batch,)`,
            and the new flat list of states.
        """
        parameters, value, state = self(
            observation[:, None], resets=reset[:, None], initial_state=list(state)
        )
        return parameters[:, 0], value[:, 0], list(state)

    def act(
        self,
        observation: Tensor,
        reset: Tensor,
        state: Sequence[Tensor],
        deterministic: bool = True,
        key: Tensor | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        """Chooses actions for one step, in a program that is compiled once for each batch size.

        It uses the weights that the policy has when it is called. Without gradients wanted, call it
        under `torch.no_grad()` on torch.

        Args:
            observation: float32 tensor `(batch, observation_size)`.
            reset: bool tensor `(batch,)`: whether the observation is the first of a new episode.
            state: Flat list of tensors, batch first; at the start `get_initial_state(batch_size)`.
            deterministic: Whether to take the mode of the distribution rather than a draw. Defaults
                to `True`.
            key: Key of `keras_s5rl.random` for the draw; needed when not deterministic.

        Returns:
            `(action, state)`: the action in the environment's format, `(batch,)` or `(batch,
            axes)`, and the new flat list of states.

        Raises:
            ValueError: If an argument is missing or of another shape, if a reset is neither true
                nor false, or if a draw is asked for without a key.
        """
        observation = observation_tensor(observation, self.observation_size)
        batch_size = observation.shape[0]
        reset = reset_tensor(reset, batch_size)
        state = state_tensors(state, self._state_shapes, batch_size)
        check_draw(deterministic, key)
        program = self.programs.get(
            ("act", deterministic), lambda: self._compile_act(deterministic)
        )
        weights = [variable.value for variable in self.variables]
        return program(weights, observation, reset, state, None if deterministic else key)

    def _compile_act(self, deterministic: bool) -> Callable[..., Any]:
        def program(
            weights: list[Tensor],
            observation: Tensor,
            reset: Tensor,
            state: Any,
            key: Tensor | None,
        ) -> tuple[Tensor, list[Tensor]]:
            with values_in_place(self.variables, weights):
                parameters, _, state = self.step(observation, reset, state)
                if deterministic:
                    return self.distribution.mode(parameters), state
                return self.distribution.sample(parameters, key), state

        backend.use_compilation_cache()
        return backend.compile(program)

    def constrain(self, trainable: Sequence[Tensor]) -> list[Tensor]:
        """Returns values of the trainable variables that are within their bounds; a training calls
        it after each step of its optimizer.

        Args:
            trainable: List of tensors, one for each of `trainable_variables`.
        """
        return list(trainable)

    # Neither is a weight: both are kept past Keras, which would track them.

    @functools.cached_property
    def programs(self) -> Programs:
        """The compiled programs in which the policy acts and is played."""
        return Programs()

    @functools.cached_property
    def _state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(tensor.shape[1:]) for tensor in self.get_initial_state(1))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {
            "observation_size": self.observation_size,
            "distribution": keras.saving.serialize_keras_object(self.distribution),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        distribution = keras.saving.deserialize_keras_object(config["distribution"])
        return cls(**config | {"distribution": distribution})
