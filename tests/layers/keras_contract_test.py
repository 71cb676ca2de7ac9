"""Keras' own test of a layer: build, call, shapes, serialization, masks, dtypes, training."""

import keras
import pytest
from keras.src import testing

from keras_s5rl.layers import S5, Resettable, S5Block, S5Stack

CASES = [
    (S5, {"state_size": 8}, (3, 2, 5), 6, 0),
    (S5, {"state_size": 8, "return_sequences": False}, (3, 5), 6, 0),
    (S5, {"state_size": 8, "bidirectional": True}, (3, 2, 5), 6, 0),
    (S5Block, {"state_size": 8, "norm": "pre", "dropout": 0.5}, (3, 2, 5), 10, 1),
    (S5Stack, {"num_layers": 2, "width": 4, "state_size": 8, "norm": "pre"}, (3, 2, 4), 24, 0),
    (Resettable, {"cell": keras.layers.GRUCell(4)}, (3, 2, 4), 3, 1),
]


@pytest.mark.filterwarnings("ignore")  # Keras' test case warns by itself
@pytest.mark.parametrize("layer, arguments, output_shape, weights, seeds", CASES)
def test_keras_accepts_the_layer(layer, arguments, output_shape, weights, seeds):
    testing.TestCase().run_layer_test(
        layer,
        init_kwargs=arguments,
        input_shape=(3, 2, 5),
        expected_output_shape=output_shape,
        expected_num_trainable_weights=weights,
        expected_num_non_trainable_weights=0,
        expected_num_seed_generators=seeds,
        supports_masking=True,
    )
