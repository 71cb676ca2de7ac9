"""Forward mode, batched derivatives and their combinations, in each backend's own words."""

import functools

import keras
import numpy as np
import pytest
from keras import ops

from keras_s5rl.layers import S5Stack
from keras_s5rl.ops import linear_recurrence
from tests.ops.recurrences import IMPLEMENTATIONS, loop, problem
from tests.support.differentiate import BACKEND

jax_alone = pytest.mark.skipif(BACKEND != "jax", reason="The transformations are JAX's.")
torch_alone = pytest.mark.skipif(BACKEND != "torch", reason="The transformations are torch's.")
# Torch 2.13 scripts decompositions of its own when forward mode is first used.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")


def arrays(case):
    return [case[name].astype("float32") for name in ("decay", "inputs", "initial_state")]


def states_of(case, implementation="auto"):
    flags = {"resets": case["resets"], "mask": case["mask"]}
    return functools.partial(linear_recurrence, **flags, implementation=implementation)


def directional_derivative(case, directions):
    """Of the loop, by central differences in float64."""
    flags = {"resets": case["resets"], "mask": case["mask"]}
    arguments = [case[name] for name in ("decay", "inputs", "initial_state")]
    above, below = (
        loop(*[a + s * d for a, d in zip(arguments, directions, strict=True)], **flags)
        for s in (1e-6, -1e-6)
    )
    return (above - below) / 2e-6


def forward_derivative(function, arguments, directions):
    if BACKEND == "jax":
        import jax

        return jax.jvp(function, tuple(arguments), tuple(directions))[1]
    if BACKEND == "tensorflow":
        import tensorflow as tf

        arguments, directions = (
            [ops.convert_to_tensor(value) for value in values] for values in (arguments, directions)
        )
        with tf.autodiff.ForwardAccumulator(arguments, directions) as accumulator:
            states = function(*arguments)
        return accumulator.jvp(states)
    import torch

    arguments, directions = (
        tuple(ops.convert_to_tensor(value) for value in values)
        for values in (arguments, directions)
    )
    return torch.func.jvp(function, arguments, directions)[1]


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("varying", (False, True))
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_forward_mode_is_the_directional_derivative_of_the_loop(implementation, varying):
    case = problem(time=5, varying=varying, features=2)
    generator = np.random.default_rng(1)
    directions = [generator.normal(size=array.shape) for array in arrays(case)]
    found = forward_derivative(
        states_of(case, implementation),
        arrays(case),
        [direction.astype("float32") for direction in directions],
    )
    expected = directional_derivative(case, directions)
    np.testing.assert_allclose(ops.convert_to_numpy(found), expected, rtol=1e-4, atol=1e-4)


def loss_of_model():
    """The loss of a small model as a function of all weights and of the inputs."""
    model = keras.Sequential([keras.Input((6, 3)), S5Stack(1, 4, norm="pre", state_size=4, seed=0)])
    resets = np.zeros((2, 6), bool)
    resets[:, 3] = True

    def loss(weights, inputs):
        with keras.StatelessScope(list(zip(model.trainable_variables, weights, strict=True))):
            outputs = model.layers[0](inputs, resets=resets)
        return ops.mean(ops.square(outputs)), outputs

    weights = [ops.convert_to_tensor(ops.convert_to_numpy(v)) for v in model.trainable_variables]
    inputs = ops.convert_to_tensor(
        np.random.default_rng(0).normal(size=(2, 6, 3)).astype("float32")
    )
    return loss, weights, inputs


@pytest.mark.slow
@jax_alone
def test_forward_over_reverse_reverse_over_forward_and_reverse_over_reverse_agree():
    import jax

    loss, weights, inputs = loss_of_model()
    directions = [np.cos(np.arange(w.size, dtype="float32")).reshape(w.shape) for w in weights]

    def scalar(weights):
        return loss(weights, inputs)[0]

    def along(weights):
        return jax.jvp(scalar, (weights,), (directions,))[1]

    def product(weights):
        return sum(
            jax.tree.leaves(jax.tree.map(lambda a, b: (a * b).sum(), grad(weights), directions))
        )

    grad = jax.grad(scalar)
    results = [
        jax.jit(lambda w: jax.jvp(grad, (w,), (directions,))[1])(weights),
        jax.jit(jax.grad(along))(weights),
        jax.jit(jax.grad(product))(weights),
    ]
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@jax_alone
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
def test_both_modes_give_the_same_jacobian_and_batches_of_gradients_are_the_single_ones(
    implementation,
):
    import jax

    case = problem(time=4, features=2)
    run = states_of(case, implementation)
    arguments = arrays(case)
    forward, reverse = (
        jax.jit(mode(run, argnums=(0, 1, 2)))(*arguments) for mode in (jax.jacfwd, jax.jacrev)
    )
    for a, b in zip(forward, reverse, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)

    def loss(*arguments):
        return ops.sum(run(*arguments) ** 2)

    several = [np.stack([array, 0.5 * array, 0 * array]) for array in arguments]
    for axes in ((0, 0, 0), (0, None, None), (None, 0, 0)):
        given = [
            batch if axis == 0 else array
            for batch, array, axis in zip(several, arguments, axes, strict=True)
        ]
        gradient = jax.grad(loss, argnums=(0, 1, 2))
        found = jax.jit(jax.vmap(gradient, in_axes=axes))(*given)
        for row in range(3):
            single = [g[row] if axis == 0 else g for g, axis in zip(given, axes, strict=True)]
            for a, b in zip(found, gradient(*single), strict=True):
                np.testing.assert_allclose(a[row], b, rtol=1e-4, atol=1e-4)
        together = jax.grad(lambda *a, axes=axes: jax.vmap(loss, in_axes=axes)(*a).sum(), (0, 1, 2))
        for a, b, axis in zip(together(*given), found, axes, strict=True):
            np.testing.assert_allclose(a, b if axis == 0 else b.sum(0), rtol=1e-4, atol=1e-4)


@torch_alone
def test_functional_transformations_of_torch_agree_with_its_tape():
    import torch
    from torch.func import grad, jacfwd, jacrev, vmap

    case = problem(time=4, features=2)
    run = states_of(case)
    arguments = tuple(map(torch.as_tensor, arrays(case)))

    def loss(*arguments):
        return torch.sum(run(*arguments) ** 2)

    leaves = [argument.clone().requires_grad_() for argument in arguments]
    expected = torch.autograd.grad(loss(*leaves), leaves)
    for a, b in zip(grad(loss, argnums=(0, 1, 2))(*arguments), expected, strict=True):
        torch.testing.assert_close(a, b)
    for a, b in zip(
        jacrev(run, argnums=(0, 1, 2))(*arguments),
        jacfwd(run, argnums=(0, 1, 2))(*arguments),
        strict=True,
    ):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)
    scales = torch.tensor([1.0, 0.5, 0.0])
    per_scale = vmap(grad(lambda scale: loss(*[scale * a for a in arguments])))(scales)
    for scale, found in zip(scales, per_scale, strict=True):
        single = scale.clone().requires_grad_()
        (wanted,) = torch.autograd.grad(loss(*[single * a for a in arguments]), single)
        torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@torch_alone
def test_gradients_of_every_sample_by_torch_func_are_those_of_single_batches():
    import torch
    from torch.func import grad, vmap

    loss, weights, inputs = loss_of_model()

    def of_one(weights, row):
        return loss(weights, torch.stack([row, row]))[0]

    per_sample = vmap(grad(of_one), in_dims=(None, 0))(weights, inputs)
    for index in range(2):
        single = grad(of_one)(weights, inputs[index])
        for a, b in zip(per_sample, single, strict=True):
            torch.testing.assert_close(a[index], b, rtol=1e-4, atol=1e-5)
