import subprocess
import sys
import types

import numpy as np
import pytest

from keras_s5rl.runs import TensorBoardLog


@pytest.fixture
def read(monkeypatch):
    """Returns a function that reads a folder as TensorBoard does, without TensorFlow."""
    # TensorBoard falls back on its own reader when it finds this module.
    notf = types.ModuleType("tensorboard.compat.notf")
    monkeypatch.setitem(sys.modules, "tensorboard.compat.notf", notf)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(directory):
        accumulator = EventAccumulator(str(directory)).Reload()
        return {
            tag: [(event.step, event.value) for event in accumulator.Scalars(tag)]
            for tag in accumulator.Tags()["scalars"]
        }

    return read


def test_tensorboard_reads_back_every_scalar(tmp_path, read):
    with TensorBoardLog(tmp_path / "tensorboard") as log:
        log.scalars(128, {"loss": 0.5, "episodes": np.int64(3)})
        log.scalars(256, {"loss": np.float32(0.25), "episodes": 4})
    assert read(tmp_path / "tensorboard") == {
        "loss": [(128, 0.5), (256, 0.25)],
        "episodes": [(128, 3.0), (256, 4.0)],
    }


def test_what_is_no_finite_number_is_passed_over(tmp_path, read):
    with TensorBoardLog(tmp_path) as log:
        log.scalars(1, {"a": None, "b": float("nan"), "c": np.inf, "d": [1.0, 2.0], "loss": 1.0})
        log.scalars(2, {"a": None})
    assert read(tmp_path) == {"loss": [(1, 1.0)]}


def test_flushed_points_are_seen_while_the_log_is_open(tmp_path, read):
    with TensorBoardLog(tmp_path) as log:
        log.scalars(1, {"loss": 1.0})
        log.flush()
        assert read(tmp_path) == {"loss": [(1, 1.0)]}


def test_resuming_forgets_what_came_after_the_checkpoint_and_keeps_its_step(tmp_path, read):
    with TensorBoardLog(tmp_path) as log:
        for step in (10, 20, 30, 40):
            log.scalars(step, {"loss": float(step)})
    with TensorBoardLog(tmp_path, resume_step=20) as log:
        log.scalars(50, {"loss": -1.0})
    assert read(tmp_path) == {"loss": [(10, 10.0), (20, 20.0), (50, -1.0)]}


def test_resuming_at_once_and_often_keeps_the_files_in_order(tmp_path, read):
    for resume_step in (None, *range(10, 20)):
        with TensorBoardLog(tmp_path, resume_step) as log:
            log.scalars((resume_step or 9) + 1, {"loss": 1.0})
            log.scalars(100, {"loss": float(resume_step or 0)})
    assert read(tmp_path)["loss"] == [(step, 1.0) for step in range(10, 21)] + [(100, 19.0)]
    assert all(path.name.startswith("events.out.tfevents.") for path in tmp_path.iterdir())


def test_a_record_cut_off_by_a_crash_does_not_hide_the_resumed_run(tmp_path, read):
    with TensorBoardLog(tmp_path) as log:
        log.scalars(1, {"loss": 1.0})
        log.scalars(2, {"loss": 2.0})
    log.path.write_bytes(log.path.read_bytes()[:-3])
    with TensorBoardLog(tmp_path, resume_step=1) as log:
        log.scalars(2, {"loss": 20.0})
    assert read(tmp_path) == {"loss": [(1, 1.0), (2, 20.0)]}


def test_writing_imports_neither_tensorflow_nor_keras(tmp_path):
    code = (
        "import sys; from keras_s5rl.runs import TensorBoardLog; "
        f"TensorBoardLog({str(tmp_path)!r}).scalars(1, {{'loss': 1.0}}); "
        "print([name for name in ('tensorflow', 'keras', 'jax') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr
