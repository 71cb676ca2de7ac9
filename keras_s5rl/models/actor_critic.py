"""The policy: encoder, memory, actor and critic."""

from collections.abc import Callable, Sequence
from typing import Any, Self

import keras
from keras import ops

from keras_s5rl import backend
from keras_s5rl.layers.dense import run_side_by_side
from keras_s5rl.layers.derived_weights import DerivedWeights, hand_on
from keras_s5rl.layers.initializers import derive_seeds
from keras_s5rl.models.act_arguments import (
    check_draw,
    observation_tensor,
    reset_tensor,
    state_tensors,
)
from keras_s5rl.models.action_mask import check_action_mask
from keras_s5rl.models.dense_layers import (
    build_encoder,
    build_layers,
    dense_layers,
    run_layers,
)
from keras_s5rl.models.programs import Programs
from keras_s5rl.models.weights import values_in_place
from keras_s5rl.ops import rowwise
from keras_s5rl.typing import Shape, Tensor

_ACTOR_GAIN = 0.01  # the first policy is close to uniform
_CRITIC_GAIN = 1.0


@keras.saving.register_keras_serializable("keras_s5rl")
class ActorCritic(keras.Model):
    """A recurrent policy and its critic: dense encoder, memory, and two heads of dense layers.

    A policy is a Keras model over whole sequences; `step` and `act` run it one step at a time. Both
    clear the memory where an observation is the first of an episode, and agree to
    rounding.

    Args:
        observation_size: Positive integer, features of an observation.
        distribution: Distribution over actions, such as `keras_s5rl.models.Categorical(4)`.
        memory: Layer with the call signature, `step` and `get_initial_state` of
            `keras_s5rl.layers.S5Stack`, made with `return_state=True` where it has states.
        encoder_sizes: Units of the dense layers before the memory. Defaults to `(64,)`.
        head_sizes: Units of the hidden layers of each head. Defaults to `(64,)`.
        activation: Activation of these layers. Defaults to `"leaky_relu"`.
        initial_log_std: Log standard deviation of continuous actions at the start, in units of half
            their range. Defaults to `-0.5`.
        min_log_std: Its smallest value. Defaults to `-5.0`.
        seed: Integer or `None`, from which the initial weights of encoder and heads are drawn.
            Defaults to `None`.
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
        action_mask: Sequence[int] | None = None,
        encoder: Any = None,
        **kwargs: Any,
    ) -> None:
        # Without autocast a mixed dtype policy does not round the memory state on its way in (Keras
        # casts float arguments).
        super().__init__(autocast=False, **kwargs)
        self.observation_size = observation_size
        self.distribution = distribution
        self.memory = memory
        self.encoder_sizes = tuple(encoder_sizes)
        self.head_sizes = tuple(head_sizes)
        self.activation = keras.activations.get(activation)
        self.initial_log_std = initial_log_std
        self.min_log_std = min_log_std
        self.seed = seed
        self.action_mask = check_action_mask(action_mask, observation_size, distribution)

        encoder_seed, actor_seed, critic_seed = derive_seeds(seed, 3)
        self.observation_encoder = encoder
        like = self.activation, self.dtype_policy
        self.encoder = dense_layers("encoder", self.encoder_sizes, *like, encoder_seed)
        self.actor = dense_layers(
            "actor", self.head_sizes, *like, actor_seed, distribution.num_outputs, _ACTOR_GAIN
        )
        self.critic = dense_layers("critic", self.head_sizes, *like, critic_seed, 1, _CRITIC_GAIN)
        state = memory.get_initial_state(1)
        self._state_is_one_tensor = not isinstance(state, list | tuple)
        state = [state] if self._state_is_one_tensor else state
        self._state_shapes = tuple(tuple(tensor.shape[1:]) for tensor in state)
        self.__dict__["programs"] = Programs()  # past Keras, which would track it
        self.build((None, None, observation_size))

    def build(self, observations_shape: Shape, **unused_shapes: Any) -> None:
        if self.built:
            return
        shape: Any = tuple(observations_shape)
        if self.observation_encoder is not None:
            size = build_encoder(self.observation_encoder, self.observation_size)
            shape = (*shape[:-1], size)
        shape = build_layers(self.encoder, shape)
        if not self.memory.built:  # one that was loaded from a file is built already
            self.memory.build(shape)
        output = self.memory.compute_output_shape(shape)
        shape = output[0] if isinstance(output[0], list | tuple) else output
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
        features = self._encode(observations)
        state = None if not initial_state else self._memory_state(initial_state)
        outputs = self.memory(features, initial_state=state, resets=resets)
        features, *state = outputs if isinstance(outputs, list | tuple) else (outputs,)
        return *self._decide(observations, features), list(state)

    def step(
        self,
        observation: Tensor,
        reset: Tensor,
        state: Sequence[Tensor],
        derived: DerivedWeights | None = None,
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Runs the policy for one step.

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
        actor, critic, for_actor, for_critic = self.actor, self.critic, features, features
        if self.head_sizes:
            for_actor, for_critic = run_side_by_side([actor[0], critic[0]], features, derived)
            actor, critic = actor[1:], critic[1:]
        outputs = run_layers(actor, for_actor, derived)
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
            observation_size=self.observation_size,
            distribution=serialize(self.distribution),
            memory=serialize(self.memory),
            encoder_sizes=self.encoder_sizes,
            head_sizes=self.head_sizes,
            activation=keras.activations.serialize(self.activation),
            initial_log_std=self.initial_log_std,
            min_log_std=self.min_log_std,
            seed=self.seed,
            action_mask=self.action_mask,
            encoder=serialize(self.observation_encoder),
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        deserialize = keras.saving.deserialize_keras_object
        return cls(
            **config
            | {
                "distribution": deserialize(config["distribution"]),
                "memory": deserialize(config["memory"]),
                "encoder": deserialize(config.get("encoder")),
            }
        )
