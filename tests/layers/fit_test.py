"""`model.fit`, `evaluate` and `predict` on sequences of several lengths, with resets and masks."""

import keras
import numpy as np
import pytest

from keras_s5rl.layers import S5, Resettable, S5Block
from tests.support.differentiate import BACKEND

LAYERS = {
    "S5": lambda: S5(state_size=4),
    "S5Block": lambda: S5Block(norm="pre", state_size=4),
    "GRU": lambda: Resettable(keras.layers.GRUCell(4)),
}
# layer, policy, jit_compile, lengths of batches (each is compiled three times)
CASES = [
    ("S5", "float32", True, (5, 3)),
    ("S5", "float32", False, (5, 3)),
    ("S5Block", "mixed_bfloat16", "auto", (5,)),
    ("GRU", "mixed_float16", "auto", (5,)),
]


class Sequences(keras.utils.PyDataset):
    """Batches of several lengths, with resets and masked steps (all zeros)."""

    def __init__(self, lengths):
        super().__init__()
        self.lengths = lengths

    def __len__(self):
        return len(self.lengths)

    def __getitem__(self, index):
        generator, shape = np.random.default_rng(index), (4, self.lengths[index])
        inputs = generator.normal(size=(*shape, 3)).astype("float32")
        inputs[generator.random(shape) < 0.3] = 0.0
        resets = generator.random(shape) < 0.3
        return (inputs, resets), generator.normal(size=(*shape, 1)).astype("float32")


@pytest.mark.slow
@pytest.mark.portable
@pytest.mark.parametrize("name, policy, jit_compile, lengths", CASES)
def test_fit_evaluate_and_predict_agree_and_fit_learns(name, policy, jit_compile, lengths):
    if BACKEND == "torch" and jit_compile is True:
        pytest.skip("torch.compile unrolls time, and takes minutes on Keras' own GRU too.")
    if BACKEND == "jax" and not jit_compile:
        pytest.skip("JAX then compiles each operation by itself, as recompilation_test has it.")
    keras.utils.set_random_seed(0)
    keras.config.set_dtype_policy(policy)
    try:
        inputs = keras.Input((None, 3))
        resets = keras.Input((None,), dtype="bool")
        hidden = LAYERS[name]()(keras.layers.Masking()(inputs), resets=resets)
        outputs = keras.layers.Dense(1, dtype="float32")(hidden)
        model = keras.Model([inputs, resets], outputs)
        model.compile(keras.optimizers.Adam(0.0), "mse", jit_compile=jit_compile)
    finally:
        keras.config.set_dtype_policy("float32")
    data = Sequences(lengths)

    expected = []
    for (inputs, resets), targets in (data[index] for index in range(len(data))):
        predicted = model.predict([inputs, resets], verbose=0)
        assert predicted.shape == targets.shape
        errors = (predicted - targets) ** 2
        expected.append(errors[(inputs != 0).any(axis=-1)].mean())
    tolerance = 1e-5 if policy == "float32" else 1e-2

    def close(loss):
        np.testing.assert_allclose(loss, np.mean(expected), rtol=tolerance)

    close(model.evaluate(data, verbose=0))
    close(model.fit(data, verbose=0).history["loss"])
    close(model.evaluate(data, verbose=0))  # nothing was learned at a rate of 0
    model.optimizer.learning_rate = 0.03
    losses = model.fit(data, epochs=10, verbose=0).history["loss"]
    assert losses[-1] < 0.95 * losses[0]
