"""`EquivariantMemory`: a memory that does not see in which bases it observes and acts."""

from typing import Any, Self, Unpack

import keras
from keras import ops

from keras_s5rl.layers.checks import check_positive_integers
from keras_s5rl.layers.dense import Dense
from keras_s5rl.layers.derived_weights import DerivedWeights, DerivingLayer, hand_on
from keras_s5rl.layers.initializers import Normal, Orthogonal, derive_seeds
from keras_s5rl.layers.inner_layer import check_inner_layer
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.layers.system_identification import SystemIdentification
from keras_s5rl.ops import product, rowwise
from keras_s5rl.typing import LayerArguments, Shape, Tensor


@keras.saving.register_keras_serializable("keras_s5rl")
class EquivariantMemory(DerivingLayer, SequenceLayer):
    """A layer over time behind a `SystemIdentification`: its features are the same whatever
    orthogonal matrices observations and actions are multiplied by.

    The layer inside sees the invariants `s` of the identification, and products of mixtures of its
    directions `v`, which are invariant too:

        h_i = (sum_j U_ij v_j) . (sum_j V_ij v_j)
        features = layer(encoder([s, h]))
        directions_k = sum_j M_kj v_j

    An actor that weighs the directions by functions of the features and sums them up acts the same
    way in each pair of bases: `keras_s5rl.models.ActorCritic` does so, see `num_directions`.

    Args:
        layer: `SequenceLayer`, such as `S5Stack(2, 64)`, with the default `return_sequences`,
            `return_state`, `stateful`, `go_backwards` and `zero_output_for_mask`: those of this
            layer count.
        observation_size, drift: As for `SystemIdentification`.
        num_products: Positive integer, how many products `h` there are. Defaults to `64`.
        num_directions: Positive integer, directions handed to the actor. Defaults to `16`.
        encoder_sizes: Units of the dense layers before `layer`. Defaults to `(64, 64)`.
        encoder_activation: Their activation. Defaults to `"leaky_relu"`.
        seed: Integer or `None`, from which the weights are drawn but those of `layer`.
        return_sequences, return_state, stateful, go_backwards, zero_output_for_mask: As for `S5`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: As for `SystemIdentification`.
        initial_state, resets, mask: As for `S5`.

    Input shape:
        `(batch, time, observation_size + 6)`.

    Output shape:
        `(batch, time, units + 2 * num_directions)` with the units of `layer`: its features, then
        the directions, one pair after the other; with `return_sequences=False` without the axis of
        time; with `return_state` a tuple of it and the states.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import S5, EquivariantMemory
    >>> memory = EquivariantMemory(S5(8), observation_size=4, num_directions=3)
    >>> tuple(memory(np.zeros((2, 5, 10), "float32")).shape)
    (2, 5, 70)
    """

    def __init__(
        self,
        layer: SequenceLayer,
        observation_size: int,
        drift: float = 0.1,
        num_products: int = 64,
        num_directions: int = 16,
        encoder_sizes: tuple[int, ...] = (64, 64),
        encoder_activation: Any = "leaky_relu",
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        seed: int | None = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        super().__init__(
            return_sequences=return_sequences,
            return_state=return_state,
            stateful=stateful,
            go_backwards=go_backwards,
            zero_output_for_mask=zero_output_for_mask,
            seed=seed,
            **kwargs,
        )
        check_inner_layer("layer", layer)
        check_positive_integers(num_products=num_products, num_directions=num_directions)
        self.layer = layer
        self.identification = SystemIdentification(
            observation_size, drift, dtype="float32", name="identification"
        )
        self.num_products = num_products
        self.num_directions = num_directions
        self.encoder_sizes = tuple(encoder_sizes)
        self.encoder_activation = keras.activations.get(encoder_activation)
        self._mixing_seed, *seeds = derive_seeds(seed, 1 + len(self.encoder_sizes))
        self.encoder = [
            Dense(
                size,
                activation=self.encoder_activation,
                kernel_initializer=Orthogonal(2.0**0.5, seed=layer_seed),
                dtype=self.dtype_policy,
                name=f"encoder_{index}",
            )
            for index, (size, layer_seed) in enumerate(zip(self.encoder_sizes, seeds, strict=True))
        ]
        if self.stateful:
            self._check_can_step()

    @property
    def state_shapes(self) -> list[tuple[int, ...]]:
        return [*self.identification.state_shapes, *self.layer.state_shapes]

    def get_initial_state(self, batch_size: int) -> Any:
        """The states of the identification and of the layer inside: a flat list, batch first."""
        layers = self.identification, self.layer
        return keras.tree.flatten([layer.get_initial_state(batch_size) for layer in layers])

    def output_size(self, features: int) -> int:
        for dense in self.encoder:
            features = dense.units
        return self.layer.output_size(features) + 2 * self.num_directions

    def build(
        self,
        inputs_shape: Shape,
        initial_state_shape: Shape | None = None,
        resets_shape: Shape | None = None,
        step_scale_shape: Shape | None = None,
    ) -> None:
        self.identification.build((None, *inputs_shape[1:]))
        size = self.identification.num_directions
        self.mixing = self.add_weight(
            name="mixing",
            shape=(size, 2 * self.num_products + self.num_directions),
            initializer=Normal(size**-0.5, seed=self._mixing_seed),
            dtype="float32",
            autocast=False,
        )
        features = self.identification.num_invariants + self.num_products
        for dense in self.encoder:
            dense.build((None, features))
            features = dense.units
        if not self.layer.built:  # a loaded one is
            self.layer.build((None, None, features))
        self._create_states(inputs_shape[0])
        self.built = True

    def run(
        self,
        inputs: Tensor,
        states: list[Tensor],
        resets: Tensor | None = None,
        mask: Tensor | None = None,
        step_scale: Tensor | None = None,
        reverse: bool = False,
        training: bool | None = None,
        derived: DerivedWeights | None = None,
    ) -> tuple[Tensor, list[Tensor]]:
        count = len(self.identification.state_shapes)
        described, found = self.identification.run(
            inputs, states[:count], resets, mask, step_scale, reverse, training
        )
        cut = self.identification.num_invariants
        invariants, directions = described[..., :cut], described[..., cut:]
        mixing = ops.convert_to_tensor(self.mixing)

        def mix(numbers: Tensor) -> Tensor:
            return rowwise(lambda rows: product(rows, mixing), numbers)

        mixed = [mix(numbers) for numbers in (directions[..., ::2], directions[..., 1::2])]
        size = self.num_products
        products = sum(axis[..., :size] * axis[..., size : 2 * size] for axis in mixed)
        outputs = ops.concatenate([invariants, products], axis=-1)

        def encode(rows: Tensor) -> Tensor:
            for dense in self.encoder:
                rows = dense(rows, derived=derived)
            return rows

        outputs = rowwise(encode, outputs)
        outputs, new_states = self.layer.run(
            ops.cast(outputs, self.layer.compute_dtype),
            states[count:],
            resets=resets,
            mask=mask,
            step_scale=step_scale,
            reverse=reverse,
            training=training,
            **hand_on(derived, self.layer),
        )
        pairs = ops.stack([axis[..., 2 * size :] for axis in mixed], axis=-1)
        pairs = ops.reshape(pairs, (*ops.shape(pairs)[:-2], 2 * self.num_directions))
        outputs = ops.concatenate(
            [ops.cast(part, self.compute_dtype) for part in (outputs, pairs)], axis=-1
        )
        return outputs, [*found, *new_states]

    def _check_can_step(self) -> None:
        self.layer._check_can_step()

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "observation_size": self.identification.observation_size,
            "drift": self.identification.drift,
            "num_products": self.num_products,
            "num_directions": self.num_directions,
            "encoder_sizes": self.encoder_sizes,
            "encoder_activation": keras.activations.serialize(self.encoder_activation),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "layer": keras.saving.deserialize_keras_object(config["layer"])})
