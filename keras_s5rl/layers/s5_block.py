"""S5 with what stands around it in a deep network."""

import inspect
from typing import Any, Unpack

import keras

from keras_s5rl.layers.checks import check_seed
from keras_s5rl.layers.initializers import derive_seeds
from keras_s5rl.layers.residual_block import ResidualBlock
from keras_s5rl.layers.s5 import S5
from keras_s5rl.layers.sequence_layer import SequenceLayer
from keras_s5rl.typing import LayerArguments

# What is the layer's own, and what is for whatever stands around it
S5_ARGUMENTS = tuple(
    name
    for name in inspect.signature(S5.__init__).parameters
    if name not in inspect.signature(SequenceLayer.__init__).parameters
)
OUTER_ARGUMENTS = (
    "return_sequences",
    "return_state",
    "stateful",
    "go_backwards",
    "zero_output_for_mask",
)


@keras.saving.register_keras_serializable("keras_s5rl")
class S5Block(ResidualBlock):
    """The `ResidualBlock` around `S5`: residual, normalisation, non-linearity, gate.

    Args:
        activation: `"full_glu"`, `"half_glu1"`, `"half_glu2"` or `"gelu"`, as `ResidualBlock` has
            them. Defaults to `"full_glu"`.
        norm: `None`, `"pre"` or `"post"`: where a layer normalisation stands. Defaults to `None`.
        dropout: Float in [0, 1), the rate after `gelu` and after the gate. Defaults to `0.0`.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
        state_size, num_blocks, discretization, c_init, dt_min, dt_max: As for `S5`.
        conjugate_symmetry, clip_eigenvalues, bidirectional, step_rescale: As for `S5`.
        return_sequences, return_state, stateful, go_backwards: As for `S5`.
        zero_output_for_mask, implementation: As for `S5`.
        b_regularizer, c_regularizer, d_regularizer, b_constraint, c_constraint, d_constraint: As
            for `S5`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments, input shape and output shape are those of `S5`. The output of a masked step is
    that of the whole block.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import S5Block
    >>> block = S5Block(norm="pre", state_size=16)
    >>> tuple(block(np.ones((2, 5, 8), "float32")).shape)
    (2, 5, 8)

    Reference:
    - "Simplified state space layers for sequence modeling" (S5).
    """

    _layer_attribute = "s5"

    def __init__(
        self,
        activation: str = "full_glu",
        norm: str | None = None,
        dropout: float = 0.0,
        seed: int | None = None,
        state_size: int = 256,
        num_blocks: int = 1,
        discretization: str = "zoh",
        c_init: str = "lecun_normal",
        dt_min: float = 1e-3,
        dt_max: float = 1e-1,
        conjugate_symmetry: bool = True,
        clip_eigenvalues: bool = False,
        bidirectional: bool = False,
        step_rescale: float = 1.0,
        return_sequences: bool = True,
        return_state: bool = False,
        stateful: bool = False,
        go_backwards: bool = False,
        zero_output_for_mask: bool = False,
        implementation: str = "auto",
        b_regularizer: Any = None,
        c_regularizer: Any = None,
        d_regularizer: Any = None,
        b_constraint: Any = None,
        c_constraint: Any = None,
        d_constraint: Any = None,
        **kwargs: Unpack[LayerArguments],
    ) -> None:
        given = locals()
        check_seed(seed)
        layer = S5(
            **{name: given[name] for name in S5_ARGUMENTS},
            seed=derive_seeds(seed, 1)[0],
            dtype=kwargs.get("dtype"),
            name="s5",
        )
        outer = {name: given[name] for name in OUTER_ARGUMENTS}
        super().__init__(layer, activation, norm, dropout, seed, **outer, **kwargs)

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["layer"]
        s5_config = self.s5.get_config()
        return {**config, **{name: s5_config[name] for name in S5_ARGUMENTS}}
