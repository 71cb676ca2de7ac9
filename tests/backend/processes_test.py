import keras
import numpy as np
import pytest

from keras_s5rl import backend

jax_alone = pytest.mark.skipif(
    keras.config.backend() != "jax", reason="Only JAX trains in several processes."
)


def test_one_process_has_what_all_have():
    structure = {"x": keras.ops.ones((3,))}
    assert (backend.processes.count(), backend.processes.index()) == (1, 0)
    assert not backend.processes.is_joined()
    assert backend.processes.maximum(7) == 7
    assert backend.processes.from_first(b"\x00\xff") == b"\x00\xff"
    assert backend.processes.gathered(structure)["x"] is structure["x"]


@pytest.mark.skipif(keras.config.backend() == "jax", reason="JAX trains in several processes.")
def test_other_backends_refuse_several_processes():
    with pytest.raises(NotImplementedError, match="`num_processes` should be left out.*=2"):
        backend.processes.start(2, "127.0.0.1:1", 2, 0)


@jax_alone
def test_errors_of_what_processes_do_together_are_a_lost_process_if_they_are_of_that():
    import jax

    from keras_s5rl.backend import jax_processes

    reason = "UNKNOWN: Gloo all-reduce failed: Connection closed by peer [10.0.0.2]:6540"
    for kind in (ValueError, jax.errors.JaxRuntimeError):
        with (
            pytest.raises(backend.LostProcessError, match=r"was lost \(UNKNOWN: Gloo.*10.0.0.2"),
            jax_processes.losses_named(),
        ):
            raise kind(reason)
    with pytest.raises(ValueError, match="^another mistake$"), jax_processes.losses_named():
        raise ValueError("another mistake")


@jax_alone
def test_what_is_waited_for_in_another_thread_raises_its_error_here():
    from keras_s5rl.backend import jax_processes

    assert jax_processes._together(lambda: np.int32(4)) == 4
    with pytest.raises(ZeroDivisionError):
        jax_processes._together(lambda: 1 // 0)
