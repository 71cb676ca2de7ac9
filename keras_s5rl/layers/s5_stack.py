"""A deep S5 network: encoder, blocks, and one last normalisation."""

from typing import Any, Unpack

import keras

from keras_s5rl.layers.checks import check_positive_integers, check_seed
from keras_s5rl.layers.initializers import derive_seeds
from keras_s5rl.layers.s5_block import OUTER_ARGUMENTS, S5_ARGUMENTS, S5Block
from keras_s5rl.layers.sequence_stack import SequenceStack
from keras_s5rl.typing import LayerArguments


@keras.saving.register_keras_serializable("keras_s5rl")
class S5Stack(SequenceStack):
    """A dense encoder, blocks of `S5`, and a last layer normalisation where they are pre-normed.

    It is the `SequenceStack` of `num_layers` `S5Block`s.

    Args:
        num_layers: Positive integer, the number of blocks.
        width: Positive integer, the features of every block.
        activation: As for `S5Block`. Defaults to `"full_glu"`.
        norm: As for `S5Block`. Defaults to `None`.
        dropout: As for `S5Block`. Defaults to `0.0`.
        seed: Integer, or `None` for Keras' global seed; all initial weights are drawn from it.
            Defaults to `None`.
        state_size, num_blocks, discretization, c_init, dt_min, dt_max: As for `S5`.
        conjugate_symmetry, clip_eigenvalues, bidirectional, step_rescale: As for `S5`.
        return_sequences, return_state, stateful, go_backwards: As for `S5`.
        zero_output_for_mask, implementation: As for `S5`.
        b_regularizer, c_regularizer, d_regularizer, b_constraint, c_constraint, d_constraint: As
            for `S5`.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Tensor `(batch, time, features)`.
        initial_state: List of `num_layers` float32 tensors `(batch, 2, P)` (twice as many when
            bidirectional), or `None` for zeros.
        resets, step_scale, mask, training: As for `S5`.

    Input shape:
        `(batch, time, features)`.

    Output shape:
        `(batch, time, width)`, or `(batch, width)` with `return_sequences=False`; with
        `return_state` a tuple of it and the states.

    Raises:
        ValueError: If an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from keras_s5rl.layers import S5Stack
    >>> stack = S5Stack(num_layers=2, width=8, state_size=16, return_state=True)
    >>> outputs, *states = stack(np.ones((2, 5, 3), "float32"))
    >>> tuple(outputs.shape), len(states)
    ((2, 5, 8), 2)
    >>> output, states = stack.step(np.ones((2, 3), "float32"), np.array([True, False]), states)
    >>> tuple(output.shape)
    (2, 8)

    Reference:
    - "Structured state space models for in-context reinforcement learning" (there four layers
      of width 256).
    """

    def __init__(
        self,
        num_layers: int,
        width: int,
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
        check_positive_integers(num_layers=num_layers, width=width)
        check_seed(seed)
        _, *block_seeds = derive_seeds(seed, 1 + num_layers)
        blocks = [
            S5Block(
                activation,
                norm,
                dropout,
                seed=block_seed,
                **{name: given[name] for name in S5_ARGUMENTS},
                dtype=kwargs.get("dtype"),
                name=f"block_{index}",
            )
            for index, block_seed in enumerate(block_seeds)
        ]
        super().__init__(
            blocks,
            width,
            normalize_output=norm == "pre",
            seed=seed,
            **{name: given[name] for name in OUTER_ARGUMENTS},
            **kwargs,
        )
        self.num_layers = num_layers
        self.activation = activation
        self.norm = norm
        self.dropout = dropout

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        del config["layers"], config["normalize_output"]
        block_config = self.blocks[0].get_config()
        return {
            **config,
            "num_layers": self.num_layers,
            "activation": self.activation,
            "norm": self.norm,
            "dropout": self.dropout,
            **{name: block_config[name] for name in S5_ARGUMENTS},
        }
