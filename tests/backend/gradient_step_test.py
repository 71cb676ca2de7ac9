import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend
from tests.support.differentiate import BACKEND

BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-3
RATE, CLIP_NORM, NUM_STEPS = 0.1, 0.5, 3
START = [np.array([[1.0, -2.0], [0.5, 3.0]], "float32"), np.ones(3, "float32")]
TARGETS = np.random.default_rng(0).normal(size=(NUM_STEPS, 2)).astype("float32")


def make_optimizer(anneal=True):
    rate = keras.optimizers.schedules.PolynomialDecay(RATE, NUM_STEPS, 0.0) if anneal else RATE
    optimizer = keras.optimizers.Adam(rate, epsilon=EPSILON, global_clipnorm=CLIP_NORM)
    variables = [keras.Variable(np.full_like(value, 7.0)) for value in START]
    optimizer.build(variables)
    return optimizer, variables


def expected(anneal):
    """Adam in float64 on the sum of squares; the second weight is not part of the loss."""
    weight, m, v = START[0].astype("float64"), 0.0, 0.0
    losses, norms = [], []
    for step, target in enumerate(TARGETS.astype("float64")):
        gradient = 2 * (weight - target)
        losses.append(np.sum((weight - target) ** 2))
        norms.append(np.linalg.norm(gradient))
        gradient *= min(1.0, CLIP_NORM / norms[-1])
        m = BETA_1 * m + (1 - BETA_1) * gradient
        v = BETA_2 * v + (1 - BETA_2) * gradient**2
        correction = np.sqrt(1 - BETA_2 ** (step + 1)) / (1 - BETA_1 ** (step + 1))
        rate = RATE * (1 - step / NUM_STEPS * anneal)
        weight = weight - rate * correction * m / (np.sqrt(v) + EPSILON)
    return weight, m, v, losses, norms


def program(optimizer):
    def step(carry, target):
        def loss(values):
            difference = values[0] - target
            return ops.sum(ops.square(difference)), {"difference": difference}

        values, optimizer_values, loss, auxiliary, norm = backend.gradient_step(
            loss, optimizer, *carry
        )
        return (values, optimizer_values), (loss, auxiliary, norm)

    return lambda values, optimizer_values, targets: backend.scan(
        step, (values, optimizer_values), targets
    )


@pytest.mark.slow_after(1)
@pytest.mark.portable
@pytest.mark.parametrize(("compile", "anneal"), [(False, True), (True, False)])
def test_steps_in_a_loop_are_those_of_adam_and_change_nothing_else(compile, anneal):
    optimizer, variables = make_optimizer(anneal)
    before = [np.array(ops.convert_to_numpy(v)) for v in (*variables, *optimizer.variables)]
    values = [ops.convert_to_tensor(value) for value in START]
    optimizer_values = [ops.copy(ops.stop_gradient(v.value)) for v in optimizer.variables]
    run = program(optimizer)
    run = backend.compile(run) if compile else run
    for _ in range(2):  # the second time from the same values: the first left them as they were
        (new_values, new_optimizer_values), (losses, auxiliary, norms) = run(
            values, optimizer_values, ops.convert_to_tensor(TARGETS)
        )
    weight, m, v, expected_losses, expected_norms = expected(anneal)
    np.testing.assert_allclose(ops.convert_to_numpy(new_values[0]), weight, rtol=1e-5)
    np.testing.assert_array_equal(ops.convert_to_numpy(new_values[1]), START[1])
    np.testing.assert_allclose(ops.convert_to_numpy(losses), expected_losses, rtol=1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(norms), expected_norms, rtol=1e-5)
    np.testing.assert_allclose(
        ops.convert_to_numpy(auxiliary["difference"])[0], START[0] - TARGETS[0], rtol=1e-6
    )
    sums = sorted(float(ops.sum(ops.cast(value, "float32"))) for value in new_optimizer_values)
    rate = [] if anneal else [RATE]  # a variable where it is constant
    np.testing.assert_allclose(sums, sorted([NUM_STEPS, m.sum(), v.sum(), 0, 0, *rate]), rtol=1e-4)
    for variable, value in zip((*variables, *optimizer.variables), before, strict=True):
        np.testing.assert_array_equal(ops.convert_to_numpy(variable), value)


@pytest.mark.skipif(BACKEND != "torch", reason="Only torch records gradients where none are asked.")
def test_nothing_that_it_returns_carries_a_gradient_and_no_grad_does_not_stop_it():
    import torch

    optimizer, variables = make_optimizer()
    values = [variable.value for variable in variables]
    optimizer_values = [variable.value for variable in optimizer.variables]
    run = program(optimizer)
    for mode in (torch.enable_grad, torch.no_grad):
        with mode():
            results = run(values, optimizer_values, torch.tensor(TARGETS))
        assert not any(tensor.requires_grad for tensor in keras.tree.flatten(results))
        assert (results[0][0][0] != variables[0].value).all()
