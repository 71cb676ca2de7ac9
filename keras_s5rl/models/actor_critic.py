"""The policy: encoder, memory, actor and critic."""

from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from keras_s5rl.layers.dense import run_side_by_side
from keras_s5rl.layers.derived_weights import DerivedWeights, DerivingLayer, hand_on
from keras_s5rl.layers.initializers import derive_seeds
from keras_s5rl.models.action_mask import check_action_mask
from keras_s5rl.models.dense_layers import (
    build_encoder,
    build_layers,
    dense_layers,
    run_layers,
)
from keras_s5rl.models.policy import Policy
from keras_s5rl.models.running_normalization import RunningNormalization
from keras_s5rl.models.steering import check_steering, split_directions, steer
from keras_s5rl.ops import rowwise
from keras_s5rl.typing import Shape, Tensor

_ACTOR_GAIN = 0.01  # the first policy is close to uniform
_CRITIC_GAIN = 1.0


@keras.saving.register_keras_serializable("keras_s5rl")
class ActorCritic(DerivingLayer, Policy):
    """A recurrent policy and its critic: dense encoder, memory, and two heads of dense layers.

    A policy is a Keras model over whole sequences; `step` and `act` run it one step at a time. Both
    clear the memory where an observation is the first of an episode, and agree to
    rounding.

    Args:
        observation_size: Positive integer, features of an observation.
        distribution: Distribution over actions, such as `keras_s5rl.models.Categorical(4)`.
        memory: Layer with the call signature, `step` and `get_initial_state` of
            `keras_s5rl.layers.S5Stack`, made with `return_state=True` where it has states. One
            that has an attribute `num_directions` hands on directions of the action after its
            features (`keras_s5rl.layers.EquivariantMemory`): the actor weighs them, see
            `keras_s5rl.models.steering`. It gets the observations as they are.
        encoder_sizes: Units of the dense layers before the memory. Defaults to `(64,)`.
        head_sizes: Units of the hidden layers of each head. Defaults to `(64,)`.
        activation: Activation of these layers. Defaults to `"leaky_relu"`.
        initial_log_std: Log standard deviation of continuous actions at the start, in units of half
            their range. Defaults to `-0.5`.
        min_log_std: Its smallest value. Defaults to `-5.0`.
        seed: Integer or `None`, from which the initial weights of encoder and heads are drawn.
            Defaults to `None`.
        normalized_features: Sequence of integers, the features of an observation that the encoder
            sees normalised by their running mean and variance. Defaults to `()`.
        action_mask: `(start, stop)`, the columns of an observation that say for each logit of a
            discrete action whether that is legal (0: no): illegal ones are not taken. Where none of
            the choices of a number is legal, all are. `None` for no mask. Defaults to `None`.
        encoder: Keras layer from `(batch, observation_size)` to `(batch, features)`, which stands
            before the dense layers, such as `keras_s5rl.models.EntriesEncoder`; of sequences it
            gets the steps as rows. `None` for none. Defaults to `None`.

    Call arguments:
        observations: float32 tensor `(batch, time, observation_size)`.
        resets: bool tensor `(batch, time)` or `None`: whether an observation is the first of a new
            episode.
        initial_state: Flat list of tensors, batch first, as `get_initial_state` returns it, or
            `None` for zeros.

    Output shape:
        A tuple `(action_parameters, value, state)`: float32 `(batch, time, parameters)`; float32
        `(batch, time)`; the flat list of states after the last step.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import S5Stack
    >>> from keras_s5rl.models import ActorCritic, Categorical
    >>> policy = ActorCritic(6, Categorical(3), S5Stack(1, 16, state_size=8, return_state=True))
    >>> logits, value, state = policy(np.zeros((2, 5, 6), "float32"))
    >>> tuple(logits.shape), tuple(value.shape)
    ((2, 5, 3), (2, 5))

    Reference:
    - "Structured state space models for in-context reinforcement learning", appendix table 3.
    """

    def __init__(
        self,
        observation_size: int,
        distribution: Any,
        memory: Any,
        encoder_sizes: Sequence[int] = (64,),
        head_sizes: Sequence[int] = (64,),
        activation: str = "leaky_relu",
        initial_log_std: float = -0.5,
        min_log_std: float = -5.0,
        seed: int | None = None,
        normalized_features: Sequence[int] = (),
        action_mask: Sequence[int] | None = None,
        encoder: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(observation_size, distribution, **kwargs)
        self.memory = memory
        self.encoder_sizes = tuple(encoder_sizes)
        self.head_sizes = tuple(head_sizes)
        self.activation = keras.activations.get(activation)
        self.initial_log_std = initial_log_std
        self.min_log_std = min_log_std
        self.seed = seed
        self.normalized_features = tuple(normalized_features)
        self.action_mask = check_action_mask(action_mask, observation_size, distribution)

        self.num_directions = getattr(memory, "num_directions", 0)
        if self.num_directions:
            check_steering(distribution, self.encoder_sizes, encoder, self.normalized_features)
        if normalized_features:
            self.normalization = RunningNormalization(normalized_features, name="normalization")
        encoder_seed, actor_seed, critic_seed = derive_seeds(seed, 3)
        self.observation_encoder = encoder
        like = self.activation, self.dtype_policy
        self.encoder = dense_layers("encoder", self.encoder_sizes, *like, encoder_seed)
        num_outputs = distribution.num_outputs + self.num_directions
        self.actor = dense_layers(
            "actor", self.head_sizes, *like, actor_seed, num_outputs, _ACTOR_GAIN
        )
        self.critic = dense_layers("critic", self.head_sizes, *like, critic_seed, 1, _CRITIC_GAIN)
        self._state_is_one_tensor = not isinstance(memory.get_initial_state(1), list | tuple)
        self.build((None, None, observation_size))

    def build(self, observations_shape: Shape, **unused_shapes: Any) -> None:
        if self.built:
            return
        if self.normalization is not None:
            self.normalization.build(tuple(observations_shape))
        shape: Any = tuple(observations_shape)
        if self.observation_encoder is not None:
            size = build_encoder(self.observation_encoder, self.observation_size)
            shape = (*shape[:-1], size)
        shape = build_layers(self.encoder, shape)
        if not self.memory.built:  # one that was loaded from a file is built already
            self.memory.build(shape)
        output = self.memory.compute_output_shape(shape)
        shape = output[0] if isinstance(output[0], list | tuple) else output
        shape = (*shape[:-1], shape[-1] - self.num_directions * self.distribution.num_outputs)
        build_layers(self.actor, shape)
        build_layers(self.critic, shape)
        self.log_std = None
        if self.distribution.num_log_stds:
            self.log_std = self.add_weight(
                shape=(self.distribution.num_log_stds,),
                initializer=keras.initializers.Constant(self.initial_log_std),
                dtype="float32",
                autocast=False,
                name="log_std",
            )
        self.built: bool = True

    def call(
        self,
        observations: Tensor,
        resets: Tensor | None = None,
        initial_state: Any = None,
        training: bool | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        features, state = self.remember(observations, resets, initial_state)
        return *self._decide(observations, features), state

    def remember(
        self, observations: Tensor, resets: Tensor | None = None, initial_state: Any = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Returns what the memory makes of observations, which both heads see: features `(batch,
        time, features)`, and the flat list of states after the last step.

        Args:
            observations, resets, initial_state: As the call arguments.
        """
        features = self._encode(observations)
        state = None if not initial_state else self._memory_state(initial_state)
        outputs = self.memory(features, initial_state=state, resets=resets)
        features, *state = outputs if isinstance(outputs, list | tuple) else (outputs,)
        return features, list(state)

    def step(
        self,
        observation: Tensor,
        reset: Tensor,
        state: Sequence[Tensor],
        derived: DerivedWeights | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Runs the policy for one step, as `Policy.step` does.

        Args:
            observation: float32 tensor `(batch, observation_size)`.
            reset: bool tensor `(batch,)`: whether the observation is the first of a new episode.
            state: Flat list of tensors, batch first.
            derived: `keras_s5rl.layers.derived_weights.DerivedWeights` of the policy, for many
                steps with the same weights; or `None`. Defaults to `None`.

        Returns:
            `(action_parameters, value, state)`: float32 `(batch, parameters)`, float32 `(batch,)`,
            and the new flat list of states.
        """
        observation = ops.convert_to_tensor(observation, dtype="float32")
        features = self._encode(observation, derived)
        features, state = self.memory.step(
            features, reset, self._memory_state(state), **hand_on(derived, self.memory)
        )
        state = [state] if self._state_is_one_tensor else list(state)
        return *self._decide(observation, features, derived), state

    def constrain(self, trainable: Sequence[Tensor]) -> list[Tensor]:
        """Returns values of the trainable variables with the log standard deviations at
        `min_log_std` or above.

        Below the bound they would have no gradient: a training that calls this after each step of
        its optimizer can raise them again.

        Args:
            trainable: List of tensors, one for each of `trainable_variables`.
        """
        return [
            ops.maximum(value, self.min_log_std) if variable is self.log_std else value
            for variable, value in zip(self.trainable_variables, trainable, strict=True)
        ]

    def get_initial_state(self, batch_size: int) -> list[Tensor]:
        """Returns the memory state before an episode: a flat list of tensors, batch first; empty
        for a memory without state."""
        state = self.memory.get_initial_state(batch_size)
        return [state] if self._state_is_one_tensor else list(state)

    def _encode(self, observations: Tensor, derived: DerivedWeights | None = None) -> Tensor:
        if self.normalization is not None:
            observations = self.normalization(observations)
        encoder = self.observation_encoder
        if encoder is not None:
            handed_on = hand_on(derived, encoder)
            observations = rowwise(lambda rows: encoder(rows, **handed_on), observations)
        return run_layers(self.encoder, observations, derived)

    def _memory_state(self, state: Any) -> Any:
        return state[0] if self._state_is_one_tensor else list(state)

    def _decide(
        self, observations: Tensor, features: Tensor, derived: DerivedWeights | None = None
    ) -> tuple[Tensor, Tensor]:
        if self.num_directions:
            features, directions = split_directions(
                features, self.num_directions, self.distribution.num_outputs
            )
        actor, critic, for_actor, for_critic = self.actor, self.critic, features, features
        if self.head_sizes:
            for_actor, for_critic = run_side_by_side([actor[0], critic[0]], features, derived)
            actor, critic = actor[1:], critic[1:]
        outputs = run_layers(actor, for_actor, derived)
        if self.num_directions:
            outputs = steer(outputs, directions)
        log_std = self.log_std
        if log_std is not None:
            log_std = ops.convert_to_tensor(log_std)
            # Not `maximum`, whose gradient at a tie is not the same on all backends: a value at the
            # bound has the whole gradient.
            log_std = ops.where(log_std < self.min_log_std, self.min_log_std, log_std)
        value = run_layers(critic, for_critic, derived)[..., 0]
        parameters = self.distribution.parameters(outputs, log_std)
        if self.action_mask is not None:
            start, stop = self.action_mask
            parameters = self.distribution.masked(parameters, observations[..., start:stop])
        return parameters, value

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        config = super().get_config()
        config.update(
            memory=serialize(self.memory),
            encoder_sizes=self.encoder_sizes,
            head_sizes=self.head_sizes,
            activation=keras.activations.serialize(self.activation),
            initial_log_std=self.initial_log_std,
            min_log_std=self.min_log_std,
            seed=self.seed,
            normalized_features=self.normalized_features,
            action_mask=self.action_mask,
            encoder=serialize(self.observation_encoder),
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        layers = {
            name: keras.saving.deserialize_keras_object(config.get(name))
            for name in ("memory", "encoder")
        }
        return super().from_config(config | layers)
