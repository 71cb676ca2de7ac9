import numpy as np
import pytest
from keras import ops

from keras_s5rl import backend

STEPS = 5


def step(carry, x):
    total = carry + x["reward"]
    y = {
        "total": total,
        "action": ops.cast(x["key"][:2], "int32") - 7,
        "done": x["done"],
        "image": x["image"] + ops.cast(1, "uint8"),
        "half": ops.cast(total, "bfloat16"),
        "count": ops.sum(ops.cast(x["done"], "int32")),
    }
    return total, y


def inputs():
    reward = np.array([1.0, -0.0, np.inf, 1e-40, np.nan], "float32")
    return {
        "reward": ops.convert_to_tensor(np.stack([reward, -reward], axis=1)),
        "key": ops.convert_to_tensor(np.arange(20, dtype="uint32").reshape(STEPS, 4) * 2**27),
        "done": ops.convert_to_tensor(np.arange(STEPS * 3).reshape(STEPS, 3) % 2 == 0),
        "image": ops.convert_to_tensor(np.arange(STEPS * 4, dtype="uint8").reshape(STEPS, 2, 2)),
    }


def run(scan):
    program = backend.compile(lambda carry, xs: scan(step, carry, xs))
    carry, ys = program(ops.zeros(2), inputs())
    return {"carry": carry, **ys}


def check(found):
    for name, expected in run(backend.scan).items():
        assert found[name].dtype == expected.dtype, name
        pair = [ops.convert_to_numpy(ops.cast(t, "float32")) for t in (found[name], expected)]
        np.testing.assert_array_equal(*[array.view("uint32") for array in pair], err_msg=name)


@pytest.mark.portable
def test_packed_scan_is_scan():
    check(run(backend.packed_scan))


@pytest.mark.jax_alone
def test_on_a_gpu_each_bit_comes_through_one_array(monkeypatch):
    import jax

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    check(run(backend.packed_scan))
    traced = jax.make_jaxpr(lambda carry, xs: backend.packed_scan(step, carry, xs))(
        ops.zeros(2), inputs()
    )
    (loop,) = [equation for equation in traced.eqns if equation.primitive.name == "scan"]
    read = loop.invars[loop.params["num_consts"] + loop.params["num_carry"] :]
    left = loop.outvars[loop.params["num_carry"] :]
    dtypes = [[str(variable.aval.dtype) for variable in each] for each in (read, left)]
    assert dtypes == [["uint32", "uint8"], ["uint32", "bfloat16", "uint8"]]


@pytest.mark.jax_alone
def test_on_a_gpu_a_step_may_read_and_leave_nothing(monkeypatch):
    import jax

    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    images = ops.zeros((STEPS, 2), "uint8")
    carry, left = backend.compile(
        lambda xs: backend.packed_scan(lambda carry, x: (carry + 1, {}), ops.zeros(()), xs)
    )(images)
    assert (float(carry), left) == (STEPS, {})
