"""The registry of memories: what stands between an agent's encoder and its heads, by name."""

import difflib

import keras

from keras_s5rl.layers import (
    LRU,
    CausalAttention,
    MinGRU,
    Resettable,
    ResidualBlock,
    S5Stack,
    SequenceStack,
)
from keras_s5rl.layers.initializers import Orthogonal, derive_seeds
from keras_s5rl.models.feed_forward import FeedForward

_BUILDERS = {}


def register_memory(name, builder):
    """Makes a memory known under a name, for `PPO(memory=name)` and `--memory=name`.

    Args:
        name: String.
        builder: Function of keyword arguments, the network settings of `PPOConfig` (`width`,
            `state_size`, `num_layers`, ...) and `seed`, that returns a layer with the call
            signature, `step` and `get_initial_state` of `keras_s5rl.layers.S5Stack`.

    Example:

    >>> from keras_s5rl.layers import S5
    >>> from keras_s5rl.models import register_memory
    >>> register_memory("one_s5", lambda state_size, seed, **settings: S5(state_size, seed=seed))
    """
    _BUILDERS[name] = builder


def registered_memories():
    """Returns the known names, in the order in which they were registered."""
    return list(_BUILDERS)


def check_memory(name):
    """Raises a ValueError that lists the nearest known names if no memory has this one."""
    if not isinstance(name, str) or name not in _BUILDERS:
        near = difflib.get_close_matches(str(name), _BUILDERS, cutoff=0.3) or list(_BUILDERS)
        raise ValueError(
            f"`memory` should be one of {registered_memories()}; did you mean {near[0]!r}? "
            f"Received: memory={name!r}"
        )


def make_memory(name, seed=None, **settings):
    """Returns a new memory layer.

    Args:
        name: String, one of `registered_memories()`.
        seed: Integer or `None`, from which its initial weights are drawn.
        **settings: Network settings of `PPOConfig`; each memory takes those it has a use for.

    Raises:
        ValueError: If the name is not known.
    """
    check_memory(name)
    return _BUILDERS[name](seed=seed, **settings)


def _s5(
    num_layers,
    width,
    state_size,
    norm,
    block_activation,
    clip_eigenvalues,
    dt_min,
    dt_max,
    seed,
    dtype=None,
    **unused,
):
    return S5Stack(
        num_layers,
        width,
        state_size=state_size,
        norm=norm,
        activation=block_activation,
        clip_eigenvalues=clip_eigenvalues,
        dt_min=dt_min,
        dt_max=dt_max,
        return_state=True,
        seed=seed,
        dtype=dtype,
        name="memory",
    )


def _recurrent(cell_class):
    def builder(num_layers, width, seed, dtype=None, **unused):
        seeds = derive_seeds(seed, 2 * num_layers)
        cells = [
            cell_class(
                width,
                kernel_initializer=Orthogonal(seed=seeds[2 * i]),
                recurrent_initializer=Orthogonal(seed=seeds[2 * i + 1]),
                dtype=dtype,
                name=f"cell_{i}",
            )
            for i in range(num_layers)
        ]
        return Resettable(cells, return_state=True, dtype=dtype, name="memory")

    return builder


def _stacked(make_layer):
    """Any recurrence in the blocks in which S5 stands."""

    def builder(num_layers, width, norm, block_activation, seed, dtype=None, **settings):
        stack_seed, *seeds = derive_seeds(seed, 1 + 2 * num_layers)
        blocks = [
            ResidualBlock(
                make_layer(width=width, seed=seeds[2 * i], dtype=dtype, **settings),
                block_activation,
                norm,
                seed=seeds[2 * i + 1],
                dtype=dtype,
                name=f"block_{i}",
            )
            for i in range(num_layers)
        ]
        return SequenceStack(
            blocks,
            width,
            normalize_output=norm == "pre",
            return_state=True,
            seed=stack_seed,
            dtype=dtype,
            name="memory",
        )

    return builder


def _lru(state_size, seed, dtype, **unused):
    # Half as many complex states as S5 has eigenvalues: the other half are their conjugates there.
    return LRU(max(state_size // 2, 1), r_min=0.9, r_max=0.999, seed=seed, dtype=dtype, name="lru")


def _min_gru(width, seed, dtype, **unused):
    return MinGRU(width, seed=seed, dtype=dtype, name="min_gru")


def _attention(num_layers, width, num_heads, context_length, seed, dtype=None, **unused):
    return CausalAttention(
        num_layers,
        width,
        num_heads,
        context_length,
        return_state=True,
        seed=seed,
        dtype=dtype,
        name="memory",
    )


def _mlp(num_layers, width, activation, seed, dtype=None, **unused):
    return FeedForward(
        num_layers, width, activation=activation, seed=seed, dtype=dtype, name="memory"
    )


register_memory("s5", _s5)
register_memory("gru", _recurrent(keras.layers.GRUCell))
register_memory("lstm", _recurrent(keras.layers.LSTMCell))
register_memory("lru", _stacked(_lru))
register_memory("mingru", _stacked(_min_gru))
register_memory("attention", _attention)
register_memory("mlp", _mlp)
