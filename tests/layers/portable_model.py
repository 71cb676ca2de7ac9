"""One model of all layers, to write on one backend and read on another, each in its own process.

KERAS_BACKEND=jax python -m tests.layers.portable_model write FOLDER
KERAS_BACKEND=torch python -m tests.layers.portable_model read FOLDER jax torch
"""

import sys
from pathlib import Path

import keras
import numpy as np

from keras_s5rl.layers import (
    LRU,
    S5,
    CausalAttention,
    MinGRU,
    Resettable,
    ResidualBlock,
    S5Block,
    S5Stack,
    SequenceStack,
)

BACKEND = keras.config.backend()


def make_layers():
    return [
        S5(state_size=8, num_blocks=2, c_init="complex_normal", clip_eigenvalues=True),
        S5(state_size=4, discretization="bilinear", conjugate_symmetry=False, bidirectional=True),
        S5Block("half_glu1", norm="post", dropout=0.5, state_size=8, go_backwards=True),
        S5Stack(2, 6, norm="pre", state_size=8, step_rescale=0.5, zero_output_for_mask=True),
        Resettable([keras.layers.LSTMCell(4), keras.layers.GRUCell(5)]),
        CausalAttention(1, 4, num_heads=2, context_length=3),
        SequenceStack([ResidualBlock(LRU(4)), MinGRU(5)], width=4),
        Resettable(keras.layers.SimpleRNNCell(4), return_sequences=False, return_state=True),
    ]


def make_model():
    sequence = keras.Input((None, 3))
    resets = keras.Input((None,), dtype="bool")
    hidden = keras.layers.Masking()(sequence)
    for layer in make_layers():
        hidden = layer(hidden, resets=resets)
    return keras.Model([sequence, resets], hidden)


def keep_outputs(model, file):
    """Runs the model over the same sequences, with masked steps and resets, on every backend."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(2, 9, 3)).astype("float32")
    inputs[0, [2, 4]] = inputs[1, 0] = 0.0
    resets = generator.random((2, 9)) < 0.3
    np.savez(file, *map(keras.ops.convert_to_numpy, model([inputs, resets])))


def write(folder):
    """Writes a model whose weights are those of this backend alone."""
    keras.utils.set_random_seed(0)
    model = make_model()
    generator = np.random.default_rng(len(BACKEND))
    for weight in model.weights:
        weight.assign(weight + 0.1 * generator.normal(size=weight.shape))
    model.save(folder / f"{BACKEND}.keras")
    model.save_weights(folder / f"{BACKEND}.weights.h5")
    keep_outputs(model, folder / f"{BACKEND}.npz")


def read(folder, writers):
    """Loads what each backend wrote, whole and by its weights."""
    for writer in writers:
        whole = keras.saving.load_model(folder / f"{writer}.keras")
        keep_outputs(whole, folder / f"{writer}_{BACKEND}_keras.npz")
        model = make_model()
        model.load_weights(folder / f"{writer}.weights.h5")
        keep_outputs(model, folder / f"{writer}_{BACKEND}_weights.npz")


if __name__ == "__main__":
    if BACKEND != "tensorflow":
        sys.modules["tensorflow"] = None  # saving would import it, for seconds
    task, folder, *writers = sys.argv[1:]
    if task == "write":
        write(Path(folder))
    else:
        read(Path(folder), writers)
