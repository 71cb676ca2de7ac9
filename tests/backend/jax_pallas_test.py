import functools
import itertools
import math
import re
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from jax.experimental import pallas as pl

from keras_s5rl.backend import jax_pallas, jax_pallas_adjoint
from keras_s5rl.backend.jax import pallas_obstacle
from keras_s5rl.backend.jax_pallas_program import Plan, feature_lanes
from keras_s5rl.ops import linear_recurrence, linear_recurrence_time_major
from tests.ops.recurrences import finite_differences, loop, problem
from tests.support.differentiate import BACKEND

pytestmark = pytest.mark.skipif(BACKEND != "jax", reason="The kernels are JAX's.")

FLOATS = ("decay", "inputs", "initial_state")
H100 = SimpleNamespace(device_kind="NVIDIA H100 80GB HBM3", compute_capability="9.0")
TRITON = "custom_call @__gpu$xla.gpu.triton"
# Of 7 steps and 3 features, so that the last tile, chunk and block are not full. In four chunks the
# summaries too take more than a tile.
ONE_CHUNK = Plan(block=2, tile=2, steps=8, chunks=1)
CHUNKS = Plan(block=2, tile=2, steps=2, chunks=4)


@pytest.fixture
def interpret(monkeypatch):
    """A function that sets how the kernels cut up the work."""

    def set_plan(plan):
        for module in (jax_pallas, jax_pallas_adjoint):
            monkeypatch.setattr(module, "choose_plan", lambda *sizes: plan)

    set_plan(CHUNKS)
    return set_plan


def lowered_for_cuda(program, *arguments):
    """The text of a program for an H100, which need not be here."""
    device = jax.sharding.AbstractDevice(H100.device_kind, num_cores=None, platform="gpu")
    mesh = jax.sharding.AbstractMesh((1,), ("gpu",), abstract_device=device)
    with jax.sharding.use_abstract_mesh(mesh):
        return program.trace(*arguments).lower(lowering_platforms=("cuda",)).as_text()


def as_float32(case):
    return {k: v if v.dtype == bool else v.astype("float32") for k, v in case.items()}


def run(floats, flags, upstream, reverse=False):
    """The states, and what the upstream gradient for them becomes."""

    def solve(floats):
        return linear_recurrence(
            **floats, **flags, reverse=reverse, implementation="pallas_interpreted"
        )

    states, pull_back = jax.vjp(solve, floats)
    return states, *pull_back(upstream)


@functools.cache
def program(plan, reverse):
    """`run` as one program. A plan is set when it is traced, so that each has its own."""
    return jax.jit(functools.partial(run, reverse=reverse))


def states_and_gradients(case, upstream, plan=CHUNKS, reverse=False):
    case = as_float32(case)
    floats = {name: case.pop(name) for name in FLOATS if name in case}
    return jax.device_get(program(plan, reverse)(floats, case, upstream.astype("float32")))


@pytest.mark.slow
@pytest.mark.parametrize(
    "plan, varying, planes, reverse",
    [(CHUNKS, *flags) for flags in itertools.product((False, True), (2, 1), (False, True))]
    + [(ONE_CHUNK, False, 1, False), (ONE_CHUNK, False, 2, True), (ONE_CHUNK, True, 2, False)],
)
def test_states_and_gradients_are_those_of_a_double_precision_loop(
    interpret, plan, varying, planes, reverse
):
    interpret(plan)
    case = problem(varying=varying, planes=planes, seed=3)
    flags = {"resets": case["resets"], "mask": case["mask"]}
    upstream = np.random.default_rng(1).normal(size=case["inputs"].shape)
    found, gradients = states_and_gradients(case, upstream, plan, reverse)

    np.testing.assert_allclose(found, loop(**case, reverse=reverse), rtol=1e-5, atol=1e-5)
    expected = finite_differences(
        lambda *floats: np.sum(loop(*floats, **flags, reverse=reverse) * upstream),
        [case[name] for name in FLOATS],
    )
    for name, wanted in zip(FLOATS, expected, strict=True):
        np.testing.assert_allclose(gradients[name], wanted, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("flag", ("resets", "mask", None))
def test_flags_and_initial_state_may_be_left_out(interpret, flag):
    case = problem(seed=4)
    neutral = {"resets": np.zeros((2, 7), bool), "mask": np.ones((2, 7), bool)}
    neutral |= {"initial_state": np.zeros((2, 2, 3))}
    given = {name: case[name] for name in ("decay", "inputs", flag) if name}
    upstream = np.random.default_rng(2).normal(size=case["inputs"].shape)
    found, gradients = states_and_gradients(given, upstream)

    case = case | neutral | given
    np.testing.assert_allclose(found, loop(**case), rtol=1e-5, atol=1e-5)
    expected = finite_differences(
        lambda decay, inputs: np.sum(loop(**{**case, "decay": decay, "inputs": inputs}) * upstream),
        [case["decay"], case["inputs"]],
    )
    for name, wanted in zip(("decay", "inputs"), expected, strict=True):
        np.testing.assert_allclose(gradients[name], wanted, rtol=1e-5, atol=1e-5, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("cut", (3, 4), ids=("within a chunk", "between two"))
@pytest.mark.parametrize("varying, reverse", [(False, True), (True, False)])
def test_nothing_that_is_not_finite_crosses_a_cut(interpret, varying, reverse, cut):
    case = problem(varying=varying, seed=5)
    case["mask"][:] = True
    case["resets"][:] = np.arange(7) == cut
    earlier = np.arange(7) >= cut if reverse else np.arange(7) < cut
    upstream = np.random.default_rng(6).normal(size=case["inputs"].shape)
    # What enters the first sequence before the cut is poisoned, and does not count in the loss; in
    # the second the gradient that comes in after the cut is.
    upstream[0, earlier] = 0.0
    clean, clean_gradients = states_and_gradients(case, upstream, reverse=reverse)
    case["inputs"][0, earlier] = case["initial_state"][0] = np.nan
    upstream[1, ~earlier] = np.nan
    if varying:
        case["decay"][0, earlier] = np.nan
        case["decay"][:, cut - 1 if reverse else cut] = np.inf  # the product is cut, not a factor
    found, gradients = states_and_gradients(case, upstream, reverse=reverse)

    np.testing.assert_array_equal(found[0, ~earlier], clean[0, ~earlier])
    assert np.isnan(found[0, earlier]).all()
    np.testing.assert_array_equal(found[1], clean[1])
    for name in ("inputs", *["decay"] * varying):
        for sequence, clear in ((0, ~earlier), (1, earlier)):
            np.testing.assert_array_equal(
                gradients[name][sequence, clear], clean_gradients[name][sequence, clear]
            )
    assert np.isnan(gradients["inputs"][1, ~earlier]).any()
    np.testing.assert_array_equal(
        gradients["initial_state"][1], clean_gradients["initial_state"][1]
    )
    if not varying:
        np.testing.assert_array_equal(gradients["inputs"][0, earlier], 0.0)
        np.testing.assert_array_equal(gradients["initial_state"][0], 0.0)


@pytest.mark.slow
def test_many_seeds_by_vmap_are_each_seed_by_itself(interpret):
    cases = [problem(seed=seed) for seed in range(2)]
    upstream = np.random.default_rng(7).normal(size=cases[0]["inputs"].shape)
    for case in cases:
        case["initial_state"] = cases[0]["initial_state"]  # the same for all
    alone = [states_and_gradients(case, upstream) for case in cases]

    stacked = as_float32({name: np.stack([case[name] for case in cases]) for name in cases[0]})
    floats = {name: stacked.pop(name) for name in FLOATS}
    floats["initial_state"] = floats["initial_state"][0]
    axes = ({"decay": 0, "inputs": 0, "initial_state": None}, 0, None)
    together = jax.jit(jax.vmap(run, in_axes=axes))(floats, stacked, upstream.astype("float32"))
    for seed, (states, gradients) in enumerate(alone):
        np.testing.assert_allclose(together[0][seed], states, rtol=1e-6, atol=1e-6)
        for name in FLOATS:
            np.testing.assert_allclose(
                together[1][name][seed], gradients[name], rtol=1e-5, atol=1e-6, err_msg=name
            )


@pytest.mark.slow
def test_it_runs_in_a_scan_and_on_donated_buffers(interpret):
    case = as_float32(problem(time=14))
    case["mask"][:] = True
    time_major = [np.swapaxes(case[name], 0, 1) for name in ("inputs", "resets")]

    @functools.partial(jax.jit, donate_argnums=0)
    def run(initial_state, inputs, resets):
        def piece(state, step):
            states = linear_recurrence_time_major(
                case["decay"], step[0], state, step[1], implementation="pallas_interpreted"
            )
            return states[-1], states

        pieces = [array.reshape(2, 7, *array.shape[1:]) for array in (inputs, resets)]
        return jax.lax.scan(piece, initial_state, tuple(pieces))

    expected = loop(**case)
    last, states = run(jax.numpy.asarray(case["initial_state"]), *time_major)
    states = np.swapaxes(states.reshape(14, *states.shape[2:]), 0, 1)
    np.testing.assert_allclose(states, expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(last, expected[:, -1], rtol=1e-5, atol=1e-5)


def test_an_empty_batch_has_no_states_and_zero_gradients(interpret):
    case = problem(batch=0)
    found, gradients = states_and_gradients(case, case["inputs"])
    assert found.shape == (0, 7, 2, 3)
    np.testing.assert_array_equal(gradients["decay"], np.zeros((2, 3)))


@pytest.mark.slow_after(1)
@pytest.mark.parametrize("batch, kernels", [(3, 2), (2048, 1)])
@pytest.mark.parametrize("varying", (False, True))
def test_for_cuda_it_is_one_triton_kernel_or_two_and_lays_out_nothing_else(
    monkeypatch, batch, kernels, varying
):
    monkeypatch.setattr(jax, "devices", lambda: [H100])
    time, features = 1001, 100
    sequence = jax.ShapeDtypeStruct((time, batch, 2, features), "float32")
    arguments = (
        sequence if varying else jax.ShapeDtypeStruct((2, features), "float32"),
        sequence,
        jax.ShapeDtypeStruct((batch, 2, features), "float32"),
        jax.ShapeDtypeStruct((time, batch), "bool"),
    )

    def forward(*arguments):
        return linear_recurrence_time_major(*arguments)  # "auto" finds the kernels

    def backward(decay, inputs, initial_state, resets, upstream):
        _, pull_back = jax.vjp(lambda *a: forward(*a, resets), decay, inputs, initial_state)
        return pull_back(upstream)

    for function, given, expected in (
        (forward, arguments, kernels),
        (backward, (*arguments, sequence), 2 * kernels),
    ):
        text = lowered_for_cuda(jax.jit(function), *given)
        assert text.count(TRITON) == expected
        shapes = re.findall(r"tensor<((?:\d+x)+)\w+>", text)
        sizes = [math.prod(map(int, shape.split("x")[:-1])) for shape in shapes]
        assert max(sizes) == math.prod(sequence.shape)
        # Nothing but the kernels writes as much.
        large = re.findall(rf"stablehlo\.(\w+).*-> .*tensor<{time}x{batch}x2x{features}xf32>", text)
        assert set(large) <= {"custom_call"}


@pytest.mark.slow
def test_seeds_that_fill_the_device_together_do_not_cut_time(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [H100])
    inputs = jax.ShapeDtypeStruct((256, 1024, 8, 2, 128), "float32")
    decay = jax.ShapeDtypeStruct((2, 128), "float32")

    def total(decay, inputs):
        return jax.numpy.sum(linear_recurrence_time_major(decay, inputs))

    for function, kernels in ((total, 1), (jax.grad(total), 2)):
        program = jax.jit(jax.vmap(function, in_axes=(None, 0)))
        text = lowered_for_cuda(program, decay, inputs)
        assert text.count(TRITON) == kernels


@pytest.mark.parametrize(
    "capability, runs",
    [("8.0", True), ("12.1", True), ("7.5", False), ("gfx942", False), ("", False)],
)
def test_a_gpu_that_triton_does_not_compile_for_is_named(monkeypatch, capability, runs):
    device = SimpleNamespace(device_kind="some GPU", compute_capability=capability)
    monkeypatch.setattr(jax, "devices", lambda: [device])
    assert pallas_obstacle() == (None if runs else "the device some GPU")


def test_the_device_that_is_asked_about_is_the_default_one(monkeypatch):
    monkeypatch.setattr(jax, "devices", lambda: [H100])
    assert pallas_obstacle() is None
    with jax.default_device(jax.local_devices(backend="cpu")[0]):
        assert pallas_obstacle() == "the device cpu"


def test_lanes_beyond_the_last_feature_touch_no_memory():
    # Interpreted kernels run on padded arrays: nothing else would show it.
    def kernel(lanes):
        lanes[:] = feature_lanes(CHUNKS._replace(block=4), features=6)

    lanes = pl.pallas_call(
        kernel,
        out_shape=jax.ShapeDtypeStruct((8,), bool),
        grid=(2,),
        out_specs=pl.BlockSpec((4,), lambda feature: (feature,)),
        interpret=True,
    )()
    np.testing.assert_array_equal(lanes, [True] * 6 + [False] * 2)


@pytest.mark.parametrize("features", (1, 33, 128, 300))
@pytest.mark.parametrize("batch", (1, 8, 4096))
@pytest.mark.parametrize("time", (2, 100, 1024, 10**6))
def test_a_plan_covers_time_and_starts_no_chunk_in_vain(time, batch, features):
    plan = jax_pallas.choose_plan(time, batch, features)
    assert plan.steps % plan.tile == 0
    assert plan.steps * (plan.chunks - 1) < time <= plan.steps * plan.chunks
    assert plan.chunks <= min(64, max(1, plan.steps))
    assert plan.block in (32, 64, 128)


def test_time_is_cut_where_batch_and_features_do_not_fill_the_device():
    assert jax_pallas.choose_plan(1024, 8, 128) == Plan(block=128, tile=8, steps=32, chunks=32)
    assert jax_pallas.choose_plan(1024, 512, 128).chunks == 1
