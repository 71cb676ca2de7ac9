"""What the processes of a training do, in one process."""

import keras
import pytest

from keras_s5rl import backend
from keras_s5rl.training.checks import check_devices
from keras_s5rl.training.processes import (
    RefusedError,
    check_same,
    refused_together,
    share_state,
)
from tests.support.small_runs import as_bytes, small_config
from tests.training.loop_test import new_loop, run, slope_of


@pytest.fixture
def second_of_two(monkeypatch):
    """This process is, so it believes, the second of two, and `sent` what the first one sends."""
    sent = []
    monkeypatch.setattr(backend.processes, "count", lambda: 2)
    monkeypatch.setattr(backend.processes, "index", lambda: 1)
    monkeypatch.setattr(backend.processes, "maximum", lambda number: number)
    monkeypatch.setattr(backend.processes, "from_first", lambda data: sent.pop(0) if sent else data)
    return sent


def test_devices_have_to_be_divided_among_processes(second_of_two):
    with pytest.raises(ValueError, match="multiple of the number of processes.*num_devices=1"):
        check_devices(small_config())


def test_processes_with_other_settings_than_the_first_one_are_an_error(second_of_two):
    second_of_two.append(b'{"width": 16, "seed": 0}')
    expected = "process 0 has width=16. Received: width=32 in process 1"
    with pytest.raises(ValueError, match=expected):
        check_same({"width": 32, "seed": 0})
    check_same({"width": 32, "encoder_sizes": (64,), "env": object})  # JSON has neither


def test_what_one_process_refuses_all_do(second_of_two, monkeypatch):
    with refused_together():
        pass
    with pytest.raises(RefusedError, match="^a mistake$"), refused_together():
        raise ValueError("a mistake")
    monkeypatch.setattr(backend.processes, "maximum", lambda number: 1)
    with pytest.raises(RefusedError, match="Process 0 refuses .* process_id=1"), refused_together():
        pass
    monkeypatch.setattr(backend.processes, "count", lambda: 1)
    with pytest.raises(ZeroDivisionError), refused_together():
        1 / 0  # noqa: B018


def test_a_process_goes_on_from_the_state_of_the_first_one(second_of_two, monkeypatch):
    first, second = new_loop(), new_loop()
    run(first, 3)
    run(second, 1)
    sent = []
    monkeypatch.setattr(backend.processes, "from_first", lambda data: sent.append(data) or data)
    share_state(first)
    monkeypatch.setattr(backend.processes, "from_first", lambda data: sent.pop(0))
    share_state(second)
    assert second.update == 3 and sent == []
    assert slope_of(second) == slope_of(first) != 0
    assert as_bytes(second.snapshot()[1]) == as_bytes(first.snapshot()[1])


def test_a_loop_stops_where_another_process_is_to(second_of_two, monkeypatch):
    loop, asked = new_loop(), []
    monkeypatch.setattr(
        backend.processes, "maximum", lambda number: asked.append(number) or loop.update == 2
    )
    run(loop, 9)
    assert loop.update == 2 and asked == [0, 0, 0]


def test_where_one_of_several_processes_fails_no_checkpoint_waits_for_the_others(second_of_two):
    class Failure(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            raise ZeroDivisionError

    loop, checkpoints = new_loop(), []
    with pytest.raises(ZeroDivisionError):
        run(loop, 9, Failure(), checkpoint=lambda: checkpoints.append(1), checkpoint_every=5)
    assert loop.update == 1 and checkpoints == []
