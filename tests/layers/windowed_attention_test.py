import numpy as np
import pytest
from keras import ops

from keras_s5rl.layers import windowed_attention as module
from keras_s5rl.layers.windowed_attention import rotate, windowed_attention
from tests.support.differentiate import compiled, gradients

BATCH, HEADS, SIZE = 2, 2, 5


def case(length, context_length, seed=0):
    generator = np.random.default_rng(seed)
    steps = context_length - 1 + length
    queries, keys, values = (
        generator.normal(size=(BATCH, count, HEADS, SIZE)).astype("float32")
        for count in (length, steps, steps)
    )
    episodes = np.cumsum(generator.random((BATCH, steps)) < 0.1, axis=1).astype("int32")
    return queries, keys, values, episodes


@pytest.mark.slow
@pytest.mark.parametrize("length, context_length", [(50, 8), (16, 5), (7, 1)])
def test_chunks_give_what_all_steps_at_once_give(length, context_length, monkeypatch):
    queries, keys, values, episodes = case(length, context_length)
    sizes, attend = [], module._attend

    def spy(queries, keys, *rest):
        sizes.append((queries.shape[0], queries.shape[1], keys.shape[1]))
        return attend(queries, keys, *rest)

    monkeypatch.setattr(module, "_attend", spy)

    def loss(function):
        return lambda *inputs: ops.sum(function(*inputs, episodes, context_length) ** 2)

    def at_once(*inputs):
        return attend(*inputs, None)

    found = compiled(lambda *x: windowed_attention(*x, episodes, context_length))
    wanted = compiled(lambda *x: at_once(*x, episodes, context_length))
    inputs = [ops.convert_to_tensor(x) for x in (queries, keys, values)]
    np.testing.assert_allclose(
        ops.convert_to_numpy(found(*inputs)), ops.convert_to_numpy(wanted(*inputs)), atol=1e-5
    )
    chunks = -(-length // context_length)
    assert sizes[0] == (BATCH * chunks, context_length, 2 * context_length)
    for a, b in zip(
        gradients(loss(windowed_attention), inputs, compile=True),
        gradients(loss(at_once), inputs, compile=True),
        strict=True,
    ):
        np.testing.assert_allclose(a, b, atol=1e-5 * max(1.0, np.abs(b).max()))


def test_a_score_depends_on_the_distance_alone():
    first, second = np.random.default_rng(0).normal(size=(2, 1, 1, 1, 7)).astype("float32")

    def score(i, j):
        turned = [
            rotate(ops.convert_to_tensor(x), ops.convert_to_tensor([float(position)]))
            for x, position in ((first, i), (second, j))
        ]
        return float(ops.sum(turned[0] * turned[1]))

    assert score(9, 4) == pytest.approx(score(105, 100), abs=1e-4)
    assert abs(score(9, 4) - score(9, 3)) > 1e-2
    assert score(0, 0) == pytest.approx(float(np.sum(first * second)), abs=1e-6)
    # An odd last feature stays as it is.
    alone = np.eye(7, dtype="float32")[None, -1:, None]
    turned = rotate(ops.convert_to_tensor(alone), ops.convert_to_tensor([3.0]))
    np.testing.assert_array_equal(ops.convert_to_numpy(turned), alone)


@pytest.mark.slow
def test_products_follow_the_dtype_of_the_queries_and_weights_that_one_can_drop():
    queries, keys, values, episodes = case(3, 4)
    half = windowed_attention(ops.cast(queries, "bfloat16"), keys, values, episodes, 4)
    full = ops.convert_to_numpy(windowed_attention(queries, keys, values, episodes, 4))
    assert "bfloat16" in str(half.dtype)
    np.testing.assert_allclose(ops.convert_to_numpy(ops.cast(half, "float32")), full, atol=0.05)
    twice = windowed_attention(queries, keys, values, episodes, 4, drop=lambda weights: 2 * weights)
    np.testing.assert_allclose(ops.convert_to_numpy(twice), 2 * full, rtol=1e-6)
